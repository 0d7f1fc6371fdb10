"""A first guess at a form: a picture's silhouette, turned about its axis.

A guide that is asked from scratch where a cap and a stem go gives a lump more often than a stem. Its pictures on a
plain ground know better: the outline of one of them is what a form begins as, and distillation makes of it what all
views agree on. What is even about the axis becomes a body of revolution. What is not, as the branches of a coral, is
rounded by the balls of its medial axis (H. Blum, 1967) and stands out in several directions. (Forms from silhouettes
go back to B. Baumgart, "Geometric Modeling for Computer Vision", 1974.) Belongs here: finding the silhouette and what
is behind it, and turning it. Torch kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from PIL import Image
from scipy import ndimage  # noqa: TID253
from skimage.filters import threshold_otsu  # noqa: TID253
from skimage.morphology import convex_hull_image, medial_axis  # noqa: TID253

from fungal_assets.forms.solid import largest_piece, overlap
from fungal_assets.forms.volume import Camera, Volume, density_across

SIZE_PX = 128
"""Side that every picture is brought to first; all pixel counts below are of it."""
_SIDE_PX = 4
_BRIDGED_PX = 8
_BRIDGE = np.ones((7, 3), dtype=bool)
"""What a gap between a cap and its stem may be: upright more than wide."""
_FAINTEST = 0.1
"""Of the strongest contrast: a dark cap on a white stem is a subject too, a lit floor is not."""
_SHARE = (0.04, 0.6)
LEAST_MERIT = 0.55
_WAIST = 0.2
"""Share of its convex hull that a cap on a stem leaves out."""
_BLUR_PX = 4.0
_FOV_DEG = 29.0
PX_PER_UNIT = SIZE_PX / (2 * Camera.radius * math.tan(math.radians(_FOV_DEG) / 2))
_AT_ONCE = 1 << 17
"""Samples whose distances to all balls are in memory together."""
_MIN_COLOUR = 0.03
_LIKELY_LIGHTNESS = 0.35
_BRANCHES_DEG = (0, 60, 120)
"""Where the balls of the medial axis stand: each plane has two ends, so branches leave in six directions."""


@dataclass(frozen=True)
class Silhouette:
    """The subject of a picture.

    Args:
        picture: uint8, shape (128, 128, 3), sRGB.
        mask: bool, shape (128, 128): one piece without holes.
        axis_px: Column of its axis.
        symmetry: Intersection over union of the mask and its mirror image at the axis, 0 to 1.
        share: How much of all that stands out of the ground it holds, 0 to 1.
    """

    picture: np.ndarray
    mask: np.ndarray
    axis_px: float
    symmetry: float
    share: float

    @property
    def merit(self) -> float:
        """How fit it is for being turned: even about its axis, and no part left out."""
        return self.symmetry * self.share

    @property
    def evenness(self) -> float:
        """How alike in colour its left and its right are, 0 to 1; spots don't count, a dark side does."""
        blurred = ndimage.gaussian_filter(self.picture.astype(np.float32), (_BLUR_PX, _BLUR_PX, 0))
        mirrored = _mirror(blurred, self.axis_px)
        both = self.mask & _mirror(self.mask, self.axis_px)
        return 1 - float(np.abs(blurred - mirrored)[both].mean()) / 255 if both.any() else 0.0

    @property
    def appeal(self) -> float:
        """Its merit and evenness, of a ball seven tenths and of an outline with a waist, as of a cap on a stem, all.

        Any guide can be had to draw a ball, and what is turned as one stays one; a stem says more of a species.
        """
        waist = 1 - float(self.mask.sum() / convex_hull_image(self.mask).sum())
        return self.merit * self.evenness**2 * (0.7 + 0.3 * min(1.0, waist / _WAIST))

    @property
    def middle_px(self) -> float:
        """The row halfway between its top and its bottom."""
        rows = np.flatnonzero(self.mask.any(1))
        return float(rows[0] + rows[-1]) / 2

    @property
    def middle_shift(self) -> float:
        """How far its middle lies below the picture's, as a share of the picture's side."""
        return (self.middle_px - (SIZE_PX - 1) / 2) / SIZE_PX


