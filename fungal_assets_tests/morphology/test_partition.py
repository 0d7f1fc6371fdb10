from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from fungal_assets.morphology import partition
from fungal_assets.morphology.partition import (
    Trial,
    assign_points,
    choose_trial,
    fit_again,
    fit_centroids,
    measure_returns,
    merge_halves,
    try_k,
)
from fungal_assets.morphology.projection import to_unit


def _planted(kinds: int, per_kind: int, spread: float, seed: int = 0):
    """Points about `kinds` random directions in 12 dimensions, and the kind of each."""
    rng = np.random.default_rng(seed)
    middles = to_unit(rng.normal(size=(kinds, 12)))
    kind = np.repeat(np.arange(kinds), per_kind)
    return to_unit(middles[kind] + rng.normal(0, spread, (len(kind), 12))), kind


@pytest.mark.parametrize("kinds, per_kind", [(3, 7), (5, 30), (8, 50)])
def test_planted_clusters_are_recovered_with_their_number(kinds, per_kind):
    points, kind = _planted(kinds, per_kind, 0.1)
    trials = [try_k(points, k, 0) for k in range(2, kinds + 4) if 3 * k <= len(points)]
    chosen = choose_trial(trials)
    labels, _ = assign_points(points, fit_centroids(points, chosen.k, 0))
    assert chosen.k == kinds
    assert adjusted_rand_score(kind, labels) > 0.99
    assert chosen.stability > 0.99 and chosen.smallest == per_kind


def test_points_without_clusters_are_not_stable():
    points = to_unit(np.random.default_rng(0).normal(size=(200, 12)))
    assert try_k(points, 6, 0).stability < 0.6


def test_the_same_seed_gives_the_same_trial():
    points, _ = _planted(4, 20, 0.4)
    assert try_k(points, 5, 7) == try_k(points, 5, 7)


def test_similarity_is_the_cosine_to_every_centre():
    centroids = np.eye(3, dtype=np.float32)
    labels, similarity = assign_points(to_unit(np.array([[1.0, 0, 0], [0, 3.0, 4.0]])), centroids)
    assert labels.tolist() == [0, 2] and np.allclose(similarity, [[1, 0, 0], [0, 0.6, 0.8]])


def trial(k, stability, weakest, is_sane=True, silhouette=0.3):
    return Trial(k, stability, weakest, silhouette, smallest=10, is_sane=is_sane)


def test_the_finest_split_of_which_every_cluster_comes_back_is_chosen():
    trials = [trial(3, 0.95, 0.9), trial(6, 0.85, 0.76), trial(9, 0.9, 0.74)]
    assert choose_trial(trials).k == 6


def test_a_finer_split_that_comes_back_but_is_looser_is_not_chosen():
    trials = [
        trial(2, 0.9, 0.7, silhouette=0.8),
        trial(5, 1.0, 1.0, silhouette=0.6),
        trial(6, 1.0, 0.9, silhouette=0.5),
    ]
    assert choose_trial(trials).k == 5


def test_where_no_split_comes_back_whole_the_stablest_is_chosen_the_finer_of_equals():
    trials = [trial(3, 0.5, 0.4), trial(6, 0.6, 0.2), trial(7, 0.6, 0.3), trial(9, 0.4, 0.7)]
    assert choose_trial(trials).k == 7


def test_a_split_with_a_tiny_cluster_is_chosen_only_if_there_is_no_other():
    tiny, sane = trial(8, 0.9, 0.9, is_sane=False), trial(4, 0.5, 0.2)
    assert choose_trial([sane, tiny]).k == 4
    assert choose_trial([tiny]).k == 8


def test_a_true_cluster_comes_back_and_the_halves_of_one_do_not():
    """Four kinds in five clusters: one kind is cut, and every fit cuts it elsewhere."""
    points, kind = _planted(4, 40, 0.1)
    labels, _ = assign_points(points, fit_centroids(points, 5, 0))
    returns = measure_returns(labels, fit_again(points, 5, 0), 5)
    is_half = np.array([np.bincount(kind[labels == label]).max() < 40 for label in range(5)])
    assert is_half.sum() == 2
    assert returns[is_half].max() < 0.75 < returns[~is_half].min()


def test_the_return_is_the_mean_of_the_best_jaccard_indices():
    labels = np.array([0, 0, 0, 1, 1, 1])
    same, other = 1 - labels, np.array([0, 0, 1, 1, 1, 1])
    assert np.allclose(measure_returns(labels, [same, other], 2), [(1 + 2 / 3) / 2, (1 + 3 / 4) / 2])


