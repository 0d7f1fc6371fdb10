"""Whether a picture shows several fungi, told by its feature vector.

Bodies that stand close hide each other, and no shape of a silhouette tells a branching coral from five of them: on the
true masks of the specimens, too, shapes were right about three or more in half of the cases (`docs/log.md`). A feature
vector knows more. A logistic regression on pictures that the project's own generator rendered, half of them amid
clutter, gives the chance that there are three or more. Belongs here: reading it. Making it is
`python -m fungal_assets.pocket references`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.features import vector_blocks

COUNTS_PATH = Path(__file__).with_name("counts.npz")
LEAST_GROUP = 3


def chances_by_id(raw_images: Path, feature_vectors: Path) -> dict[str, float]:
    """How likely each specimen shows a group; memory holds one block of vectors, however many there are.

    Args:
        raw_images: A `raw_images` output, looked at where the vectors are by another extractor.
        feature_vectors: The `feature_vectors` output of it, by any extractor.

    Returns:
        By image id, 0 to 1.
    """
    found: dict[str, float] = {}
    for ids, vectors in vector_blocks(EfficientNetLite0(), feature_vectors, raw_images):
        found.update(zip(ids, group_chances(vectors).tolist(), strict=True))
    return found


def group_chances(vectors: np.ndarray) -> np.ndarray:
    """How likely pictures show `LEAST_GROUP` fungi or more.

    Args:
        vectors: Feature vectors of EfficientNet-Lite0, float, shape (n, 1280), rows of length 1.

    Returns:
        float64, shape (n,), 0 to 1.
    """
    from scipy.special import expit

    with np.load(COUNTS_PATH, allow_pickle=False) as arrays:
        return expit(vectors @ arrays["weights"].astype(float) + float(arrays["bias"]))
