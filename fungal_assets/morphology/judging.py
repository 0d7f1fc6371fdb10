"""Which of a few known kinds a picture is most like, by its feature vector."""

from __future__ import annotations

import numpy as np

from fungal_assets.morphology.projection import to_unit


def recognise(vectors: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """The rank of every prototype for every vector, by cosine about the mean of the prototypes.

    What all prototypes share, such as being a photograph, does not count.

    Args:
        vectors: float, shape (n, d).
        prototypes: float, shape (k, d), two or more.

    Returns:
        int, shape (n, k): 0 for the nearest prototype, k - 1 for the farthest; ties go to the first.
    """
    middle = prototypes.mean(axis=0)
    similarity = to_unit(vectors - middle) @ to_unit(prototypes - middle).T
    return np.argsort(np.argsort(-similarity, axis=1, kind="stable"), axis=1)
