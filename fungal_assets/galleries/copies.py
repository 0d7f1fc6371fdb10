"""Whether a picture is a copy of a training image: re-encoded, cropped, mirrored, brighter, or painted by heart.

Feature vectors propose the few training images that may be its original, and beside them its layout does, the light and
dark of sixteen by sixteen spots: what a model painted by heart is soft, and to the vectors more like other soft things.
Neither can decide, since a JPEG of low quality is further from its own original than two specimens of one species are
from each other. Pixels decide: the greatest
normalised cross-correlation of the picture's middle with the original, over scales, places and the mirror image, after
what is wider than a tenth of the picture (light, ground, where the fungus stands) is taken from both.

Measured (docs/log.md, 2026-11-29): 60 specimens and their five nearest others at most 0.761, 60 photographs at most
0.687, the paintings of a sound growth at most 0.818. Specimens and photographs saved anew, cropped to 0.8 at a corner
or softened at least 0.939; brightened until a part of the light is lost, or mirrored, cropped, brightened and saved
anew at once, 0.92 and more in the median and nineteen in twenty over 0.865. Hence the limit, which gives a picture the
benefit of the doubt.
Belongs here: one picture and its original. Which training images there are is read in `originals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageOps

MIN_CORRELATION = 0.86
CANDIDATES, CANDIDATES_BY_LAYOUT = 5, 2
SIDE_PX, LAYOUT_PX = 48, 16
_SCALES = (0.72, 0.8, 0.87, 0.94, 1.0, 1.1)
_MARGIN = 0.125
_WIDEST = 1 / 10


@dataclass(frozen=True)
class Original:
    """The training image that a picture is most like.

    Args:
        image_id: Its id.
        cosine: Cosine of the feature vectors, -1 to 1.
        correlation: Greatest correlation of the pixels, -1 to 1.
    """

    image_id: str
    cosine: float
    correlation: float

    @property
    def is_copied(self) -> bool:
        """Whether the picture is a copy of it."""
        return self.correlation >= MIN_CORRELATION


class Traced:
    """A picture whose original is sought: the middles of it and of its mirror image, at every scale.

    Args:
        image: The picture, any square size.
    """

    def __init__(self, image: Image.Image):
        self._image = image

    @cached_property
    def _templates(self) -> list[np.ndarray]:
        return [
            _middle(relief(turned, round(SIDE_PX * scale)))
            for turned in (self._image, ImageOps.mirror(self._image))
            for scale in _SCALES
        ]

    def correlation(self, original: Image.Image) -> float:
        """The greatest correlation with a training image, -1 to 1; 0 where either has nothing to correlate."""
        from skimage.feature import match_template

        ground = relief(original, SIDE_PX)
        return max(float(match_template(ground, template).max()) for template in self._templates)


def relief(image: Image.Image, side_px: int) -> np.ndarray:
    """A picture's luma without what is wide: float32, shape (side_px, side_px), grey levels about 0."""
    from scipy.ndimage import gaussian_filter

    small = image.convert("L").resize((side_px, side_px), Image.Resampling.BICUBIC)
    luma = np.asarray(small, np.float32)
    return luma - gaussian_filter(luma, side_px * _WIDEST)


def layouts(image: Image.Image) -> np.ndarray:
    """The layout of a picture and of its mirror image: float32, shape (2, LAYOUT_PX ** 2), rows of length 1 or 0."""
    found = np.stack([relief(turned, LAYOUT_PX).ravel() for turned in (image, ImageOps.mirror(image))])
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def _middle(square: np.ndarray) -> np.ndarray:
    margin = round(len(square) * _MARGIN)
    return square[margin : len(square) - margin, margin : len(square) - margin]


def find_original(image: Image.Image, candidates: Sequence[tuple[str, float, Image.Image]]) -> Original:
    """The one of some training images that a picture's pixels are most like.

    Args:
        image: The picture.
        candidates: Id, cosine and picture of one training image or more.
    """
    traced = Traced(image)
    found = [
        Original(image_id, round(cosine, 4), round(traced.correlation(original), 4))
        for image_id, cosine, original in candidates
    ]
    return max(found, key=lambda each: (each.correlation, each.cosine))
