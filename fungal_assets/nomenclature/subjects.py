"""Where the subject of a picture is: a mask by its distance in colour from the border.

The border is described by the few colours it is made of (k-means in CIE Lab); a pixel's distance from the
nearest of them, weighed by its nearness to the centre, is split in two by Otsu's threshold (1979). A row of the
picture whose two ends are alike passes behind the subject, so its own ends count as the border too: a haze over
the horizon, which is little of the border, is ground all the same. Small parts are dropped and holes are filled.
Belongs here: masks. What is measured inside and outside of them (`attributes`) does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from fungal_assets.nomenclature.colours import to_lab

SIDE_PX = 128
MEASURED_PX = 2 * SIDE_PX
"""Side of the squares of specimens that are measured."""
_BORDER_PX = 7
_BORDER_COLOURS = 4
_LEAST_BORDER_SHARE = 0.12
_CENTRE_SIGMA = 0.42
_LEAST_PART = 0.2
_BARK_CHROMA, _BARK_LIGHTNESS = 17.0, 42.0
_ROUNDS = 12
_NEAR = 2.5
_NOISE = np.array([9.0, 4.0, 4.0], np.float32)
"""Least spread of a border colour per channel of Lab."""
_ROW_MEAN_PX = 5
_MIDDLE, _MOST_INNER = slice(48, 80), 0.5
_ALIKE, _ROW_SPREAD = 1.0, 1.4
"""How far the ends of a row may differ, and how far what lies between them may from the nearer, in units of noise."""
_CENTRAL_RATIO = 1.6


@dataclass(frozen=True)
class Subject:
    """One picture taken apart.

    Args:
        lab: The upright centre square, CIE Lab, float32, shape (128, 128, 3).
        mask: Where the subject is, bool, shape (128, 128); never empty.
        parts: How many separate parts the mask has.
    """

    lab: np.ndarray
    mask: np.ndarray
    parts: int

    @property
    def share(self) -> float:
        """Share of the frame that the subject covers, 0 to 1."""
        return float(self.mask.mean())


def find_subject(image: Image.Image) -> Subject:
    """Find the subject of a picture of any size and mode."""
    image.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))
    square = ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (SIDE_PX, SIDE_PX))
    lab = to_lab(np.asarray(square))
    distance = np.minimum(_border_distance(lab), _row_distance(lab))
    distance = _blur(distance) * _centre_weight()
    mask, parts = _keep_parts(_split(distance))
    return Subject(lab, mask, parts)


def _border_distance(lab: np.ndarray) -> np.ndarray:
    """Distance of each pixel from the border's colours, in units of their spread: float32 (128, 128)."""
    ring = np.ones(lab.shape[:2], bool)
    ring[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    border = lab[ring]
    centres, labels = _border_colours(border)
    kinds = [labels == index for index in range(_BORDER_COLOURS)]
    shares = np.array([kind.mean() for kind in kinds])
    distances = np.stack(
        [
            np.sqrt((((lab - centre) / _spread(border[kind])) ** 2).sum(-1))
            if kind.any()
            else np.full(ring.shape, np.inf)
            for centre, kind in zip(centres, kinds, strict=True)
        ]
    )
    return distances[_is_ground(distances, shares, centres)].min(0)


def _row_distance(lab: np.ndarray) -> np.ndarray:
    """Distance of each pixel from the nearer end of its row: float32 (128, 128).

    It is infinite where the ends differ, and where they are of the colour of the middle of the picture: there a subject
    runs out of the frame on both sides.
    """
    from scipy.ndimage import uniform_filter1d

    ends = np.stack([lab[:, :_BORDER_PX].mean(1), lab[:, -_BORDER_PX:].mean(1)])
    ends = uniform_filter1d(ends, _ROW_MEAN_PX, axis=1, mode="nearest")
    is_alike = np.linalg.norm((ends[0] - ends[1]) / _NOISE, axis=-1) < _ALIKE
    inner = lab[_MIDDLE, _MIDDLE].reshape(1, -1, 3)
    is_inner = np.linalg.norm((ends.mean(0)[:, None] - inner) / _NOISE, axis=-1) < _NEAR
    is_alike &= is_inner.mean(1) < _MOST_INNER
    distances = np.linalg.norm((lab[None] - ends[:, :, None]) / (_ROW_SPREAD * _NOISE), axis=-1).min(0)
    return np.where(is_alike[:, None], distances, np.inf)


def _border_colours(border: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Few colours for many pixels (k-means from quantiles of lightness): centres (k, 3), indices (n,)."""
    ranks = np.linspace(0, len(border) - 1, 2 * _BORDER_COLOURS + 1).astype(int)[1::2]
    centres = border[np.argsort(border[:, 0], kind="stable")][ranks]
    for _ in range(_ROUNDS):
        labels = ((border[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
        centres = np.stack(
            [border[labels == k].mean(0) if (labels == k).any() else c for k, c in enumerate(centres)]
        )
    return centres, labels


def _is_ground(distances: np.ndarray, shares: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Which of the border's colours are ground: a subject that reaches the border fills the centre more.

    The colour of bark is always ground: a trunk, too, fills the centre and runs out of the frame.

    Args:
        distances: Distance of each pixel from each border colour, float32 (k, 128, 128).
        shares: Share of each in the border, float (k,).
        centres: The border colours, Lab, float32 (k, 3).
    """
    quarter = SIDE_PX // 4
    centre = distances[:, quarter:-quarter, quarter:-quarter]
    nearest = centre.argmin(0)
    is_near = centre.min(0) < _NEAR
    central = np.array([((nearest == index) & is_near).mean() for index in range(len(shares))])
    is_bark = (np.hypot(centres[:, 1], centres[:, 2]) < _BARK_CHROMA) & (centres[:, 0] < _BARK_LIGHTNESS)
    fits = (shares >= _LEAST_BORDER_SHARE) & (is_bark | (central <= _CENTRAL_RATIO * shares))
    return fits if fits.any() else shares == shares.max()


def _spread(pixels: np.ndarray) -> np.ndarray:
    """Standard deviation per channel, not under what noise makes."""
    return np.maximum(pixels.std(0), _NOISE)


def _centre_weight() -> np.ndarray:
    steps = np.linspace(-1, 1, SIDE_PX, dtype=np.float32)
    square = steps[:, None] ** 2 + steps[None] ** 2
    return np.exp(-square / (2 * (2 * _CENTRE_SIGMA) ** 2))


def _blur(values: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.minimum(values, 12.0), 1.5)


def _split(values: np.ndarray) -> np.ndarray:
    from skimage.filters import threshold_otsu

    if float(np.ptp(values)) < 1e-6:
        return np.ones(values.shape, bool)
    return values > threshold_otsu(values)


def _keep_parts(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """The mask without parts under `_LEAST_PART` of the greatest, holes filled, and how many are left."""
    from scipy.ndimage import binary_fill_holes, binary_opening, label

    opened = binary_opening(mask, iterations=2)
    labels, count = label(opened if opened.any() else mask)
    sizes = np.bincount(labels.ravel())[1:]
    kept = [index + 1 for index in range(count) if sizes[index] >= _LEAST_PART * sizes.max()]
    return binary_fill_holes(np.isin(labels, kept)), len(kept)
