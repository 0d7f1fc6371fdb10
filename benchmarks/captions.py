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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.methods import get_method
from fungal_assets.diffusion.rehearsal import rehearse
from fungal_assets.diffusion.training import Recipe, tune
from fungal_assets.nomenclature.habitats import HABITAT_WORDS
from fungal_assets.nomenclature.species import Species, read_species
from fungal_assets.nomenclature.wordings import depict
from fungal_assets.pocket import JUDGE_DIR, MODEL_DIR
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.facts import word_fungus
from fungal_assets.pocket.fungarium import MORPHOTYPE_TABLE, views_of
from fungal_assets.pocket.fungarium.palette import COLORS
from fungal_assets.pocket.scoring import paint
from fungal_assets.pocket.world import WORLD_CONCEPTS
from fungal_assets.profiles import get_profile
from fungal_assets.progress import stay_silent
from fungal_assets.store import Store

NOUN = "mushroom"
EACH, STEPS = 4, 10
"""Pictures of each species for each kind of word, and of each control prompt half as many."""


@dataclass(frozen=True)
class Question:
    """One prompt, the word that it asks to see, and what the judge may answer.

    Args:
        kind: Kind of word.
        prompt: For a model that was tuned on full captions.
        name_prompt: For one that was tuned on names alone.
        base_prompt: For the base model, which has never heard the name.
        answers: Texts by word.
        right: The word asked for.
    """

    kind: str
    prompt: str
    name_prompt: str
    base_prompt: str
    answers: Mapping[str, str]
    right: str


def ask(kinds: Sequence[Species]) -> list[Question]:
    """The questions about all species: `EACH` words of each kind, dealt out in turn."""
    asked: list[Question] = []
    for number, one in enumerate(kinds):
        form = MORPHOTYPE_TABLE[one.morphotype].words[0]
        subject = depict(one.common_name, NOUN)
        places = [place for habitat, place in HABITAT_WORDS.items() if habitat not in ("log", "tree_trunk")]
        foreign = [color for color in COLORS if color not in one.colour_names]
        for turn in range(EACH):
            place, color, view = (
                words[(number + turn * 2) % len(words)]
                for words in (places, foreign, views_of(one.morphotype))
            )
            named = f"{color} {one.common_name}"
            asked += [
                Question(
                    "habitat",
                    f"{subject}, {place}",
                    f"{one.common_name}, {place}",
                    word_fungus(form, place=place),
                    {place: word_fungus(form, place=place) for place in places},
                    place,
                ),
                Question(
                    "colour",
                    depict(named, NOUN),
                    named,
                    word_fungus(form, color=color),
                    {color: word_fungus(form, color=color) for color in COLORS},
                    color,
                ),
                Question(
                    "view",
                    f"{subject}, {view}",
                    f"{one.common_name}, {view}",
                    word_fungus(form, view=view),
                    {view: word_fungus(form, view=view) for view in views_of(one.morphotype)},
                    view,
                ),
            ]
    return asked


def reword(dataset: Path, folder: Path, names: Mapping[str, str]) -> Path:
    """The same dataset whose only text is the species' name."""
    for path in sorted((dataset / "data").glob("train-*.parquet")):
        table = pq.read_table(path)
        texts = [names[one] for one in table["species_id"].to_pylist()]
        alone = {"text": texts, "texts": [[text] for text in texts], "class_texts": [[] for _ in texts]}
        for name, values in alone.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(
                at, table.schema.field(at), pa.array(values, table.schema.field(at).type)
            )
        (folder / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "data" / path.name)
    return folder


def load_base() -> StableDiffusionPipeline:
    """The pocket model with the scheduler of its galleries."""
    pipeline = load_pipeline(MODEL_DIR, device="cpu", dtype=torch.float32)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    return pipeline


def tune_model(
    dataset: Path, rehearsal: Path, folder: Path, changed: Mapping[str, Any]
) -> StableDiffusionPipeline:
    """Tune as the profile does, but for `changed`, in full strength."""
    profile = get_profile("pocket")
    settings = dict(profile.settings["fine_tuned_weights"]) | {"method": profile.method, **changed}
    folder.mkdir()
    names = ("method", "base_model", "checkpoint_every_s")
    how = {name: settings[name] for name in names}
    recipe = Recipe(**{name: value for name, value in settings.items() if name not in names})
    tune(dataset, rehearsal, folder, **how, recipe=recipe)
    pipeline = load_base()
    get_method(settings["method"], **recipe.of_method()).restore(pipeline, folder, strength=1.0)
    return pipeline


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
    rights: dict[str, list[bool]] = {}
    for vector, one in zip(judge.embed_images(pictures), questions, strict=True):
        likeness = judge.embed_texts(tuple(one.answers.values())) @ vector
        rights.setdefault(one.kind, []).append(list(one.answers)[int(likeness.argmax())] == one.right)
    asked = [name for name in controls for _ in range(EACH // 2)]
    phrases = {concept.name: concept.phrase for concept in WORLD_CONCEPTS}
    found = judge.name(
        paint(pipeline, asked, steps=STEPS, tell=stay_silent), [phrases[name] for name in controls]
    )
    kept = [controls[index] == name for index, name in zip(found, asked, strict=True)]
    return {kind: float(np.mean(values)) for kind, values in rights.items()} | {
        "knowledge": float(np.mean(kept))
    }


def main() -> None:
    """Tune the four models, and print a table."""
    store = Store(sys.argv[1])
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    dataset, prompts = store.get("captioned_dataset", "128").path, store.get("prompts").path
    kinds = read_species(store.get("species").path)
    names = {one.species_id: one.common_name for one in kinds}
    world = {concept.name for concept in WORLD_CONCEPTS}
    texts = json.loads((prompts / "prompts.json").read_text())["prompts"]
    controls = [one["text"] for one in texts if one["kind"] == "control" and one["text"] in world]
    questions = ask(kinds)
    rows = {"the base model, by form": score(load_base(), questions, controls, "base_prompt")}
    with tempfile.TemporaryDirectory() as scratch:
        rehearsal = Path(scratch) / "rehearsal"
        rehearsal.mkdir()
        rehearse(prompts, rehearsal, size_px=128, **get_profile("pocket").settings["rehearsal"])
        plain = reword(dataset, Path(scratch) / "plain", names)
        captions = {
            "the name alone": (plain, {"class_share": 0.0}, "name_prompt"),
            "full captions": (dataset, {}, "prompt"),
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
