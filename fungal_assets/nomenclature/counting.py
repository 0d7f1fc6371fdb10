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

COUNTS_PATH = Path(__file__).with_name("counts.npz")
LEAST_GROUP = 3


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
