"""How far two sets of pictures are apart, and how far the pictures of one set are from each other.

Kernel inception distance (Binkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs", ICLR 2018): the squared
maximum mean discrepancy with the kernel k(x, y) = (x . y / d + 1)^3, estimated without bias

    MMD2 = sum_{i != j} k(x_i, x_j) / n(n-1) + sum_{i != j} k(y_i, y_j) / m(m-1) - 2 sum_{ij} k(x_i, y_j) / nm

so that it may be negative for sets of one distribution. Feature vectors here have length 1; they are taken as of length
sqrt(d), so that x . y / d is their cosine and the kernel runs from 0 to 8. Figures are comparable with each other, not
with those of the Inception network.

A figure of few pictures says little by itself. So each comes with what real pictures have: halves of one set against
each other (the floor), in samples as small as the set that is measured.
Belongs here: vectors to numbers.
"""

from __future__ import annotations

import numpy as np

DRAWS = 200
_INTERVAL = (0.025, 0.975)
MOST_IN_A_SUBSET = 100


def squared_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased estimate between sets of unit vectors, float, shapes (n, d) and (m, d), two rows or more each."""
    within = [_mean_off_diagonal(_kernel(rows, rows)) for rows in (first, second)]
    return float(sum(within) - 2 * _kernel(first, second).mean())


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first.astype(np.float64) @ second.T.astype(np.float64) + 1) ** 3


def _mean_off_diagonal(square: np.ndarray) -> float:
    count = len(square)
    return float((square.sum() - np.trace(square)) / (count * (count - 1)))


def mmd_interval(first: np.ndarray, second: np.ndarray, seed: int) -> tuple[float, float]:
    """Where 95 % of the estimates from random subsets lie.

    A subset is three quarters of the smaller set, from 2 to `MOST_IN_A_SUBSET` pictures of either, drawn without
    putting back; so the interval is wider than that of the whole sets would be.
    """
    rng = np.random.default_rng(seed)
    size = min(max(2, round(0.75 * min(len(first), len(second)))), MOST_IN_A_SUBSET)
    found = [
        squared_mmd(*(rows[rng.choice(len(rows), size, replace=False)] for rows in (first, second)))
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(found, _INTERVAL)
    return float(low), float(high)


def mean_distance(vectors: np.ndarray) -> float:
    """Mean of 1 - cosine over all pairs of unit vectors, float, shape (n, d), n at least 2: 0 for copies, up to 2."""
    return 1 - _mean_off_diagonal(vectors.astype(np.float64) @ vectors.T.astype(np.float64))


def floors(real: np.ndarray, count: int, seed: int) -> tuple[float, float] | None:
    """What samples of real pictures have: nineteen in twenty are under the first figure and over the second.

    Args:
        real: Vectors of the real pictures of one species, float, shape (m, d).
        count: How many pictures are to be measured; samples are as many, half of the real ones at most.
        seed: Of the samples.

    Returns:
        The squared MMD of a sample against the rest, and the mean distance within a sample over that within all; None
        of fewer than four real pictures, which have no two halves of two.
    """
    if len(real) < 4:
        return None
    rng = np.random.default_rng(seed)
    size = min(max(2, count), len(real) // 2)
    apart, spread = [], []
    for _ in range(DRAWS):
        order = rng.permutation(len(real))
        sample, rest = real[order[:size]], real[order[size:]]
        apart.append(squared_mmd(sample, rest))
        spread.append(mean_distance(sample))
    whole = mean_distance(real)
    return float(np.quantile(apart, 0.95)), float(np.quantile(spread, 0.05) / max(whole, 1e-9))
