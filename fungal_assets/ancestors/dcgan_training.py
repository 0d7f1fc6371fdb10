"""The stage from prepared squares to a trained generator: everything between the folders and the loop."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fungal_assets.ancestors.dcgan_presets import Recipe
from fungal_assets.progress import OnStep, Tell, ignore_step, stay_silent
from fungal_assets.shards import write_table
from fungal_assets.store import Figures, write_atomically

if TYPE_CHECKING:
    import numpy as np

    from fungal_assets.ancestors.dcgan_images import Squares
    from fungal_assets.morphology.extractors import Extractor

CURVE = pa.schema(
    [("step", pa.int64())]
    + [(name, pa.float64()) for name in ("generator_loss", "discriminator_loss", "real_score", "drawn_score")]
)
LOOKS = pa.schema([("step", pa.int64()), ("kid", pa.float64()), ("variety", pa.float64())])
STATES, CACHE = ".resume", ".cache"
EXTRACTOR = "efficientnet-lite0"
MOST_REAL = 500


def train_dcgan(
    prepared_images: Path,
    folder: Path,
    *,
    size_px: int,
    recipe: Recipe,
    checkpoint_every_s: float,
    tell: Tell = stay_silent,
    on_step: OnStep = ignore_step,
) -> Figures:
    """Train a DCGAN on all prepared pictures but those held out, and keep the generator of its best look.

    Args:
        prepared_images: Output of `preparation.prepare_images`.
        folder: Where `generator.safetensors`, `dcgan.json`, `loss.parquet`, `looks.parquet`, `curves.png` and
            `looks/step-*.webp` go; a killed run's state in it is gone on from.
        size_px: Side of the pictures, a power of two from 8.
        recipe: How it is trained.
        checkpoint_every_s: Seconds between two states.
        tell: Gets lines of progress.
        on_step: Hears of every step, with the figures that were read.

    Raises:
        InputError: The settings or the pictures cannot be used.
        TrainingError: A loss is not finite, or a state cannot be written.
    """
    from fungal_assets.ancestors.dcgan_adversaries import Adversaries
    from fungal_assets.ancestors.dcgan_curves import draw_curves
    from fungal_assets.ancestors.dcgan_drawing import ABOUT_NAME, settle, write_generator
    from fungal_assets.ancestors.dcgan_images import RealBatches, part, read_squares
    from fungal_assets.ancestors.dcgan_looks import Looks, drop_later
    from fungal_assets.ancestors.dcgan_loop import DcganLoop, best_look
    from fungal_assets.ancestors.dcgan_models import count_parameters
    from fungal_assets.diffusion.devices import deterministic, pick_device
    from fungal_assets.diffusion.encoding import key_of
    from fungal_assets.diffusion.states import take_best
    from fungal_assets.galleries.reading import embed_images
    from fungal_assets.morphology.extractors import describe_extractor, find_extractor

    recipe.refuse_impossible()
    device = pick_device()
    squares = read_squares(prepared_images, folder / CACHE, size_px=size_px, tell=tell)
    seen, held_out = part(squares.image_ids, recipe.held_out_share)
    extractor = find_extractor(EXTRACTOR)
    vectors = embed_images(squares.pictures(squares.rows(held_out)), extractor)
    real = RealBatches(squares, squares.rows(seen), recipe.batch_size, recipe.flips, recipe.seed, device)
    with deterministic(device):
        adversaries = Adversaries(recipe, size_px, device)
        run_key = key_of(dataclasses.asdict(recipe), size_px, seen, held_out, extractor.sha256)
        loop = DcganLoop(
            adversaries,
            real,
            recipe,
            Looks(recipe, size_px, vectors, extractor, folder).at,
            folder / STATES,
            run_key,
            checkpoint_every_s,
        )
        progress = loop.run(tell, on_step)
        best = best_look(progress.looks)
        state = adversaries.averaged()
        take_best(loop.states, state, int(best["step"] or 0))
    generator = settle(state, size_px, recipe.latent_size, recipe.width)
    drop_later(folder, [int(look["step"] or 0) for look in progress.looks])
    write_table(folder / "loss.parquet", progress.curve, CURVE)
    write_table(folder / "looks.parquet", progress.looks, LOOKS)
    draw_curves(folder / "curves.png", progress.curve, progress.looks, best)
    kid_of_real = _floor(squares, seen, vectors, extractor)
    about = {
        "size_px": size_px,
        "recipe": dataclasses.asdict(recipe),
        "sha256": write_generator(folder, generator),
        "step": best["step"],
        "steps": progress.step,
        "kid": best["kid"],
        "variety": best["variety"],
        "kid_of_real": kid_of_real,
        "extractor": describe_extractor(extractor),
        "trained_on": len(seen),
        "held_out": held_out,
    }
    write_atomically(folder / ABOUT_NAME, json.dumps(about, indent=1))
    return {
        "steps": progress.step,
        "step_kept": int(best["step"] or 0),
        "kid": best["kid"] or 0.0,
        "kid_of_real": kid_of_real,
        "variety": best["variety"] or 0.0,
        "trained_on": len(seen),
        "held_out": len(held_out),
        "generator_parameters": count_parameters(generator),
        "discriminator_parameters": count_parameters(adversaries.discriminator),
    }


def _floor(squares: Squares, seen: Sequence[str], held_out: np.ndarray, extractor: Extractor) -> float:
    """The kernel distance of as many pictures trained on to those held out: what a perfect generator would have."""
    from fungal_assets.galleries.distances import squared_mmd
    from fungal_assets.galleries.reading import embed_images

    rows = squares.rows(seen)[:MOST_REAL]
    return round(squared_mmd(embed_images(squares.pictures(rows), extractor), held_out), 5)
