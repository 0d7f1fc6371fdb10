"""Which form a cluster has, so that its name doesn't call a bracket a bonnet.

A cluster's mean feature vector is compared with that of each of sixteen morphotypes, measured on pictures that the
project's own generator rendered. All pictures of a source have something in common that is no form (they are renders,
or photographs, or soft); it is taken away on both sides. Belongs here: the comparison. The words for a form stand in
`words.csv` and `form_nouns.csv`; the vectors are made by `python -m fungal_assets.pocket references`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fungal_assets.nomenclature.tables import form_nouns

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


def likely_morphotypes(vectors: Mapping[int, np.ndarray], *, least_share: float) -> dict[int, list[str]]:
    """The morphotypes that each cluster is like, the likeliest first.

    Args:
        vectors: By cluster, the feature vectors of its members, float, shape (n, 1280).
        least_share: How like, as a share of the greatest likeness, 0 to 1; 1 gives the likeliest alone.

    Returns:
        By cluster, names such as `"bolete"`, at least one.
    """
    names, likeness = likeness_to_morphotypes(np.stack([rows.mean(axis=0) for rows in vectors.values()]))
    return {
        cluster_id: [
            names[form] for form in np.argsort(-row, kind="stable") if _is_like(row, form, least_share)
        ]
        for cluster_id, row in zip(vectors, likeness, strict=True)
    }


def sure_nouns(vectors: Mapping[int, np.ndarray], *, min_likeness: float) -> dict[int, str | None]:
    """What clusters are called by a form that they surely have, such as `"cup fungus"`.

    Args:
        vectors: By cluster, the feature vectors of its members, float, shape (n, 1280).
        min_likeness: Least cosine to the form, -1 to 1.

    Returns:
        By cluster, its noun, or None where no form is that like.
    """
    names, likeness = likeness_to_morphotypes(np.stack([rows.mean(axis=0) for rows in vectors.values()]))
    nouns = form_nouns()
    return {
        cluster_id: nouns[names[row.argmax()]] if row.max() >= min_likeness else None
        for cluster_id, row in zip(vectors, likeness, strict=True)
    }


def _is_like(likeness: np.ndarray, form: int, least_share: float) -> bool:
    """Whether one cosine of (16,) is that share of the greatest; the greatest is, even below 0."""
    greatest = likeness.max()
    return bool(likeness[form] >= min(least_share * greatest, greatest))


def _centred(vectors: np.ndarray) -> np.ndarray:
    """Unit rows about their mean; a lone row is left where it is."""
    rest = vectors - vectors.mean(axis=0) if len(vectors) > 1 else vectors
    return rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-12)
