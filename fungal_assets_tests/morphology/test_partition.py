from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from fungal_assets.morphology.partition import Trial, assign_points, choose_trial, fit_centroids, try_k
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


def test_the_finest_of_the_nearly_stablest_is_chosen():
    trials = [Trial(3, 0.80, 0.2, 30, True), Trial(6, 0.73, 0.2, 12, True), Trial(9, 0.60, 0.3, 9, True)]
    assert choose_trial(trials).k == 6


def test_a_finer_split_that_is_looser_is_not_chosen():
    trials = [Trial(2, 0.9, 0.8, 30, True), Trial(5, 1.0, 0.6, 30, True), Trial(6, 0.96, 0.5, 12, True)]
    assert choose_trial(trials).k == 5


def test_a_split_with_a_tiny_cluster_is_chosen_only_if_there_is_no_other():
    tiny, sane = Trial(8, 0.9, 0.5, 1, False), Trial(4, 0.5, 0.2, 20, True)
    assert choose_trial([sane, tiny]).k == 4
    assert choose_trial([tiny]).k == 8
