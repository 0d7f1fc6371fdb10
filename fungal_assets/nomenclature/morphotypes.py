"""Which form a cluster has, so that its name doesn't call a bracket a bonnet.

A cluster's mean feature vector is compared with that of each of sixteen morphotypes, measured on pictures that the
project's own generator rendered. All pictures of a source have something in common that is no form (they are renders,
or photographs, or soft); it is taken away on both sides. Belongs here: the comparison. The words for a form stand in
`words.csv`; the vectors are made by `python -m fungal_assets.pocket references`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

REFERENCES_PATH = Path(__file__).with_name("morphotypes.npz")


def likeness_to_morphotypes(vectors: np.ndarray) -> tuple[list[str], np.ndarray]:
    """How like each morphotype every vector is, without what all of the vectors have in common.

    Args:
        vectors: Feature vectors, float, shape (n, 1280).

    Returns:
        The morphotypes' names, and cosines, float32, shape (n, 16), -1 to 1.
    """
    with np.load(REFERENCES_PATH, allow_pickle=False) as arrays:
        names, references = arrays["morphotype"], arrays["vectors"].astype(np.float32)
    return names.tolist(), _centred(vectors) @ _centred(references).T


def nearest_morphotypes(vectors: Mapping[int, np.ndarray]) -> dict[int, str]:
    """The likeliest morphotype of each cluster.

    Args:
        vectors: By cluster, the feature vectors of its members, float, shape (n, 1280).

    Returns:
        By cluster, a name such as `"bolete"`.
    """
    names, likeness = likeness_to_morphotypes(np.stack([rows.mean(axis=0) for rows in vectors.values()]))
    return {cluster_id: names[row.argmax()] for cluster_id, row in zip(vectors, likeness, strict=True)}


def _centred(vectors: np.ndarray) -> np.ndarray:
    """Unit rows about their mean; a lone row is left where it is."""
    rest = vectors - vectors.mean(axis=0) if len(vectors) > 1 else vectors
    return rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-12)
