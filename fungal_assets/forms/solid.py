"""A grown volume made one clean body, and how solid it is.

Belongs here: pieces, haze and the figures of solidity. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch  # noqa: TID253
from scipy import ndimage  # noqa: TID253
from skimage.filters import apply_hysteresis_threshold  # noqa: TID253

from fungal_assets.errors import InputError
from fungal_assets.forms.priors import alpha_entropy
from fungal_assets.forms.volume import EMPTY, Camera, Volume, render

Mask = TypeVar("Mask", np.ndarray, torch.Tensor)
HALF_OPAQUE = 0.5
NEARLY_OPAQUE = 0.9
_LEAST_ALPHA = 0.05
_THIN_ALPHA = 0.12
_OPAQUE = 2.5
LEAST_PIECE = 0.01
"""Share of the matter from which on a piece counts; less is a speck."""
_REACH = 1 / 24
"""Half of the longest bridge, as a share of a side."""
_MOST_FULL = 0.6
"""Of its box: the share that no body fills, which stays clear of the sides, but a fog does."""


def matter_level(cell_alpha: np.ndarray) -> float:
    """The opacity that divides a form from the air: one half, or less for a form that is glassy all over.

    Args:
        cell_alpha: float, any shape, 0 to 1.

    Raises:
        InputError: Nothing is there at all.
    """
    densest = float(cell_alpha.max())
    if densest < _LEAST_ALPHA:
        raise InputError(
            f"the form is empty: its densest cell has an opacity of {densest:.3f}, expected {_LEAST_ALPHA} at least. "
            "Grow it with more iterations, another seed or a higher guidance_scale."
        )
    if densest > 2 * HALF_OPAQUE * 0.9 or (cell_alpha > HALF_OPAQUE).mean() > 1e-3:
        return HALF_OPAQUE
    return densest / 2


def largest_piece(is_matter: np.ndarray) -> np.ndarray:
    """The largest face-connected piece of a mask, its inner hollows filled: bool, the mask's shape."""
    piece, share = find_largest(is_matter)
    return ndimage.binary_fill_holes(piece) if share else piece


def find_largest(is_matter: np.ndarray) -> tuple[np.ndarray, float]:
    """The largest face-connected piece of a mask, bool, of the mask's shape, and its share of the matter; 0 of none."""
    pieces, sizes = label_pieces(is_matter)
    if not sizes.any():
        return is_matter, 0.0
    return pieces == int(sizes.argmax()), float(sizes.max() / sizes.sum())


def label_pieces(is_matter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The face-connected pieces of a mask, numbered from 1, int, of its shape; and by number their cells, 0 of 0."""
    pieces, _ = ndimage.label(is_matter)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces, sizes


def bridge(is_matter: np.ndarray) -> np.ndarray:
    """A mask whose larger pieces are joined where little lies between them, as where a stem just misses its cap.

    Pieces are joined by what closing (J. Serra, 1982) adds between them, as far as `_REACH`; specks are left alone.

    Args:
        is_matter: bool, any shape.

    Returns:
        bool, of the same shape: all matter, and the bridges.
    """
    pieces, sizes = label_pieces(is_matter)
    is_large = (sizes >= LEAST_PIECE * sizes.sum()) & (sizes > 0)
    if is_large.sum() < 2:
        return is_matter
    reach = max(1, round(_REACH * max(is_matter.shape)))
    closed = ndimage.binary_closing(np.pad(is_large[pieces], 2 * reach), iterations=reach)
    inner = tuple(slice(2 * reach, -2 * reach) for _ in is_matter.shape)
    gaps, _ = ndimage.label(closed[inner] & ~is_matter)
    touching = _neighbours(gaps, np.where(is_large, np.arange(len(sizes)), 0)[pieces])
    between, counts = np.unique(touching[:, 0], return_counts=True)
    return is_matter | np.isin(gaps, between[counts > 1])


def _neighbours(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which labels of one field lie face to face with which of another, 0 aside: int, shape (n, 2), each pair once."""
    pairs = []
    for axis in range(first.ndim):
        for one, other in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
            place = [slice(None)] * first.ndim
            place[axis] = one
            beside = [slice(None)] * first.ndim
            beside[axis] = other
            pairs.append(np.stack([first[tuple(place)].ravel(), second[tuple(beside)].ravel()], 1))
    found = np.concatenate(pairs)
    return np.unique(found[found.all(1)], axis=0)


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks of one shape, 0 to 1; 0 of two that are empty."""
    return int((one & other).sum()) / max(int((one | other).sum()), 1)


def count_pieces(is_matter: np.ndarray, *, least_share: float = LEAST_PIECE) -> int:
    """How many face-connected pieces of a mask hold at least `least_share` of its matter."""
    _, sizes = label_pieces(is_matter)
    return int((sizes[1:] >= least_share * max(sizes.sum(), 1)).sum())


def whole_share(volume: Volume) -> float:
    """The share of its matter that `tidy` keeps, 0 to 1: that of its largest piece; 0 where nothing is there."""
    try:
        return find_largest(_find_matter(volume.cell_alpha().numpy()))[1]
    except InputError:
        return 0.0


def _find_matter(cell_alpha: np.ndarray) -> np.ndarray:
    """Opaque cells, what thin matter hangs on to them, and bridges: bool, of the same shape; an error of nothing."""
    level = matter_level(cell_alpha)
    return bridge(apply_hysteresis_threshold(cell_alpha, min(_THIN_ALPHA, level / 4), level))


def tidy(volume: Volume, *, margin: int = 2) -> Volume:
    """The volume made one body: its largest piece opaque, all that is further than `margin` cells from it emptied.

    Thin matter, as of a stem, shows in a view though none of its cells is half opaque. What hangs on to opaque matter
    is therefore matter down to a quarter of its level, and made opaque; so is what joins two pieces (`bridge`).

    Raises:
        InputError: The form is empty, or a fog that fills its box.
    """
    cell_alpha = volume.cell_alpha().numpy()
    piece = largest_piece(_find_matter(cell_alpha))
    if piece.mean() > _MOST_FULL:
        raise InputError(
            f"the form is a fog: it fills {piece.mean():.0%} of its box, expected {_MOST_FULL:.0%} at most. "
            "Grow it with more iterations, another seed or a higher guidance_scale."
        )
    near = torch.from_numpy(ndimage.binary_dilation(piece, iterations=margin))
    hardened = torch.where(torch.from_numpy(piece), volume.density.clamp(min=_OPAQUE), volume.density)
    return Volume(torch.where(near, hardened, torch.tensor(EMPTY)), volume.colour, volume.bounds)


@torch.inference_mode()
def solidity(volume: Volume, cameras: Sequence[Camera], *, size_px: int = 64) -> dict[str, float]:
    """How much of the pictures a form covers, and how clear its outline is.

    Returns:
        alpha_coverage: Mean opacity of the pixels, 0 to 1.
        alpha_entropy: Mean entropy of the opacity in bits per pixel, 0 for a body with a knife's edge.
        opaque_share: Share of what the pictures show that nothing shines through, 0 to 1: opacity in pixels of at least
            `NEARLY_OPAQUE` over all of it. Only edges of a solid form are clearer; of a fog, everything.
    """
    alpha = torch.stack([render(volume, camera, size_px).alpha for camera in cameras])
    opaque = alpha[alpha >= NEARLY_OPAQUE].sum() / alpha.sum().clamp(min=1e-6)
    return {
        "alpha_coverage": float(alpha.mean()),
        "alpha_entropy": float(alpha_entropy(alpha)),
        "opaque_share": float(opaque),
    }
