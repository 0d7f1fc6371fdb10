"""Looks at a DCGAN in training: how far its pictures are from real ones held out, and whether they are all alike.

The distance is the kernel distance of `galleries.distances` between feature vectors, which falls as the pictures come
to look like real ones that the networks never saw; a loss says nothing of that kind. The variety is the mean distance
between two drawn pictures over that between two real ones: near 1 for a sound generator, near 0 for one that has
collapsed onto a few pictures, which the kernel distance may overlook.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch  # noqa: TID253

from fungal_assets.ancestors.dcgan_drawing import draw_pictures, latents_of, settle
from fungal_assets.ancestors.dcgan_presets import Recipe
from fungal_assets.galleries.distances import mean_distance, squared_mmd
from fungal_assets.galleries.reading import embed_images
from fungal_assets.morphology.extractors import Extractor
from fungal_assets.previews import contact_sheet, save_sheet

LOOKS, SHOWN, COLUMNS = "looks", 32, 8


@dataclass(frozen=True)
class Looks:
    """What each look is held against; all looks draw from the same noise.

    Args:
        recipe: How the generator is trained.
        size_px: Side of the pictures.
        held_out: Feature vectors of the pictures held out, float32, shape (m, d), unit rows.
        extractor: What makes the vectors.
        folder: Where the sheets go.
    """

    recipe: Recipe
    size_px: int
    held_out: np.ndarray
    extractor: Extractor
    folder: Path

    def at(self, state: Mapping[str, torch.Tensor], step: int) -> dict[str, float | None]:
        """Draw with a generator's state, write a sheet, and measure `kid` and `variety`."""
        generator = settle(state, self.size_px, self.recipe.latent_size, self.recipe.width)
        latents = latents_of(self.recipe.watched_pictures, self.recipe.latent_size, self.recipe.seed)
        drawn = list(draw_pictures(generator, latents))
        path = self.folder / LOOKS / f"step-{step:06d}.webp"
        path.parent.mkdir(exist_ok=True)
        save_sheet(contact_sheet(drawn[:SHOWN], columns=COLUMNS, tile_px=self.size_px), path)
        return measure(embed_images(drawn, self.extractor), self.held_out)


def measure(drawn: np.ndarray, real: np.ndarray) -> dict[str, float | None]:
    """Kernel distance and variety of drawn pictures' vectors against real ones', float32, shapes (n, d) and (m, d)."""
    return {
        "kid": round(squared_mmd(drawn, real), 5),
        "variety": round(mean_distance(drawn) / max(mean_distance(real), 1e-9), 4),
    }


def drop_later(folder: Path, steps: Sequence[int]) -> None:
    """Remove the sheets of looks that are not among those steps, as a killed run may leave."""
    named = {f"step-{step:06d}.webp" for step in steps}
    for path in (folder / LOOKS).glob("*.webp"):
        if path.name not in named:
            path.unlink()
