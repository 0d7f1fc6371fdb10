"""Colours as screens have them and as light adds up: the transfer function of sRGB (IEC 61966-2-1) and its inverse.

Belongs here: that, for numpy arrays. The fungarium's is in `pocket.fungarium.palette`, for tensors.
"""

from __future__ import annotations

import numpy as np


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear RGB of sRGB; both float, 0 to 1, beyond which they are cut off."""
    srgb = srgb.clip(0, 1)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """SRGB of linear RGB; both float, 0 to 1, beyond which they are cut off."""
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
