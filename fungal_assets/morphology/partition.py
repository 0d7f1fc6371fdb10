"""How many clusters a cloud of points has, and which.

Belongs here: k-means on the unit sphere, the stability of a k, and the choice among several. Points come in,
numbers go out; pictures and files are elsewhere.

Every k is fitted again on 80 % subsamples, each fit assigning all points. Two things are read from these fits: how far
they agree on the whole (stability, the mean adjusted Rand index over pairs of fits), and how whole each cluster comes
back (its return, the mean over fits of the Jaccard index with the cluster that is most like it). The finest split is
chosen of which every cluster comes back and which loses no tightness (silhouette): a true cluster that is cut in two is
cut elsewhere by the next fit, which the returns of the two halves show and an index over all clusters hardly does.

k-means takes clusters for about equally wide, so that even the best k may cut a wide one, and with one less join two
tight ones. Of the split that was chosen two clusters become one where one of them is less than highly stable and the
two together are (`merge_halves`). In a cloud without gaps no two are, and nothing is merged.

References: U. von Luxburg, "Clustering Stability: An Overview", 2010; C. Hennig, "Cluster-wise assessment of cluster
stability", 2007, whose 0.75 for a stable and 0.85 for a highly stable cluster are taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fungal_assets.morphology.projection import to_unit

FITS, SUBSAMPLE_SHARE = 16, 0.8
STARTS = 4
MAX_TRIAL_POINTS, MAX_SMALL_POINTS, MAX_SILHOUETTE_POINTS = 4_000, 20_000, 2_000
LEAST_RETURN, HIGH_RETURN, NEARLY_TIGHT = 0.75, 0.85, 0.95
LEAST_CLUSTERS = 2
LEAST_IN_CLUSTER, LEAST_SHARE_OF_EVEN = 3, 0.2


@dataclass(frozen=True)
class Trial:
    """What trying one k has shown.

    Args:
        k: Number of clusters.
        stability: Mean adjusted Rand index between fits, 1 is perfect, 0 is chance.
        weakest: Least return of a cluster, 0 to 1.
        silhouette: Mean silhouette, -1 to 1.
        smallest: Points in the smallest cluster.
        is_sane: Whether that cluster has at least 3 points and a fifth of an even share.
    """

    k: int
    stability: float
    weakest: float
    silhouette: float
    smallest: int
    is_sane: bool


def fit_centroids(points: np.ndarray, k: int, seed: int, *, starts: int = STARTS) -> np.ndarray:
    """Centres of k clusters: by scikit-learn, or by faiss where there are more than 20,000 points.

    Args:
        points: float32, shape (n, c), unit rows.
        k: Number of clusters, at most the number of distinct points.
        seed: Seed of the starts.
        starts: Runs of k-means, of which the tightest counts.

    Returns:
        float32, shape (k, c), unit rows.
    """
    if len(points) > MAX_SMALL_POINTS:
        return to_unit(_fit_many(points, k, seed, starts))
    from sklearn.cluster import KMeans

    return to_unit(KMeans(k, n_init=starts, random_state=seed).fit(points).cluster_centers_)


def _fit_many(points: np.ndarray, k: int, seed: int, starts: int) -> np.ndarray:
    """A fit by faiss, which takes a sample of 256 points for each centre, so that its time is bounded."""
    import faiss

    faiss.omp_set_num_threads(1)  # sums over threads come in any order
    kmeans = faiss.Kmeans(points.shape[1], k, niter=40, nredo=starts, seed=seed, spherical=True)
    kmeans.train(np.ascontiguousarray(points, np.float32))
    assert kmeans.centroids is not None
    return kmeans.centroids


def assign_points(points: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each point: int labels, shape (n,), and all cosines, float32, shape (n, k)."""
    similarity = points @ centroids.T
    return similarity.argmax(axis=1), similarity


def try_k(points: np.ndarray, k: int, seed: int) -> Trial:
    """Try one k on points of shape (n, c); large clouds are thinned."""
    points = points[draw_rows(len(points), MAX_TRIAL_POINTS, seed)]
    labels, _ = assign_points(points, fit_centroids(points, k, seed))
    return judge_split(points, labels, fit_again(points, k, seed), k, seed)


def judge_split(
    points: np.ndarray, labels: np.ndarray, labelings: Sequence[np.ndarray], k: int, seed: int
) -> Trial:
    """What a split of points of shape (n, c) into k clusters is worth, by other labelings of the same points."""
    from sklearn.metrics import silhouette_score

    sizes = np.bincount(labels, minlength=k)
    rows = draw_rows(len(points), MAX_SILHOUETTE_POINTS, seed)
    has_split = len(np.unique(labels[rows])) > 1
    silhouette = silhouette_score(points[rows], labels[rows]) if has_split else 0.0
    least = max(LEAST_IN_CLUSTER, LEAST_SHARE_OF_EVEN * len(points) / k)
    return Trial(
        k,
        stability=measure_agreement(labelings),
        weakest=float(measure_returns(labels, labelings, k).min()),
        silhouette=float(silhouette),
        smallest=int(sizes.min()),
        is_sane=bool(sizes.min() >= least),
    )


def fit_again(points: np.ndarray, k: int, seed: int) -> list[np.ndarray]:
    """Labels of all points, int, shape (n,), by each of 16 fits that saw four fifths of them."""
    parts = enumerate(draw_parts(len(points), [seed, k], least=k))
    return [assign_points(points, fit_centroids(points[picked], k, seed + fit))[0] for fit, picked in parts]


