"""What a model learns of the species and what it keeps: the base model, the artist's recipe and our three methods.

Run: python benchmarks/retention.py STORE FOLDER [ROW ...]. STORE holds a growth of the profile pocket up to its prompts
and its captioned dataset. FOLDER keeps weights and finished rows (`rows.json`, with seconds of training), so that a
broken run goes on; rows that are named are made alone. The artist's recipe tunes the whole UNet in many epochs on
captions that say the name alone, rehearses nothing, and takes ten times the rate of the method `full`. Ours are the
profile's own settings. Each model is asked in the manner of what it was tuned on, and painted as the profile's
galleries are:

- species: the share of 16 pictures a species that are nearest to their own species, by the vectors that made the
  clusters, as galleries have it, and by the project's judge, against the mean of each species' own pictures;
- knowledge: the share of the measured control prompts whose thing is nearest among all, by the references of the
  forgetting report and by the project's judge;
- steering: the share of pictures that show the habitat, foreign colour or view that was asked for (`asking`), the mean
  of the three kinds.

Shares of the species' own pictures as the autoencoder gives them back are what can be had at most. Pictures are painted
in bfloat16 where the CPU has units for it; training is not.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from asking import Question, ask, share_heard, share_named
from diffusers import StableDiffusionPipeline
from PIL import Image
from tables import keep_rows, read_table
from tuned import by_name_alone, load_base, rehearse_base, rewrite, tune_model

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.galleries.judging import common_of, judge_vectors, load_judge
from fungal_assets.galleries.recognition import likeness, own_clusters
from fungal_assets.morphology.extractors import EfficientNetLite0, Extractor, recorded_extractor
from fungal_assets.morphology.features import EMBED_BATCH, in_batches
from fungal_assets.morphology.projection import Projection, to_unit
from fungal_assets.nomenclature.species import Species, read_species
from fungal_assets.pocket import JUDGE_DIR
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.scoring import paint
from fungal_assets.profiles import METHODS, get_profile
from fungal_assets.progress import stay_silent
from fungal_assets.shards import read_rows
from fungal_assets.store import Store

SPECIES_PICTURES, WORD_PICTURES = 16, 2
BASE, ARTIST, OWN_PICTURES = "base", "artist's recipe", "the pictures themselves"
ARTISTS_SETTINGS = {
    "max_steps": 300,
    "learning_rate": 1e-3,
    "rehearsal_share": 0.0,
    "class_share": 0.0,
    "name_share": 0.0,
}
COLUMNS = {
    "species_by_judge": "species, judge",
    "species_by_vectors": "species, EfficientNet",
    "knowledge_by_judge": "knowledge, judge",
    "knowledge_by_vectors": "knowledge, EfficientNet",
    "habitat": "habitat",
    "colour": "colour",
    "view": "view",
}


@dataclass(frozen=True)
class World:
    """What all models are asked and measured by.

    Args:
        species: The species.
        texts: Their prompts, in the same order.
        controls: Rows of the measured control prompts.
        questions: What is asked word by word.
        clusters: Output of `clusters`.
        own_pictures: Number of the species and picture, of every row of the dataset.
        judge: The project's judge.
    """

    species: Sequence[Species]
    texts: Sequence[str]
    controls: Sequence[Mapping[str, Any]]
    questions: Sequence[Question]
    clusters: Path
    own_pictures: Sequence[tuple[int, Image.Image]]
    judge: ClipJudge

    @property
    def expected(self) -> list[str]:
        """The thing that each control prompt asks for."""
        return [row["expected"] for row in self.controls]

    @classmethod
    def of(cls, store: Store) -> World:
        """The world of a growth."""
        species = read_species(store.get("species").path)
        rows = json.loads((store.get("prompts").path / "prompts.json").read_text())["prompts"]
        texts = {row["species_id"]: row["text"] for row in rows if row["kind"] == "species"}
        return cls(
            species,
            [texts[one.species_id] for one in species],
            [row for row in rows if row["kind"] == "control"],
            ask(species, WORD_PICTURES),
            store.get("clusters").path,
            list(read_pictures(store.get("captioned_dataset", "128").path, species)),
            ClipJudge.load(JUDGE_DIR / "clip"),
        )


def read_pictures(dataset: Path, species: Sequence[Species]) -> Iterator[tuple[int, Image.Image]]:
    """Number of the species and picture of each row of a dataset, trained on or held out."""
    numbers = {one.species_id: number for number, one in enumerate(species)}
    for split in ("train", "test"):
        for row in read_rows(dataset / "data", ["image", "species_id"], stem=split):
            yield numbers[row["species_id"]], Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")


def paint_all(pipeline: StableDiffusionPipeline, prompts: Sequence[str]) -> list[Image.Image]:
    """One picture per prompt, with the settings of the profile's galleries."""
    how = get_profile("pocket").settings["sample_galleries"]
    with mixed_precision(torch.device("cpu"), on_cpu=True):
        return paint(
            pipeline,
            prompts,
            steps=how["num_inference_steps"],
            guidance_scale=how["guidance_scale"],
            tell=stay_silent,
        )


def embed(eye: Extractor, pictures: Sequence[Image.Image]) -> np.ndarray:
    """Feature vectors, float32 (n, d)."""
    return np.concatenate([eye.embed(part) for part in in_batches(pictures, EMBED_BATCH)])


