"""A tiny world for DCGANs: soft blobs of two colours at 64 px as prepared pictures, and a recipe of seconds."""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets.ancestors.dcgan_presets import Recipe
from fungal_assets.ancestors.dcgan_training import train_dcgan
from fungal_assets.collection.preparation import SCHEMA
from fungal_assets.shards import ShardWriter

SIDE_PX = 64
PICTURES = 40
RECIPE = Recipe(
    max_steps=6,
    batch_size=4,
    latent_size=8,
    width=4,
    learning_rate=2e-3,
    discriminator_rate=2e-3,
    loss="hinge",
    has_spectral_norm=True,
    augmentation="colour,translation,cutout",
    flips=True,
    ema_decay=0.9,
    watch_every_steps=3,
    watched_pictures=8,
    patience_looks=0,
    held_out_share=0.2,
    seed=3,
)


def blob(number: int) -> Image.Image:
    """A light disc on green or brown, its own in size and place."""
    rng = np.random.default_rng(number)
    ground = np.array([[60, 120, 50], [110, 70, 40]][number % 2], np.float32)
    down, right = np.mgrid[:SIDE_PX, :SIDE_PX]
    middle, radius = rng.uniform(24, 40, 2), rng.uniform(8, 18)
    inside = np.clip(radius - np.hypot(down - middle[0], right - middle[1]), 0, 1)[..., None]
    pixels = ground + inside * (np.array([220, 200, 180]) - ground) + rng.normal(0, 4, (SIDE_PX, SIDE_PX, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_squares(folder: Path, count: int = PICTURES) -> Path:
    """Prepared pictures in two shards."""
    with ShardWriter(folder, SCHEMA, shards=2, stem="images") as writer:
        for number in range(count):
            buffer = io.BytesIO()
            blob(number).save(buffer, "PNG")
            image_id = f"blob-{number:03d}"
            writer.write(
                {"image": {"bytes": buffer.getvalue(), "path": f"{image_id}.png"}, "image_id": image_id}
            )
    return folder


def train(prepared: Path, folder: Path, *, checkpoint_every_s: float = 0.0, tell=lambda _: None, **given):
    """Train in that world; `on_step` goes to the loop, what else is given changes the recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    heard = {"on_step": given.pop("on_step")} if "on_step" in given else {}
    recipe = dataclasses.replace(RECIPE, **given)
    how = {"size_px": SIDE_PX, "recipe": recipe, "checkpoint_every_s": checkpoint_every_s, "tell": tell}
    return train_dcgan(prepared, folder, **how, **heard)
