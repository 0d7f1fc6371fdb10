"""Forms as 8-bit pictures: framed, on a plain ground, exactly black where nothing is.

Belongs here: final renders. Films and files do not. Torch kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch  # noqa: TID253

from fungal_assets.forms.volume import Camera, Volume, crop, render, upsample

BLACK = (0.0, 0.0, 0.0)
_HAZE = 0.04
_BLEND_DEG = 5.0
_MARGIN = 1.06


def frame(volume: Volume) -> tuple[Volume, float]:
    """The volume cropped, moved to the middle of the picture, and the angle of view that holds it from all round.

    Returns:
        The volume, its foot's axis kept upright through the origin, and `fov_deg` for a camera of the usual radius.
    """
    small = crop(volume)
    low, high = small.bounds
    middle = [(low[i] + high[i]) / 2 for i in range(3)]
    bounds = (
        (low[0] - middle[0], low[1] - middle[1], low[2] - middle[2]),
        (high[0] - middle[0], high[1] - middle[1], high[2] - middle[2]),
    )
    wide = math.hypot(high[0] - low[0], high[2] - low[2]) / 2
    tall = (high[1] - low[1]) / 2
    reach = max(0.92 * wide, tall + 0.2 * wide)
    distance = Camera(0, 0).radius - 0.5 * wide
    return replace(small, bounds=bounds), 2 * math.degrees(math.atan(_MARGIN * reach / distance))


@torch.inference_mode()
def pictures(
    volume: Volume,
    cameras: Sequence[Camera],
    size_px: int,
    *,
    ground: tuple[float, float, float] = BLACK,
    finer: int = 2,
) -> Iterator[np.ndarray]:
    """Pictures of a form, one per camera, in turn.

    Args:
        volume: The form.
        cameras: Their angle of view is replaced by the one that frames the form.
        size_px: Side.
        ground: sRGB, 0 to 1.
        finer: How many times as fine the grid is made before.

    Yields:
        uint8, shape (size_px, size_px, 3).
    """
    framed, fov_deg = frame(volume)
    framed = upsample(framed, tuple(finer * (count - 1) + 1 for count in framed.density.shape))  # type: ignore[arg-type]
    for camera in cameras:
        view = render(framed, replace(camera, fov_deg=fov_deg), size_px, blend_deg=_BLEND_DEG)
        clear = ((view.alpha - _HAZE).clamp(min=0) / (1 - _HAZE) / view.alpha.clamp(min=1e-6)).clamp(max=1)
        picture = view.rgb * clear + (1 - view.alpha * clear) * torch.tensor(ground)[:, None, None]
        yield (picture.clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()
