"""Silhouette plausibility: whether the outline of a form, seen from any side, is one that a fungus has.

Each outline is brought to one height or width and laid over those of known forms of every morphotype
(`known`); its likeness is the largest intersection over union. Two caps on two stems, a torn body or a ball with a tail
are unlike all of them. `python -m fungal_assets.forms.silhouettes` writes the known ones again. Belongs here:
outlines and their likeness. Limits stand in `checks`. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.forms.showing import frame
from fungal_assets.forms.solid import matter_level
from fungal_assets.forms.views import orbit
from fungal_assets.forms.volume import Volume, render

KNOWN_PATH = Path(__file__).with_name("silhouettes.npz")
SIDE_PX = 32
ELEVATION_DEG = 4.0
KNOWN_EACH, KNOWN_VIEWS, KNOWN_SEED = 12, 4, 47_000_000
_VIEW_PX, _KNOWN_GRID = 64, 64


@torch.inference_mode()
def outlines(volume: Volume, azimuths: int) -> np.ndarray:
    """Outlines of a form from evenly spread azimuths: bool, shape (azimuths, 32, 32); see `settle`."""
    from dataclasses import replace

    framed, fov_deg = frame(volume)
    cameras = orbit(azimuths, elevation_deg=ELEVATION_DEG)
    masks = [render(framed, replace(camera, fov_deg=fov_deg), _VIEW_PX).alpha > 0.5 for camera in cameras]
    return np.stack([settle(mask.numpy()) for mask in masks])


def settle(mask: np.ndarray) -> np.ndarray:
    """A mask's bounding box at 32 px along its longer side, on the middle of the lowest row: bool, shape (32, 32)."""
    settled = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return settled
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = SIDE_PX / max(box.shape)
    height, width = (max(1, round(side * scale)) for side in box.shape)
    small = F.interpolate(torch.from_numpy(box)[None, None].float(), (height, width), mode="area")[0, 0]
    left = (SIDE_PX - width) // 2
    settled[SIDE_PX - height :, left : left + width] = small.numpy() > 0.5
    return settled


def proportions(mask: np.ndarray) -> float:
    """Height over width of a mask's bounding box: bool, shape (H, W), somewhere true."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return float((rows[-1] + 1 - rows[0]) / (columns[-1] + 1 - columns[0]))


def proportions_kept(volume: Volume, picture: float) -> float:
    """How much of its picture's proportions a form has from in front: the lesser over the greater, 0 to 1.

    A cap that lost its stem on the way has half of them or less, however like a fungus it is.

    Args:
        volume: The form, not empty (`solid.matter_level`).
        picture: Height over width of the subject of the picture that it began as.
    """
    cell_alpha = volume.cell_alpha().numpy()
    own = proportions((cell_alpha >= matter_level(cell_alpha)).any(0))
    return min(own, picture) / max(own, picture)


def likeness(shapes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The largest intersection over union of each outline with any known one or its mirror image.

    Args:
        shapes: bool, shape (n, 32, 32).
        known: bool, shape (k, 32, 32).

    Returns:
        float, shape (n,), 0 to 1.
    """
    own = shapes.reshape(len(shapes), -1).astype(np.float32)
    both = np.concatenate([known, known[:, :, ::-1]]).reshape(2 * len(known), -1).astype(np.float32)
    shared = own @ both.T
    union = own.sum(1)[:, None] + both.sum(1) - shared
    return (shared / np.maximum(union, 1)).max(1)


def known_outlines() -> tuple[np.ndarray, np.ndarray]:
    """The outlines that ship, bool, shape (k, 32, 32), and the number of the form that each is of, int, shape (k,)."""
    with np.load(KNOWN_PATH, allow_pickle=False) as kept:
        bits, number = kept["bits"], kept["number"]
    return np.unpackbits(bits, axis=1).astype(bool).reshape(-1, SIDE_PX, SIDE_PX), number


def draw_known(numbers: Sequence[int]) -> np.ndarray:
    """The outlines of known forms by their numbers: bool, shape (4 * len(numbers), 32, 32)."""
    from fungal_assets.forms.known import known_volume
    from fungal_assets.pocket.fungarium import MORPHOTYPES, sample_portrait

    traits = [sample_portrait(KNOWN_SEED + n, morphotype=MORPHOTYPES[n % len(MORPHOTYPES)]) for n in numbers]
    return np.concatenate([outlines(known_volume(one, _KNOWN_GRID), KNOWN_VIEWS) for one in traits])


def _write_known(path: Path) -> None:
    from fungal_assets.pocket.fungarium import MORPHOTYPES

    numbers = range(KNOWN_EACH * len(MORPHOTYPES))
    bits = np.packbits(draw_known(numbers).reshape(-1, SIDE_PX * SIDE_PX), axis=1)
    np.savez_compressed(path, bits=bits, number=np.repeat(numbers, KNOWN_VIEWS).astype(np.int16))


if __name__ == "__main__":
    _write_known(KNOWN_PATH)
