"""Forms in words, for those who don't see them: colours, build, and where the weight is.

Belongs here: those words. Numpy and torch.
"""

from __future__ import annotations

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
    rgb = (torch.sigmoid(colour)[:, torch.from_numpy(skin)].T.numpy() * 255).astype(np.uint8)
    colours = main_colours(colour_shares(to_lab(rgb[None])[0]), least_share=0.2)
    z, y, x = np.nonzero(piece)
    tall, wide = np.ptp(y) + 1, max(np.ptp(x), np.ptp(z)) + 1
    build = "tall" if tall > 1.4 * wide else "broad" if wide > 1.4 * tall else "even"
    middle = (y.mean() - y.min()) / tall
    weight = "top-heavy" if middle > 0.58 else "bottom-heavy" if middle < 0.42 else "balanced"
    return f"{' and '.join(colours)}, {build}, {weight}"
