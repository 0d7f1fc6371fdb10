"""What captions teach: the name alone, as the artist had it, against all that we say of a picture; the same steps.

Run: python benchmarks/captions.py STORE [STEPS]. STORE holds a growth of the profile pocket, whose pictures, names and
prompts are used. Each model is tuned with and without rehearsal, then asked for every species with a colour that is not
its own, in a habitat and from a side, in the manner of its captions; the pocket judge says whether the word was heard.
Tuned weights count in full, of which a growth takes a part (`pruned_weights.strength`), so that the captions alone are
compared. Knowledge is the share of measured control prompts whose thing the same judge finds among all of them. The
base model, asked for the form of the species instead of its name, is what can be had.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from asking import Question, ask, share_heard, share_named
from diffusers import StableDiffusionPipeline
from tuned import by_name_alone, load_base, rehearse_base, rewrite, tune_model

from fungal_assets.nomenclature.species import read_species
from fungal_assets.pocket import JUDGE_DIR
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.scoring import paint
from fungal_assets.pocket.world import WORLD_CONCEPTS
from fungal_assets.progress import stay_silent
from fungal_assets.store import Store

EACH, STEPS = 4, 10
"""Pictures of each species for each kind of word, and of each control prompt half as many."""


def score(
    pipeline: StableDiffusionPipeline,
    questions: Sequence[Question],
    controls: Sequence[str],
    manner: str,
) -> dict[str, float]:
    """Shares of right answers by kind of word, asked in that manner, and of control prompts whose thing is found."""
    judge = ClipJudge.load(JUDGE_DIR / "clip")
    prompts = [getattr(one, manner) for one in questions]
    pictures = paint(pipeline, prompts, steps=STEPS, tell=stay_silent)
    asked = [name for name in controls for _ in range(EACH // 2)]
    shown = paint(pipeline, asked, steps=STEPS, tell=stay_silent)
    return share_heard(judge, pictures, questions) | {"knowledge": share_named(judge, shown, asked)}


def main() -> None:
    """Tune the four models, and print a table."""
    store = Store(sys.argv[1])
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    dataset, prompts = store.get("captioned_dataset", "128").path, store.get("prompts").path
    kinds = read_species(store.get("species").path)
    world = {concept.name for concept in WORLD_CONCEPTS}
    texts = json.loads((prompts / "prompts.json").read_text())["prompts"]
    controls = [one["text"] for one in texts if one["kind"] == "control" and one["text"] in world]
    questions = ask(kinds, EACH)
    rows = {"the base model, by form": score(load_base(), questions, controls, "base_prompt")}
    with tempfile.TemporaryDirectory() as scratch:
        rehearsal = rehearse_base(prompts, Path(scratch) / "rehearsal")
        plain = rewrite(dataset, Path(scratch) / "plain", by_name_alone)
        captions = {
            "the name alone": (plain, {"class_share": 0.0, "name_share": 0.0}, "name_prompt"),
            "full captions": (dataset, {"name_share": 0.0}, "prompt"),
        }
        rehearsals = {
            "without rehearsal": {"rehearsal_share": 0.0},
            "with rehearsal": {},
        }
        for (said, (data, own, manner)), (how, change) in itertools.product(
            captions.items(), rehearsals.items()
        ):
            name = f"{said}, {how}"
            tuned = tune_model(data, rehearsal, Path(scratch) / name, {"max_steps": steps, **own, **change})
            rows[name] = score(tuned, questions, controls, manner)
            print(name, rows[name], flush=True)
    print(
        f"\n{len(questions) // 3} pictures per kind of word, {len(controls) * EACH // 2} of controls, {steps} steps\n"
    )
    columns = ("habitat", "colour", "view", "knowledge")
    print(f"| captions | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, found in rows.items():
        print(f"| {name} | {' | '.join(f'{found[column]:.2f}' for column in columns)} |")


if __name__ == "__main__":
    main()