def measure_agreement(labelings: Sequence[np.ndarray]) -> float:
    """Mean adjusted Rand index over pairs of labelings."""
    from sklearn.metrics import adjusted_rand_score

    return float(
        np.mean([adjusted_rand_score(one, other) for one, other in itertools.combinations(labelings, 2)])
    )


def measure_returns(labels: np.ndarray, labelings: Sequence[np.ndarray], k: int) -> np.ndarray:
    """How whole each of k clusters comes back: float, shape (k,), 0 to 1.

    The mean over labelings of the Jaccard index of the cluster with the one there that is most like it.
    """
    from sklearn.metrics import confusion_matrix

    best = []
    for other in labelings:
        width = max(k, int(other.max()) + 1)
        common = confusion_matrix(labels, other, labels=np.arange(width))
        union = common.sum(axis=1, keepdims=True) + common.sum(axis=0, keepdims=True) - common
        best.append((common / np.maximum(union, 1)).max(axis=1)[:k])
    return np.mean(best, axis=0)


def merge_halves(
    labels: np.ndarray, labelings: Sequence[np.ndarray], k: int, *, least_k: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Join clusters that come back poorly with what they come back with.

    The weakest goes first. A cluster whose return is below 0.85 is joined with the one that other labelings confuse it
    with most, if both together return from 0.85 on and more than either; and so on until none is.

    Args:
        labels: int, shape (n,), 0 to k - 1.
        labelings: Labels of the same points by other fits, int, shape (n,) each.
        k: Number of clusters.
        least_k: How many are left at least.

    Returns:
        The new cluster of each cluster, int, shape (k,), 0 to their number - 1; and the other labelings, in which the
        clusters that are most like two that were joined are one.
    """
    groups, labelings = np.arange(k), list(labelings)
    while (count := int(groups.max()) + 1) > least_k:
        joined = _join_weakest(groups[labels], labelings, count)
        if joined is None:
            break
        (one, other), labelings = joined
        groups[groups == other] = one
        groups = np.unique(groups, return_inverse=True)[1]
    return groups, labelings


def _join_weakest(
    labels: np.ndarray, labelings: Sequence[np.ndarray], k: int
) -> tuple[tuple[int, int], list[np.ndarray]] | None:
    """The first pair to be joined, the lower first, and the labelings with it joined; None where there is none."""
    likest = [_find_likest(labels, other, k) for other in labelings]
    confused = np.zeros((k, k))
    for other, like in zip(labelings, likest, strict=True):
        np.add.at(confused, (labels, like[other]), 1)
    confused /= confused.sum(axis=1, keepdims=True)
    np.fill_diagonal(confused, 0)
    confused += confused.T
    returns = measure_returns(labels, labelings, k)
    for weak in np.argsort(returns, kind="stable")[: int((returns < HIGH_RETURN).sum())].tolist():
        one, other = sorted((weak, int(confused[weak].argmax())))
        if not confused[one, other]:
            continue
        together = [_join(found, like, one, other) for found, like in zip(labelings, likest, strict=True)]
        united = np.where(labels == other, one, labels)
        union = measure_returns(united, together, k)[one]
        if union >= HIGH_RETURN and union > returns[[one, other]].max():
            return (one, other), together
    return None


def _find_likest(labels: np.ndarray, other: np.ndarray, k: int) -> np.ndarray:
    """For each cluster of another labeling, by its number, the one of k that shares the most points with it."""
    common = np.zeros((k, int(other.max()) + 1), int)
    np.add.at(common, (labels, other), 1)
    return common.argmax(axis=0)


def _join(other: np.ndarray, likest: np.ndarray, one: int, two: int) -> np.ndarray:
    """A labeling whose clusters that are most like either of two are one."""
    alike = np.flatnonzero(np.isin(likest, (one, two)))
    return np.where(np.isin(other, alike), alike[0], other) if len(alike) else other


def choose_trial(trials: Sequence[Trial]) -> Trial:
    """The finest split of which every cluster comes back and which is nearly as tight as the tightest of these.

    A cluster comes back from a return of 0.75. Where no split is such, the stablest is chosen. Splits with a tiny
    cluster count only if there are no others.
    """
    whole = [trial for trial in _prefer_sane(trials) if trial.weakest >= LEAST_RETURN]
    if not whole:
        return find_stablest(trials)
    tightest = max(trial.silhouette for trial in whole)
    loss = (1 - NEARLY_TIGHT) * abs(tightest)
    return max((trial for trial in whole if trial.silhouette >= tightest - loss), key=lambda trial: trial.k)


def find_stablest(trials: Sequence[Trial]) -> Trial:
    """The trial of highest stability, the finer of equals, among those that are sane, if any is."""
    return max(_prefer_sane(trials), key=lambda trial: (round(trial.stability, 3), trial.k))


def _prefer_sane(trials: Sequence[Trial]) -> Sequence[Trial]:
    return [trial for trial in trials if trial.is_sane] or trials


def draw_parts(count: int, seed: Sequence[int], *, least: int = 0) -> Iterator[np.ndarray]:
    """Row numbers of 16 draws of four fifths of `count` rows, of `least` at least, each in order."""
    size = max(least, round(SUBSAMPLE_SHARE * count))
    for fit in range(FITS):
        yield np.sort(np.random.default_rng([*seed, fit]).choice(count, size, replace=False))


def draw_rows(count: int, most: int, seed: int) -> np.ndarray:
    """Row numbers in their order: all of `count`, or `most` of them drawn where there are more."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
