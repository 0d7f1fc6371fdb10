"""Forms and pictures in words, for those who don't see them: colours, build, and where the weight is.

Belongs here: those words. Numpy and torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # noqa: TID253
from scipy import ndimage  # noqa: TID253

from fungal_assets.nomenclature.colours import colour_shares, main_colours, to_lab


def describe_form(piece: np.ndarray, colour: torch.Tensor) -> str:
    """What a form looks like: its colours, its build and where it is widest.

    Args:
        piece: bool, shape (n, n, n) along z, y, x.
        colour: float, shape (3, n, n, n), before the sigmoid.
    """
    if not piece.any():
        return "nothing"
    skin = piece & ~ndimage.binary_erosion(piece)
    colours = _colours_of(torch.sigmoid(colour)[:, torch.from_numpy(skin)])
    z, y, x = np.nonzero(piece)
    tall, wide = np.ptp(y) + 1, max(np.ptp(x), np.ptp(z)) + 1
    build = _build_of(tall, wide)
    middle = (y.mean() - y.min()) / tall
    weight = "top-heavy" if middle > 0.58 else "bottom-heavy" if middle < 0.42 else "balanced"
    return f"{colours}, {build}, {weight}"


def describe_picture(rgb: torch.Tensor, figure: torch.Tensor) -> str:
    """What a picture looks like: its figure's colours and build, and the ground's colours.

    Args:
        rgb: float, shape (3, N), sRGB, 0 to 1; the points of a square, row by row.
        figure: float, shape (N,), 0 to 1.
    """
    is_figure = figure.numpy() > 0.5
    ground = f"{_colours_of(rgb[:, ~is_figure])} ground" if not is_figure.all() else "no ground"
    if not is_figure.any():
        return f"no figure, {ground}"
    y, x = np.nonzero(is_figure.reshape(round(len(is_figure) ** 0.5), -1))
    build = _build_of(np.ptp(y) + 1, np.ptp(x) + 1)
    return f"{_colours_of(rgb[:, is_figure])} figure, {build}, {ground}"


def _colours_of(rgb: torch.Tensor) -> str:
    pixels = (rgb.T.numpy() * 255).round().astype(np.uint8)
    return " and ".join(main_colours(colour_shares(to_lab(pixels[None])[0]), least_share=0.2))


def _build_of(tall: Any, wide: Any) -> str:
    return "tall" if tall > 1.4 * wide else "broad" if wide > 1.4 * tall else "even"
