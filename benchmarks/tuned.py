"""The pocket model as it comes and as it is tuned, for benchmarks that hold one against the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.methods import get_method
from fungal_assets.diffusion.rehearsal import ABOUT_FILE, rehearse
from fungal_assets.diffusion.training import Recipe, tune
from fungal_assets.diffusion.watching import UNWATCHED, Watching
from fungal_assets.pocket import MODEL_DIR
from fungal_assets.profiles import get_profile
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.shards import read_rows, shard_paths, write_table

Row = dict[str, Any]
Change = Callable[[Iterable[Row]], list[Row]]


def by_name_alone(rows: Iterable[Row]) -> list[Row]:
    """Every picture with the species' name as its only text."""
    return [row | {"text": row["species"], "texts": [row["species"]], "class_texts": []} for row in rows]


def rewrite(dataset: Path, folder: Path, change: Change) -> Path:
    """The training images of a dataset as one shard, changed; the held-out ones are left out."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    schema = pq.read_schema(shard_paths(dataset / "data", "train")[0])
    rows = change(read_rows(dataset / "data", stem="train"))
    write_table(folder / "data" / "train-00000-of-00001.parquet", rows, schema)
    return folder


def load_base() -> StableDiffusionPipeline:
    """The pocket model with the scheduler of its galleries."""
    pipeline = load_pipeline(MODEL_DIR, device="cpu", dtype=torch.float32)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    return pipeline


def rehearse_base(prompts: Path, folder: Path) -> Path:
    """What the profile rehearses of these prompts, in the folder; made only if it is not there yet."""
    if not (folder / ABOUT_FILE).exists():
        rehearse(prompts, folder, size_px=128, **get_profile("pocket").settings["rehearsal"])
    return folder


def tune_by_profile(
    dataset: Path,
    rehearsal: Path | None,
    folder: Path,
    changed: Mapping[str, Any],
    *,
    method: str = "lora",
    watching: Watching = UNWATCHED,
    prompts: Path | None = None,
    clusters: Path | None = None,
    tell: Tell = stay_silent,
) -> Recipe:
    """Tune as the profile does, but for `changed`; returns the recipe.

    Args:
        dataset: Output of `captioned_dataset`.
        rehearsal: What is rehearsed, of `rehearse_base`; None where nothing is.
        folder: Gets the weights, and `training.json` last; weights that are there already are taken as they are.
        changed: Fields of `fine_tuned_weights` and their values.
        method: How it is tuned.
        watching: When it is looked at; never by default.
        prompts: What looks draw.
        clusters: What they recognise species by.
        tell: Progress.
    """
    profile = get_profile("pocket")
    asked = dict.fromkeys(profile.settings["fine_tuned_weights"])
    settings = profile.fill("fine_tuned_weights", asked, method) | changed
    recipe = Recipe(**{name: settings[name] for name in Recipe.__dataclass_fields__})
    how = {name: settings[name] for name in ("base_model", "checkpoint_every_s")}
    if not (folder / "training.json").exists():
        tune(
            dataset,
            rehearsal,
            folder,
            prompts,
            clusters,
            method=method,
            **how,
            recipe=recipe,
            watching=watching,
            tell=tell,
        )
    return recipe


def tune_model(
    dataset: Path,
    rehearsal: Path,
    folder: Path,
    changed: Mapping[str, Any],
    *,
    method: str = "lora",
    strength: float = 1.0,
) -> StableDiffusionPipeline:
    """The pipeline with what `tune_by_profile` makes, so far from the base model towards the weights, 0 to 1."""
    recipe = tune_by_profile(dataset, rehearsal, folder, changed, method=method)
    pipeline = load_base()
    get_method(method, **recipe.of_method()).restore(pipeline, folder, strength=strength)
    return pipeline
