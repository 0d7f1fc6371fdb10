"""Clusters as dense places between thin ones, of whatever shape: HDBSCAN.

Belongs here: the fit by one least size of a cluster, and how well its clusters come back. The choice among several
sizes is that of `partition` among several k. Specimens in thin places go to the nearest centre, since each is of some
species.

Reference: L. McInnes, J. Healy, S. Astels, "hdbscan: Hierarchical density based clustering", 2017; the leaves of its
tree are taken, which are of one kind each, rather than few large excesses of mass.
"""

from __future__ import annotations

import numpy as np

from fungal_assets.morphology.partition import (
    LEAST_CLUSTERS,
    MAX_TRIAL_POINTS,
    Trial,
    assign_points,
    draw_parts,
    draw_rows,
    judge_split,
)
from fungal_assets.morphology.projection import to_unit

MIN_SAMPLES = 2
LEAST_SIZES = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100)


def fit_density(points: np.ndarray, least: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of `least` points or more.

    Args:
        points: float32, shape (n, c), unit rows; of more than 4,000 a sample is clustered.
        least: Fewest points of a cluster.
        seed: Seed of the sample.

    Returns:
        Labels, int, shape (n,), and centres, float32, shape (k, c), unit rows; k is 0, and every label -1, where the
        points are one cloud.
    """
    from sklearn.cluster import HDBSCAN

    rows = draw_rows(len(points), MAX_TRIAL_POINTS, seed)
    picked = points[rows]
    model = HDBSCAN(
        min_cluster_size=least, min_samples=MIN_SAMPLES, cluster_selection_method="leaf", copy=True
    )
    dense = model.fit_predict(picked)
    k = int(dense.max()) + 1
    if k == 0:
        return np.full(len(points), -1), np.zeros((0, points.shape[1]), np.float32)
    centroids = to_unit(np.stack([picked[dense == label].mean(axis=0) for label in range(k)]))
    labels, _ = assign_points(points, centroids)
    is_dense = dense >= 0
    labels[rows[is_dense]] = dense[is_dense]
    return labels, centroids


def try_density(points: np.ndarray, least: int, seed: int) -> Trial | None:
    """Try one least size on points of shape (n, c), of which 4,000 count; None where it finds under two clusters."""
    points = points[draw_rows(len(points), MAX_TRIAL_POINTS, seed)]
    labels, centroids = fit_density(points, least, seed)
    if len(centroids) < LEAST_CLUSTERS:
        return None
    return judge_split(points, labels, fit_density_again(points, least, seed), len(centroids), seed)


def fit_density_again(points: np.ndarray, least: int, seed: int) -> list[np.ndarray]:
    """Labels of all points, int, shape (n,), by each of 16 fits to four fifths of them; one cloud is one label."""
    labelings = []
    for picked in draw_parts(len(points), [seed, least]):
        seen, centroids = fit_density(points[picked], least, seed)
        labels = np.zeros(len(points), int)
        if len(centroids):
            labels, _ = assign_points(points, centroids)
            labels[picked] = seen
        labelings.append(labels)
    return labelings