def find_silhouette(picture: np.ndarray) -> Silhouette | None:
    """The subject of a picture on a plain ground, or None where none stands free of the borders.

    The ground may change downwards, as from a wall to a floor; each row's is what its two ends show.

    Args:
        picture: uint8, shape (H, W, 3), sRGB.
    """
    picture = _at_size(picture)
    pixels = picture.astype(np.float32)
    contrast = np.linalg.norm(pixels - _ground_of_rows(pixels)[:, None], axis=-1)
    contrast = ndimage.gaussian_filter(contrast, 1.0)
    if contrast.max() < 1:
        return None
    noise = float(np.quantile(np.concatenate([contrast[:, :_SIDE_PX], contrast[:, -_SIDE_PX:]]), 0.95))
    is_subject = contrast > min(float(threshold_otsu(contrast)), max(_FAINTEST * contrast.max(), 1.5 * noise))
    bridged = ndimage.binary_closing(np.pad(is_subject, _BRIDGED_PX), _BRIDGE)
    bridged = bridged[_BRIDGED_PX:-_BRIDGED_PX, _BRIDGED_PX:-_BRIDGED_PX]
    mask = largest_piece(ndimage.binary_opening(largest_piece(bridged), iterations=2))
    is_cut = any(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    if is_cut or not _SHARE[0] <= mask.mean() <= _SHARE[1]:
        return None
    axis_px = float(ndimage.center_of_mass(mask)[1])
    share = float((mask & is_subject).sum() / is_subject.sum())
    return Silhouette(picture, mask, axis_px, _symmetry(mask, axis_px), share)


def best_silhouette(pictures: Sequence[np.ndarray]) -> Silhouette | None:
    """The silhouette of most appeal, or None where no picture shows a free, upright subject.

    Args:
        pictures: uint8, each (H, W, 3), sRGB, of one subject on a plain ground, from its side.
    """
    found = [shape for picture in pictures if (shape := find_silhouette(picture))]
    fit = [shape for shape in found if shape.merit >= LEAST_MERIT]
    return max(fit, key=lambda shape: shape.appeal, default=None)


def find_backdrop(pictures: Sequence[np.ndarray], *, lightness: float, shift: float = 0.0) -> torch.Tensor:
    """What is behind the subject of such pictures, row by row: sRGB float32, shape (3, 128), 0 to 1, top first.

    Args:
        pictures: uint8, each (H, W, 3), sRGB.
        lightness: How light the ground should be, 0 to 1; where the pictures' is nowhere near, it is plain instead.
        shift: By how much of its side each picture is to be moved up.
    """
    rows = np.median([_ground_of_rows(_at_size(one).astype(np.float32)) for one in pictures], axis=0) / 255
    if abs(float(rows.mean()) - lightness) > _LIKELY_LIGHTNESS:
        rows = np.full_like(rows, lightness)
    moved = ndimage.shift(rows, (-shift * SIZE_PX, 0), order=1, mode="nearest")
    return torch.from_numpy(ndimage.gaussian_filter1d(moved, 2.0, axis=0).astype(np.float32).T.copy())


def revolve(shape: Silhouette, grid_size: int) -> Volume:
    """Turn a silhouette about its axis and paint it with its picture, once in front, behind and on each side.

    Each painting spans a quarter of the round and is the mirror image of its neighbours, so that no seam shows.

    Args:
        shape: The silhouette.
        grid_size: Samples along each side.
    """
    line = torch.linspace(-1, 1, grid_size)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    row = shape.middle_px - y * PX_PER_UNIT
    from_axis = (x.square() + z.square()).sqrt()
    to_core = from_axis - _at_rows(torch.from_numpy(_even_radii(shape)), row) / PX_PER_UNIT
    distance = torch.minimum(to_core, _distance_to_balls(shape, x, y, z))
    density = density_across(-distance * (grid_size - 1) / 2)
    reach = _at_rows(torch.from_numpy(_radii(shape)), row).clamp(min=1)
    around = torch.atan2(x, z)
    folded = torch.asin(torch.sin(2 * around)) / 2
    sideways = torch.minimum(from_axis * PX_PER_UNIT, 0.9 * math.sqrt(2) * reach) * torch.sin(folded)
    places = torch.stack([shape.axis_px + sideways, row], -1) * 2 / (SIZE_PX - 1) - 1
    painted = spread(shape.picture, shape.mask)
    flat = F.grid_sample(
        painted[None], places.reshape(1, -1, 1, 2), align_corners=True, padding_mode="border"
    )
    colour = torch.logit(flat.reshape(3, *x.shape).clamp(_MIN_COLOUR, 1 - _MIN_COLOUR))
    return Volume(density, colour)


def _at_size(picture: np.ndarray) -> np.ndarray:
    if picture.shape[:2] == (SIZE_PX, SIZE_PX):
        return picture
    return np.asarray(Image.fromarray(picture).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC))


