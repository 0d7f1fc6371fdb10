import numpy as np
import pytest

from fungal_assets.galleries.distances import DRAWS, floors, mean_distance, mmd_interval, squared_mmd
from fungal_assets.morphology.projection import to_unit


def cloud(count, *, towards=None, width=1.0, dimensions=32, seed=0):
    """Unit vectors about a direction; about none without one."""
    rows = width * np.random.default_rng(seed).normal(size=(count, dimensions))
    if towards is not None:
        rows[:, towards] += 6
    return to_unit(rows)


def spelt_out(first, second):
    """The estimator as the paper writes it, pair by pair."""
    n, m = len(first), len(second)
    kernel = lambda x, y: (float(x @ y) + 1) ** 3  # noqa: E731
    within = sum(kernel(first[i], first[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    without = sum(kernel(second[i], second[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within + without - 2 * sum(kernel(x, y) for x in first for y in second) / (n * m)


def test_the_distance_is_the_papers_estimator():
    first, second = cloud(5, towards=0), cloud(7, towards=1, seed=1)
    assert squared_mmd(first, second) == pytest.approx(spelt_out(first, second), rel=1e-5)


def test_the_distance_of_one_vector_each_is_a_difference_of_kernels():
    first, second = np.eye(2)[[0, 0, 0]], np.eye(2)[[1, 1]]
    assert squared_mmd(first, second) == pytest.approx(8 + 8 - 2 * 1)


def test_the_estimate_has_no_bias_where_both_sets_are_of_one_distribution():
    found = [squared_mmd(cloud(4, seed=seed), cloud(6, seed=1000 + seed)) for seed in range(400)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert min(found) < 0 < max(found)


def test_sets_further_apart_have_a_greater_distance_and_intervals_hold_it():
    base = cloud(40, towards=0)
    near, far = cloud(40, towards=0, width=1.3, seed=1), cloud(40, towards=1, seed=2)
    assert squared_mmd(base, near) < squared_mmd(base, far)
    low, high = mmd_interval(base, far, seed=0)
    assert low < squared_mmd(base, far) < high
    assert mmd_interval(base, far, seed=0) == (low, high)


def test_copies_have_no_distance_and_vectors_at_right_angles_have_one():
    assert mean_distance(np.eye(4)[[2, 2, 2]]) == pytest.approx(0)
    assert mean_distance(np.eye(4)) == pytest.approx(1)


def test_nineteen_of_twenty_samples_of_the_real_pass_both_floors():
    real = cloud(60, towards=0)
    most_apart, least_varied = floors(real, 4, seed=0)
    rng = np.random.default_rng(9)
    samples = [rng.permutation(len(real)) for _ in range(DRAWS)]
    apart = [squared_mmd(real[order[:4]], real[order[4:]]) for order in samples]
    spread = [mean_distance(real[order[:4]]) / mean_distance(real) for order in samples]
    assert 0.88 < np.mean(np.array(apart) <= most_apart) <= 1
    assert 0.88 < np.mean(np.array(spread) >= least_varied) <= 1


def test_too_few_real_pictures_have_no_halves():
    assert floors(cloud(3), 4, seed=0) is None
    assert floors(cloud(4), 40, seed=0) is not None
