"""Changing what the discriminator sees, so that few pictures last longer: one change for real and drawn pictures alike.

Zhao, Liu, Lin, Zhu and Han, "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020
(arXiv:2006.10738). A discriminator that sees a few hundred pictures again and again learns them by heart. Seen changed,
they are many; as drawn pictures are changed in the same way, and gradients pass through, the generator does not learn
the changes. Three kinds, each drawn per picture: light, saturation and contrast; a shift by up to an eighth of the
side; a grey square of half the side.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.ancestors.dcgan_presets import AUGMENTATIONS

COLOUR, TRANSLATION, CUTOUT = AUGMENTATIONS
MOST_BRIGHTER, SATURATIONS, CONTRASTS = 0.5, (0.0, 2.0), (0.5, 1.5)
MOST_SHIFTED, CUT = 1 / 8, 1 / 2


@dataclass(frozen=True)
class Change:
    """What is done to each of B pictures; None for what is left alone.

    Args:
        colour: Added light, saturation and contrast, float32, shape (3, B).
        shift: By how many pixels down and right, int64, shape (2, B).
        cut: The upper left corner of the square, row and column, int64, shape (2, B).
    """

    colour: torch.Tensor | None
    shift: torch.Tensor | None
    cut: torch.Tensor | None

    def to(self, device: torch.device) -> Change:
        """The same on a device; the shift stays where it is, as it is read row by row."""
        colour, cut = (None if each is None else each.to(device) for each in (self.colour, self.cut))
        return Change(colour, self.shift, cut)

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """The pictures changed, shape (B, 3, S, S); what comes in from outside and the square are 0, middle grey."""
        if self.colour is not None:
            images = _colour(images, self.colour)
        if self.shift is not None:
            images = _shift(images, self.shift)
        if self.cut is not None:
            images = images * _outside(self.cut, images.shape[-1], images.dtype)
        return images


def draw_change(kinds: str, count: int, size_px: int, generator: torch.Generator) -> Change:
    """A change of `count` pictures, each its own.

    Args:
        kinds: Names of `AUGMENTATIONS` between commas, or nothing.
        count: How many pictures.
        size_px: Their side.
        generator: Decides what is drawn, on the CPU.
    """
    chosen = kinds.split(",")
    unit = torch.rand(7, count, generator=generator)
    lows = torch.tensor([-MOST_BRIGHTER, SATURATIONS[0], CONTRASTS[0]])[:, None]
    highs = torch.tensor([MOST_BRIGHTER, SATURATIONS[1], CONTRASTS[1]])[:, None]
    most, side = round(size_px * MOST_SHIFTED), round(size_px * CUT)
    return Change(
        lows + (highs - lows) * unit[:3] if COLOUR in chosen else None,
        (unit[3:5] * (2 * most + 1)).long() - most if TRANSLATION in chosen else None,
        (unit[5:] * (size_px + 1)).long() - side // 2 if CUTOUT in chosen else None,
    )


def _colour(images: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    light, saturation, contrast = (row[:, None, None, None].to(images.dtype) for row in colour)
    images = images + light
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * saturation
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * contrast


def _shift(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """By slices, row by row: gathering would do the same in ten times the time."""
    side, most = images.shape[-1], round(images.shape[-1] * MOST_SHIFTED)
    wide = F.pad(images, (most,) * 4)
    moved = [
        each[:, most - down : most - down + side, most - right : most - right + side]
        for each, (down, right) in zip(wide.unbind(), shift.T.tolist(), strict=True)
    ]
    return torch.stack(moved)


def _outside(cut: torch.Tensor, size_px: int, dtype: torch.dtype) -> torch.Tensor:
    """0 within the square of each picture and 1 elsewhere, shape (B, 1, S, S)."""
    side, at = round(size_px * CUT), torch.arange(size_px, device=cut.device)
    rows, columns = ((at >= first[:, None]) & (at < first[:, None] + side) for first in cut)
    return (~(rows[:, :, None] & columns[:, None, :]))[:, None].to(dtype)
