"""Feature vectors onto the directions in which a collection varies.

Principal components without whitening, then unit length: near-equal pictures keep a small angle, and noise in
hundreds of directions that no specimen uses does not make every fit of k-means another. Kept as
`projection.npz`, so that pictures that come later land in the same space.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FEWEST_COMPONENTS, MOST_COMPONENTS = 8, 64
IMAGES_PER_COMPONENT = 10
MAX_FIT_IMAGES = 20_000


@dataclass(frozen=True)
class Projection:
    """A fitted projection.

    Args:
        mean: float32, shape (d,).
        components: float32, shape (c, d), orthonormal rows.
    """

    mean: np.ndarray
    components: np.ndarray

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Points of unit length, float32, shape (n, c), of feature vectors of shape (n, d)."""
        return to_unit((vectors - self.mean) @ self.components.T)

    def save(self, path: Path) -> None:
        """Write as npz with the arrays `mean` and `components`."""
        np.savez(path, mean=self.mean, components=self.components)

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["mean"], arrays["components"])


def fit_projection(vectors: np.ndarray) -> Projection:
    """The principal components of vectors of shape (n, d): one for ten images, 8 to 64, as far as they go."""
    from sklearn.decomposition import PCA

    count, dimensions = vectors.shape
    wanted = int(np.clip(count // IMAGES_PER_COMPONENT, FEWEST_COMPONENTS, MOST_COMPONENTS))
    components = min(wanted, count - 1, dimensions)
    solver = "covariance_eigh" if count > dimensions else "full"
    fitted = PCA(components, svd_solver=solver).fit(vectors)
    return Projection(fitted.mean_.astype(np.float32), fitted.components_.astype(np.float32))


def pick_rows(blocks: Iterable[np.ndarray], count: int, seed: int) -> np.ndarray:
    """The rows to fit a projection to: all, or where they are more `MAX_FIT_IMAGES` by chance, in their order.

    Args:
        blocks: Vectors, each of shape (n, d), one after the other.
        count: How many rows all blocks have.
        seed: Of the chance.
    """
    picked = np.arange(count)
    if count > MAX_FIT_IMAGES:
        picked = np.sort(np.random.default_rng(seed).choice(count, MAX_FIT_IMAGES, replace=False))
    kept, start = [], 0
    for block in blocks:
        within = picked[np.searchsorted(picked, start) : np.searchsorted(picked, start + len(block))]
        kept.append(block[within - start])
        start += len(block)
    return np.concatenate(kept)


def to_unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 as float32; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