def score_species(world: World, pictures: Sequence[Image.Image], numbers: np.ndarray) -> dict[str, float]:
    """Shares of pictures, of species `numbers`, int (n,), that are recognised by vectors and by the judge."""
    own = own_clusters([world.species[number].species_id for number in numbers], world.clusters)
    points = Projection.load(world.clusters / "projection.npz").project(
        embed(recorded_extractor(world.clusters), pictures)
    )
    by_vectors = likeness(points, own, np.load(world.clusters / "centroids.npy")).argmax(axis=1) == own
    known, shown = zip(*world.own_pictures, strict=True)
    seen, is_of = world.judge.embed_images(shown).numpy(), np.array(known)
    centres = to_unit(np.stack([seen[is_of == number].mean(axis=0) for number in range(len(world.species))]))
    painted = world.judge.embed_images(pictures).numpy()
    by_judge = likeness(painted, numbers, centres).argmax(axis=1) == numbers
    return {"species_by_judge": float(by_judge.mean()), "species_by_vectors": float(by_vectors.mean())}


def paint_controls(world: World, pipeline: StableDiffusionPipeline) -> list[Image.Image]:
    """One picture of each measured control prompt."""
    return paint_all(pipeline, [row["text"] for row in world.controls])


def common_of_base(world: World, path: Path) -> np.ndarray:
    """What the base model's control pictures have in common, float32 (d,), which all models are judged without.

    It is kept at `path`, so that whatever rows are asked for, and in whatever order, it is the base's.
    """
    if not path.exists():
        vectors = embed(EfficientNetLite0(), paint_controls(world, load_base()))
        np.save(path, common_of(vectors, world.expected))
    return np.load(path)


def score_knowledge(world: World, pictures: Sequence[Image.Image], common: np.ndarray) -> dict[str, float]:
    """Shares of control pictures that show their thing."""
    vectors = embed(EfficientNetLite0(), pictures)
    found = judge_vectors(load_judge("pocket"), vectors, world.expected, common=common)
    by_vectors = [one.is_recognised for one in found if one is not None]
    return {
        "knowledge_by_judge": share_named(world.judge, pictures, world.expected),
        "knowledge_by_vectors": float(np.mean(by_vectors)),
    }


def score_model(
    world: World, pipeline: StableDiffusionPipeline, manner: str, common: np.ndarray
) -> dict[str, float]:
    """All shares of a model that is asked in that manner, a field of `Question`."""
    texts = [one.common_name for one in world.species] if manner == "name_prompt" else world.texts
    numbers = np.repeat(np.arange(len(texts)), SPECIES_PICTURES)
    found = score_species(world, paint_all(pipeline, [texts[number] for number in numbers]), numbers)
    kept = score_knowledge(world, paint_controls(world, pipeline), common)
    asked = paint_all(pipeline, [getattr(one, manner) for one in world.questions])
    return found | kept | share_heard(world.judge, asked, world.questions)


def score_own_pictures(world: World) -> dict[str, float]:
    """The shares of species that their own pictures have once they went through the autoencoder."""
    vae = load_base().vae
    numbers, pictures = zip(*world.own_pictures, strict=True)
    restored: list[Image.Image] = []
    with torch.inference_mode():
        for part in in_batches(pictures, EMBED_BATCH):
            pixels = np.stack([np.asarray(picture) for picture in part])
            signed = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
            back = vae.decode(vae.encode(signed).latent_dist.mode()).sample
            rows = ((back.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
            restored += [Image.fromarray(row) for row in rows]
    return score_species(world, restored, np.array(numbers))


def make_models(store: Store, folder: Path) -> dict[str, Any]:
    """What each row tunes: dataset, changed settings, method, strength and manner of asking."""
    dataset, profile = store.get("captioned_dataset", "128").path, get_profile("pocket")
    plain = folder / "plain"
    if not plain.exists():
        rewrite(dataset, plain, by_name_alone)
    strengths = {
        method: profile.fill("pruned_weights", {"strength": None}, method)["strength"] for method in METHODS
    }
    ours = {method: (dataset, {}, method, strengths[method], "prompt") for method in METHODS}
    return {ARTIST: (plain, ARTISTS_SETTINGS, "full", 1.0, "name_prompt")} | ours


def score_row(world: World, name: str, store: Store, folder: Path, common: np.ndarray) -> dict[str, float]:
    """The shares of one tuned model, and how long its training took where it was trained now."""
    dataset, changed, method, strength, manner = make_models(store, folder)[name]
    is_new, start_s = not (folder / name / "training.json").exists(), time.monotonic()
    rehearsal = rehearse_base(store.get("prompts").path, folder / "rehearsal")
    pipeline = tune_model(dataset, rehearsal, folder / name, changed, method=method, strength=strength)
    took = {"training_s": time.monotonic() - start_s} if is_new else {}
    return score_model(world, pipeline, manner, common) | took


def main() -> None:
    """Make the rows that are missing, and print the table after each."""
    store, folder, asked = Store(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    rows = read_table(folder)
    world = World.of(store)
    common = common_of_base(world, folder / "common.npy")
    for name in asked or [OWN_PICTURES, BASE, ARTIST, *METHODS]:
        if name in rows:
            continue
        if name == OWN_PICTURES:
            rows[name] = score_own_pictures(world)
        elif name == BASE:
            rows[name] = score_model(world, load_base(), "base_prompt", common)
        else:
            rows[name] = score_row(world, name, store, folder, common)
        keep_rows(folder, rows, "model", COLUMNS)


if __name__ == "__main__":
    main()
