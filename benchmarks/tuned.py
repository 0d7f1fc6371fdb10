"""The pocket model as it comes and as it is tuned, for benchmarks that hold one against the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.methods import get_method
from fungal_assets.diffusion.rehearsal import ABOUT_FILE, rehearse
from fungal_assets.diffusion.training import Recipe, tune
from fungal_assets.diffusion.watching import UNWATCHED
from fungal_assets.pocket import MODEL_DIR
from fungal_assets.profiles import get_profile


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


def rehearse_base(prompts: Path, folder: Path) -> Path:
    """What the profile rehearses of these prompts, in the folder; made only if it is not there yet."""
    if not (folder / ABOUT_FILE).exists():
        rehearse(prompts, folder, size_px=128, **get_profile("pocket").settings["rehearsal"])
    return folder


def tune_model(
    dataset: Path,
    rehearsal: Path,
    folder: Path,
    changed: Mapping[str, Any],
    *,
    method: str = "lora",
    strength: float = 1.0,
) -> StableDiffusionPipeline:
    """Tune as the profile does, but for `changed`; weights that are in the folder already are taken as they are.

    Args:
        dataset: Output of `captioned_dataset`.
        rehearsal: What is rehearsed, of `rehearse_base`.
        folder: Gets the weights, and `training.json` last.
        changed: Fields of `fine_tuned_weights` and their values.
        method: How it is tuned.
        strength: How far from the base model towards the tuned weights, 0 to 1.
    """
    profile = get_profile("pocket")
    asked = dict.fromkeys(profile.settings["fine_tuned_weights"])
    settings = profile.fill("fine_tuned_weights", asked, method) | changed
    how = {name: settings.pop(name) for name in ("base_model", "checkpoint_every_s")}
    recipe = Recipe(**{name: settings[name] for name in Recipe.__dataclass_fields__})
    if not (folder / "training.json").exists():
        tune(dataset, rehearsal, folder, method=method, **how, recipe=recipe, watching=UNWATCHED)
    pipeline = load_base()
    get_method(method, **recipe.of_method()).restore(pipeline, folder, strength=strength)
    return pipeline
