"""What captions teach: the name alone, as the artist had it, against all that we say of a picture; the same steps.

Run: python benchmarks/captions.py STORE FOLDER [WAY ...]. STORE holds a growth of the profile pocket, whose pictures,
names and prompts are used. FOLDER keeps weights and finished rows (`rows.json`), so that a broken run goes on; of ways
that are named (keys of `WAYS`) the rows are made alone. Each model is asked for every species with a colour that is not
its own, in a habitat and from a side, in the manner of its captions; the pocket judge says whether the word was heard.
Tuned weights count in full, of which a growth takes a part (`pruned_weights.strength`), so that the captions alone are
compared. Knowledge is the share of measured control prompts whose thing the same judge finds among all of them. The
base model, asked for the form of the species instead of its name, is what can be had.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from asking import Question, ask, share_heard, share_named
from diffusers import StableDiffusionPipeline
from tables import keep_rows, read_table
from tuned import by_name_alone, load_base, rehearse_base, rewrite, tune_model

from fungal_assets.nomenclature.species import read_species
from fungal_assets.pocket import JUDGE_DIR
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.scoring import paint
from fungal_assets.pocket.world import WORLD_CONCEPTS
from fungal_assets.progress import stay_silent
from fungal_assets.store import Store

EACH, STEPS = 8, 10
"""Pictures of each species for each kind of word, and of each control prompt a quarter as many."""
COLUMNS = ("habitat", "colour", "view", "knowledge")
BASE = "nothing: the base model, asked by form"
WAYS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "LoRA": ("lora", {"rehearsal_share": 0.0}),
    "LoRA with rehearsal": ("lora", {}),
    "the whole UNet at the artist's rate": ("full", {"rehearsal_share": 0.0, "learning_rate": 1e-3}),
}
"""How it is tuned: the method, and what is changed of the profile's settings."""


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
    asked = [name for name in controls for _ in range(EACH // 4)]
    shown = paint(pipeline, asked, steps=STEPS, tell=stay_silent)
    return share_heard(judge, pictures, questions) | {"knowledge": share_named(judge, shown, asked)}


def tune_and_score(
    store: Store, folder: Path, questions: Sequence[Question], controls: Sequence[str], way: str, said: str
) -> dict[str, float]:
    """The shares of a model that is tuned that way on captions that say that much, a key of `captions`."""
    dataset, prompts = store.get("captioned_dataset", "128").path, store.get("prompts").path
    plain = folder / "plain"
    if not plain.exists():
        rewrite(dataset, plain, by_name_alone)
    captions = {
        "the name alone": (plain, {"class_share": 0.0, "name_share": 0.0}, "name_prompt"),
        "full captions": (dataset, {"name_share": 0.0}, "prompt"),
    }
    data, own, manner = captions[said]
    method, changed = WAYS[way]
    rehearsal = rehearse_base(prompts, folder / "rehearsal")
    tuned = tune_model(data, rehearsal, folder / f"{way}, {said}", {**own, **changed}, method=method)
    return score(tuned, questions, controls, manner)


def main() -> None:
    """Make the rows that are missing, and print the table after each."""
    store, folder, ways = Store(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    rows = read_table(folder)
    world = {concept.name for concept in WORLD_CONCEPTS}
    texts = json.loads((store.get("prompts").path / "prompts.json").read_text())["prompts"]
    controls = [one["text"] for one in texts if one["kind"] == "control" and one["text"] in world]
    questions = ask(read_species(store.get("species").path), EACH)
    print(f"{len(questions) // 3} pictures per kind of word, {len(controls) * EACH // 4} of controls")
    if BASE not in rows:
        rows[BASE] = score(load_base(), questions, controls, "base_prompt")
    for way, said in itertools.product(ways or WAYS, ("the name alone", "full captions")):
        name = f"{said}: {way}"
        if name not in rows:
            rows[name] = tune_and_score(store, folder, questions, controls, way, said)
        keep_rows(folder, rows, "tuned on", {name: name for name in COLUMNS})


if __name__ == "__main__":
    main()
