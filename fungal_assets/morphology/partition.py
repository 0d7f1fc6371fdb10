"""How many clusters a cloud of points has, and which.

Belongs here: k-means on the unit sphere, the stability of a k, and the choice among several. Points come in,
numbers go out; pictures and files are elsewhere.

A k is stable if fits on different parts of the points agree about all of them: the mean adjusted Rand index
over pairs of fits on 80 % subsamples. Starting from the stablest k, the finest split is chosen that stays nearly
as stable and loses no tightness (silhouette). The silhouette by itself, in trials, prefers too few.

Reference: U. von Luxburg, "Clustering Stability: An Overview", 2010.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fungal_assets.morphology.projection import to_unit

FITS, SUBSAMPLE_SHARE = 8, 0.8
STARTS = 4
MAX_TRIAL_POINTS, MAX_FIT_POINTS, MAX_SILHOUETTE_POINTS = 4_000, 50_000, 2_000
NEARLY_STABLE, NEARLY_TIGHT = 0.9, 0.95
LEAST_IN_CLUSTER, LEAST_SHARE_OF_EVEN = 3, 0.2


@dataclass(frozen=True)
class Trial:
    """What trying one k has shown.

    Args:
        k: Number of clusters.
        stability: Mean adjusted Rand index between fits, 1 is perfect, 0 is chance.
        silhouette: Mean silhouette, -1 to 1.
        smallest: Points in the smallest cluster.
        is_sane: Whether that cluster has at least 3 points and a fifth of an even share.
    """

    k: int
    stability: float
    silhouette: float
    smallest: int
    is_sane: bool


def fit_centroids(points: np.ndarray, k: int, seed: int, *, starts: int = STARTS) -> np.ndarray:
    """Centres of k clusters.

    Args:
        points: float32, shape (n, c), unit rows.
        k: Number of clusters, at most the number of distinct points.
        seed: Seed of the starts.
        starts: Runs of k-means, of which the tightest counts.

    Returns:
        float32, shape (k, c), unit rows.
    """
    from sklearn.cluster import KMeans

    if len(points) > MAX_FIT_POINTS:
        points = points[np.random.default_rng(seed).choice(len(points), MAX_FIT_POINTS, replace=False)]
    return to_unit(KMeans(k, n_init=starts, random_state=seed).fit(points).cluster_centers_)


def assign_points(points: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each point: int labels, shape (n,), and all cosines, float32, shape (n, k)."""
    similarity = points @ centroids.T
    return similarity.argmax(axis=1), similarity


def try_k(points: np.ndarray, k: int, seed: int) -> Trial:
    """Try one k on points of shape (n, c); large clouds are thinned."""
    from sklearn.metrics import silhouette_score

    points = _thin(points, MAX_TRIAL_POINTS, seed)
    labels, _ = assign_points(points, fit_centroids(points, k, seed))
    sizes = np.bincount(labels, minlength=k)
    has_split = sizes.max() < len(points)
    silhouette = (
        silhouette_score(
            points, labels, sample_size=min(len(points), MAX_SILHOUETTE_POINTS), random_state=seed
        )
        if has_split
        else 0.0
    )
    least = max(LEAST_IN_CLUSTER, LEAST_SHARE_OF_EVEN * len(points) / k)
    return Trial(
        k, measure_stability(points, k, seed), float(silhouette), int(sizes.min()), bool(sizes.min() >= least)
    )


def measure_stability(points: np.ndarray, k: int, seed: int) -> float:
    """Mean adjusted Rand index between fits on subsamples, each assigning all points."""
    from sklearn.metrics import adjusted_rand_score

    count = max(k, round(SUBSAMPLE_SHARE * len(points)))
    labelings = []
    for fit in range(FITS):
        rng = np.random.default_rng([seed, k, fit])
        picked = np.sort(rng.choice(len(points), count, replace=False))
        labelings.append(assign_points(points, fit_centroids(points[picked], k, seed + fit))[0])
    return float(
        np.mean([adjusted_rand_score(one, other) for one, other in itertools.combinations(labelings, 2)])
    )


def choose_trial(trials: Sequence[Trial]) -> Trial:
    """The finest split that is nearly as stable as the stablest and nearly as tight as the tightest of those.

    Cutting one of many true clusters in two hardly moves the Rand index, but it does move the silhouette.
    """
    best = find_stablest(trials)
    bar = NEARLY_STABLE * best.stability
    steady = [trial for trial in _prefer_sane(trials) if trial.k >= best.k and trial.stability >= bar]
    tightest = max(trial.silhouette for trial in steady)
    loss = (1 - NEARLY_TIGHT) * abs(tightest)
    return max((trial for trial in steady if trial.silhouette >= tightest - loss), key=lambda trial: trial.k)


def find_stablest(trials: Sequence[Trial]) -> Trial:
    """The trial of highest stability, the finer of equals, among those that are sane, if any is."""
    return max(_prefer_sane(trials), key=lambda trial: (round(trial.stability, 3), trial.k))


def _prefer_sane(trials: Sequence[Trial]) -> Sequence[Trial]:
    return [trial for trial in trials if trial.is_sane] or trials


def _thin(points: np.ndarray, most: int, seed: int) -> np.ndarray:
    if len(points) <= most:
        return points
    return points[np.sort(np.random.default_rng(seed).choice(len(points), most, replace=False))]
