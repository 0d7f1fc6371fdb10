"""Where along its longer side the square of a picture is cut: about its subject.

Belongs here: one number for each picture, its focus: 0 is the left or upper end of the upright picture, 0.5 the centre,
1 the right or lower end. Cutting is in `decoding`.

The subject is where the classifier of fungi finds what it calls the picture by (class activation mapping). A picture in
which it sees no fungus, as most that are painted or rendered, keeps its centre.

Reference: B. Zhou et al., "Learning Deep Features for Discriminative Localization", 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fungal_assets.collection.decoding import CENTRE

if TYPE_CHECKING:
    from fungal_assets.morphology.extractors import EfficientNetLite0

LEAST_PROBABILITY = 0.2
"""Of a fungus, from which on its place is believed: none of 248 photographs of other things, ImageNet's own, does."""
_LEAST_ASPECT = 1.03


def find_focus(image: Image.Image, eye: EfficientNetLite0) -> float:
    """Where the square of an upright RGB picture is cut, 0 to 1; a nearly square one is not looked at."""
    if max(image.size) < _LEAST_ASPECT * min(image.size):
        return CENTRE
    (probability,), (heat,) = eye.locate([image])
    if probability < LEAST_PROBABILITY:
        return CENTRE
    return place_square(heat, image.size)


def place_square(heat: np.ndarray, size: tuple[int, int]) -> float:
    """The focus that puts a square about the middle of what is above the mean, as far as the picture goes.

    Args:
        heat: float, shape (h, w), over the whole picture.
        size: Width and height of the picture, pixels; not equal.
    """
    width_px, height_px = size
    excess = np.clip(heat - heat.mean(), 0, None).sum(axis=0 if width_px > height_px else 1)
    if not excess.any():
        return CENTRE
    middle = float(excess @ (np.arange(len(excess)) + 0.5)) / float(excess.sum() * len(excess))
    share = min(size) / max(size)
    return float(np.clip((middle - share / 2) / (1 - share), 0, 1))
