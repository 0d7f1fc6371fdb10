import numpy as np

from fungal_assets.morphology.judging import recognise


def test_each_prototype_is_its_own_nearest():
    prototypes = np.random.default_rng(0).normal(size=(7, 20))
    assert recognise(prototypes, prototypes).diagonal().tolist() == [0] * 7


def test_ranks_follow_the_angle_about_the_middle():
    angles = np.radians([0, 90, 180, 270])
    prototypes = np.stack([np.cos(angles), np.sin(angles)], axis=1) + 100
    vector = np.array([[100 + np.cos(np.radians(20)), 100 + np.sin(np.radians(20))]])
    assert recognise(vector, prototypes).tolist() == [[0, 1, 3, 2]]


def test_what_all_prototypes_share_does_not_count():
    rng = np.random.default_rng(1)
    prototypes, vectors, shared = rng.normal(size=(5, 16)), rng.normal(size=(9, 16)), 50 * rng.normal(size=16)
    assert np.array_equal(recognise(vectors, prototypes), recognise(vectors + shared, prototypes + shared))


def test_every_row_is_a_ranking():
    rng = np.random.default_rng(2)
    ranks = recognise(rng.normal(size=(30, 8)), rng.normal(size=(6, 8)))
    assert np.array_equal(np.sort(ranks, axis=1), np.tile(np.arange(6), (30, 1)))
