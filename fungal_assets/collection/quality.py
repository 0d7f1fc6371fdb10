"""How good a picture is as a picture, in numbers that need no other picture: sharpness, blocks, pixels.

Belongs here: the measures. What is good enough is said in the profile and decided in `admission`.

All are of the luma at the scale at which it would be prepared. Sharpness is the energy that a blur of two pixels takes
away over the variance, so that contrast does not count:

    mean((g - w * g)^2) / var(g),    w = (1, 2, 3, 4, 5, 4, 3, 2, 1) / 25 down and across, of standard deviation 2

the mean over every fifth pixel each way, where scaling down by five blurs just so. Blockiness is that of JPEG: the
mean step across the strongest of the eight phases of a grid of 8 px over the mean step elsewhere. Pixelation is that of
an enlarged small picture: how much less than the mean step the 40th percentile is, column by column, since in a picture
of squares most columns equal their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import pyarrow as pa
from PIL import Image

BLOCK_PX = 8
BLUR_STEP_PX = 5
_SMALLEST_STEP = 1e-3
_LOW_SHARE = 0.4


@dataclass(frozen=True)
class Quality:
    """Measures of one picture.

    Args:
        sharpness: 0 for a plain blur, some hundredths for a photograph in focus, 1 for noise.
        blockiness: 1 where there are no blocks, 2 and more where they are seen.
        pixelation: 0 where steps are everywhere, 1 where most columns and rows equal their neighbours.
    """

    sharpness: float
    blockiness: float
    pixelation: float


def measure_quality(luma: Image.Image) -> Quality:
    """The measures of a picture of mode `L`, 32 px or larger."""
    levels = _levels(luma)
    steps = [_steps(levels, axis) for axis in (0, 1)]
    return Quality(
        _sharpness(luma, levels),
        min(_blockiness(one) for one in steps),
        min(_pixelation(one) for one in steps),
    )


def _levels(luma: Image.Image) -> np.ndarray:
    """The levels of a picture of mode `L`, uint8 (h, w), without a copy where it lies in one block of memory."""
    try:
        return np.asarray(pa.array(luma)).reshape(luma.height, luma.width)
    except ValueError:
        return np.asarray(luma)


def _sharpness(luma: Image.Image, levels: np.ndarray) -> float:
    """Of a picture and its levels, uint8 (h, w)."""
    columns, rows = luma.width // BLUR_STEP_PX, luma.height // BLUR_STEP_PX
    width_px, height_px = columns * BLUR_STEP_PX, rows * BLUR_STEP_PX
    blurred = luma.resize((columns, rows), Image.Resampling.BILINEAR, box=(0, 0, width_px, height_px))
    first = BLUR_STEP_PX // 2
    middles = levels[first:height_px:BLUR_STEP_PX, first:width_px:BLUR_STEP_PX]
    fine = middles.astype(np.float32) - np.asarray(blurred)
    return float(np.square(fine).mean()) / max(_variance(luma), _SMALLEST_STEP)


def _variance(luma: Image.Image) -> float:
    counts, values = np.array(luma.histogram(), np.float64), np.arange(256)
    share = counts / counts.sum()
    return float(share @ np.square(values - share @ values))


def _steps(levels: np.ndarray, axis: int) -> np.ndarray:
    """Mean step between neighbours at each place along an axis, float32 (n - 1,), of uint8 levels."""
    first, second = (levels[:-1], levels[1:]) if axis == 0 else (levels[:, :-1], levels[:, 1:])
    steps = np.maximum(first, second)
    steps -= np.minimum(first, second)
    sums = steps.sum(axis=1 - axis, dtype=np.uint32)
    return sums.astype(np.float32) / np.float32(steps.shape[1 - axis])


def _blockiness(steps: np.ndarray) -> float:
    phase = np.arange(len(steps)) % BLOCK_PX
    means = np.bincount(phase, steps, BLOCK_PX) / np.bincount(phase, minlength=BLOCK_PX)
    others = (means.sum() - means.max()) / (BLOCK_PX - 1)
    return float((means.max() + _SMALLEST_STEP) / (others + _SMALLEST_STEP))


def _pixelation(steps: np.ndarray) -> float:
    """Between the first and the last step: a plain ground around the subject does not count."""
    places = np.flatnonzero(steps > _SMALLEST_STEP)
    if not len(places):
        return 0.0
    inside = steps[places[0] : places[-1] + 1]
    place = _LOW_SHARE * (len(inside) - 1)
    below, above = np.partition(inside, (floor(place), ceil(place)))[[floor(place), ceil(place)]]
    low = below + (above - below) * (place - floor(place))  # as np.percentile has it, in a fifth of its time
    return float(1 - low / inside.mean())