def test_many_points_are_fitted_by_faiss_to_the_same_clusters(monkeypatch):
    points, kind = _planted(6, 200, 0.15)
    few = assign_points(points, fit_centroids(points, 6, 0))[0]
    monkeypatch.setattr(partition, "MAX_SMALL_POINTS", 1000)
    centroids = fit_centroids(points, 6, 0)
    many = assign_points(points, centroids)[0]
    assert adjusted_rand_score(kind, many) > 0.99 and adjusted_rand_score(few, many) > 0.99
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)
    assert (fit_centroids(points, 6, 0) == centroids).all()


def test_a_sample_that_misses_the_small_cluster_has_no_silhouette_and_raises_nothing(monkeypatch):
    monkeypatch.setattr(partition, "MAX_SILHOUETTE_POINTS", 10)
    points = to_unit(np.random.default_rng(0).normal(size=(400, 4)))
    labels = np.zeros(400, int)
    labels[-1] = 1
    trial = partition.judge_split(points, labels, [labels], 2, seed=0)
    assert trial.silhouette == 0 and trial.smallest == 1 and not trial.is_sane


def one_wide_and_two_tight(seed=0):
    """Forty points each of a kind that is wide in all directions and of two that are tight, shape (120, 6)."""
    generator = np.random.default_rng(seed)
    middles, spreads = np.eye(6)[[0, 1, 2]], np.repeat([0.2, 0.03, 0.03], 40)
    kinds = np.repeat([0, 1, 2], 40)
    points = middles[kinds] + generator.normal(size=(120, 6)) * spreads[:, None]
    return to_unit(points.astype(np.float32)), kinds


def test_the_halves_of_a_wide_cluster_are_joined_and_nothing_else():
    points, kinds = one_wide_and_two_tight()
    labels, _ = assign_points(points, fit_centroids(points, 4, 0))
    assert len({*labels[kinds == 0]}) == 2, "k-means cuts it"
    groups, labelings = merge_halves(labels, fit_again(points, 4, 0), 4, least_k=2)
    assert adjusted_rand_score(kinds, groups[labels]) == 1
    assert measure_returns(groups[labels], labelings, 3).min() > 0.95


def test_no_fewer_clusters_are_left_than_are_asked_for():
    points, _ = one_wide_and_two_tight()
    labels, _ = assign_points(points, fit_centroids(points, 4, 0))
    assert merge_halves(labels, fit_again(points, 4, 0), 4, least_k=4)[0].tolist() == [0, 1, 2, 3]


def test_in_a_cloud_without_gaps_nothing_is_joined():
    points = to_unit(np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32))
    labels, _ = assign_points(points, fit_centroids(points, 6, 0))
    assert merge_halves(labels, fit_again(points, 6, 0), 6, least_k=2)[0].tolist() == list(range(6))


def test_clusters_that_come_back_stay_as_they_are():
    points, kinds = one_wide_and_two_tight()
    labels, _ = assign_points(points, fit_centroids(points, 3, 0))
    assert adjusted_rand_score(kinds, labels) == 1
    assert merge_halves(labels, fit_again(points, 3, 0), 3, least_k=2)[0].tolist() == [0, 1, 2]


def shuffle_between(labels, one, other, share):
    """Other labelings: of cluster `one` that share of the points has gone over to `other`, another part each time."""
    rows = np.flatnonzero(labels == one)
    moved = round(share * len(rows))
    labelings = []
    for turn in range(5):
        labeling = labels.copy()
        labeling[np.roll(rows, turn * moved)[:moved]] = other
        labelings.append(labeling)
    return labelings


def test_a_cluster_that_is_highly_stable_is_joined_with_nothing():
    labels = np.repeat([0, 1, 2], 40)
    labelings = shuffle_between(labels, 0, 1, 0.1)
    assert 0.85 < measure_returns(labels, labelings, 3).min() < 0.95
    assert merge_halves(labels, labelings, 3, least_k=2)[0].tolist() == [0, 1, 2]


def test_a_weak_cluster_is_not_joined_with_one_that_comes_back_better_alone():
    """It loses to the second and takes from the third, so that the second with it comes back a little worse."""
    labels = np.repeat([0, 1, 2], [20, 100, 100])
    labelings = shuffle_between(labels, 0, 1, 0.4)
    for turn, labeling in enumerate(labelings):
        labeling[120 + 10 * turn : 130 + 10 * turn] = 0
    returns = measure_returns(labels, labelings, 3)
    united = [np.where(labeling == 1, 0, labeling) for labeling in labelings]
    union = measure_returns(np.where(labels == 1, 0, labels), united, 3)[0]
    assert returns[0] < 0.85 < union < returns[1]
    assert merge_halves(labels, labelings, 3, least_k=2)[0].tolist() == [0, 1, 2]
