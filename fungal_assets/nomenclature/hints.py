"""What the feature vectors of pictures hint at, for their captions: how many fungi there are, and from which side.

Belongs here: reading the vectors once for all of it. What each hint is taken from stands in `counting` and
`orientation`, and how sure a hint must be to be said in `attributes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.features import vector_blocks
from fungal_assets.nomenclature import counting, orientation


@dataclass(frozen=True, slots=True)
class Hint:
    """What the feature vector of one picture hints at.

    Args:
        group_chance: How likely it shows three or more, 0 to 1.
        view: Its likeliest view, such as `"side view"`; empty for one at an angle.
        view_chance: How likely that is, 0 to 1.
    """

    group_chance: float
    view: str
    view_chance: float


def hint_at(vectors: np.ndarray) -> list[Hint]:
    """A hint for each feature vector of EfficientNet-Lite0: float, shape (n, 1280), rows of length 1."""
    groups, views = counting.group_chances(vectors).tolist(), orientation.likely_views(vectors)
    return [Hint(group, *view) for group, view in zip(groups, views, strict=True)]


def hints_by_id(raw_images: Path, feature_vectors: Path) -> dict[str, Hint]:
    """What the vector of each specimen hints at; memory holds one block of vectors, however many there are.

    Args:
        raw_images: A `raw_images` output, looked at where the vectors are by another extractor.
        feature_vectors: The `feature_vectors` output of it, by any extractor.

    Returns:
        By image id.
    """
    found: dict[str, Hint] = {}
    for ids, vectors in vector_blocks(EfficientNetLite0(), feature_vectors, raw_images):
        found.update(zip(ids, hint_at(vectors), strict=True))
    return found


def weights_of_hints() -> dict[str, Path]:
    """The files that hints are computed from, by what they tell."""
    return {"counts": counting.COUNTS_PATH, "views": orientation.VIEWS_PATH}