def _ground_of_rows(pixels: np.ndarray) -> np.ndarray:
    """The middle colour of each row's two ends, shape (H, 3)."""
    return np.median(np.concatenate([pixels[:, :_SIDE_PX], pixels[:, -_SIDE_PX:]], axis=1), axis=1)


def _symmetry(mask: np.ndarray, axis_px: float) -> float:
    return overlap(mask, _mirror(mask, axis_px))


def _mirror(pixels: np.ndarray, axis_px: float) -> np.ndarray:
    """The mirror image at a column, shape (H, W) or (H, W, C); outside, the border, where no mask is."""
    columns = np.round(2 * axis_px - np.arange(pixels.shape[1])).astype(int)
    return pixels[:, columns.clip(0, pixels.shape[1] - 1)]


def _radii(shape: Silhouette) -> np.ndarray:
    """Half the reach of each row, float32 (128,), in pixels; below 0 where a row is empty."""
    first, last = shape.mask.argmax(1), shape.mask.shape[1] - shape.mask[:, ::-1].argmax(1)
    halves = np.where(shape.mask.any(1), (last - first) / 2, -2.0)
    return ndimage.gaussian_filter1d(halves, 1.0).astype(np.float32)


def _even_radii(shape: Silhouette) -> np.ndarray:
    """How far each row is filled on both sides of the axis, float32 (128,), in pixels; below 0 where it is not."""
    axis = round(shape.axis_px)
    right = np.logical_and.accumulate(shape.mask[:, axis:], axis=1).sum(1)
    left = np.logical_and.accumulate(shape.mask[:, axis::-1], axis=1).sum(1)
    both = np.minimum(left, right).astype(float)
    return ndimage.gaussian_filter1d(np.where(both > 0, both - 0.5, -2.0), 1.0).astype(np.float32)


def _distance_to_balls(shape: Silhouette, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Signed distance to the balls of the mask's medial axis in each of its planes; below 0 inside."""
    axis, radius_px = medial_axis(shape.mask, return_distance=True, rng=0)
    rows, columns = np.nonzero(axis)
    out, up = (columns - shape.axis_px) / PX_PER_UNIT, (shape.middle_px - rows) / PX_PER_UNIT
    angles = np.radians(_BRANCHES_DEG)
    planes = [np.stack([out * math.cos(angle), up, -out * math.sin(angle)], 1) for angle in angles]
    centres = torch.from_numpy(np.concatenate(planes)).float()
    radii = torch.from_numpy(np.tile(radius_px[rows, columns], len(planes)) / PX_PER_UNIT).float()
    parts = torch.stack([x, y, z], -1).reshape(-1, 3).split(_AT_ONCE)
    return torch.cat([(torch.cdist(part, centres) - radii).amin(1) for part in parts]).reshape(x.shape)


def _at_rows(values: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """Values (H,) at fractional rows, by linear interpolation; -2 beyond the ends."""
    low = row.floor().clamp(0, len(values) - 2).long()
    share = (row - low).clamp(0, 1)
    inside = values[low] * (1 - share) + values[low + 1] * share
    return torch.where((row >= 0) & (row <= len(values) - 1), inside, -2.0)


def spread(picture: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    """The picture with the subject's colours carried on beyond its edge: float32 (3, H, W), 0 to 1."""
    inner = ndimage.binary_erosion(mask, iterations=2)
    inner = inner if inner.any() else mask
    nearest = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    return torch.from_numpy(picture[tuple(nearest)].astype(np.float32) / 255).permute(2, 0, 1)
