"""Whether a species is new: further from every other cluster of real specimens than that cluster's own are.

Cosines to the clusters' centres are those of `recognition.likeness`, what all paintings share left out. The reach of a
cluster is the cosine that three quarters of its real images have to its centre, or more.
Belongs here: numbers to numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fungal_assets.galleries.recognition import likeness

_REACHED_BY = 0.75


@dataclass(frozen=True)
class Neighbour:
    """The other cluster that a species comes nearest to, for its reach.

    Args:
        cluster_id: Its id.
        distance: 1 - mean cosine of the species' pictures to its centre, 0 to 2.
        reach: The distance from its centre within which three quarters of its own real images lie.
    """

    cluster_id: int
    distance: float
    reach: float

    @property
    def is_apart(self) -> bool:
        """Whether the species lies beyond it."""
        return self.distance > self.reach


def measure_reaches(vectors: Mapping[int, np.ndarray], centres: np.ndarray) -> dict[int, float]:
    """The reach of every cluster, as a distance.

    Args:
        vectors: Projected vectors of the real images by cluster id, float, shape (m, c).
        centres: Centres of the clusters, float, shape (k, c).
    """
    return {
        cluster_id: float(np.quantile(1 - _to_own(points, cluster_id, centres), _REACHED_BY))
        for cluster_id, points in vectors.items()
    }


def _to_own(points: np.ndarray, cluster_id: int, centres: np.ndarray) -> np.ndarray:
    """Cosines of real images to the centre of their cluster, shape (m,)."""
    return likeness(points, np.full(len(points), cluster_id), centres)[:, cluster_id]


def find_neighbour(similarity: np.ndarray, own: int, reaches: Mapping[int, float]) -> Neighbour | None:
    """The cluster beside its own that a species is deepest in, or least far from.

    Args:
        similarity: Cosines of its pictures to every cluster's centre, float, shape (n, k).
        own: Its own cluster.
        reaches: Of the clusters that have real images.

    Returns:
        None where there is no other cluster.
    """
    distances = 1 - similarity.mean(axis=0)
    others = [
        Neighbour(cluster_id, float(distances[cluster_id]), reach)
        for cluster_id, reach in reaches.items()
        if cluster_id != own
    ]
    return min(others, key=lambda each: each.distance - each.reach, default=None)
