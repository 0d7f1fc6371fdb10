"""Which points of a grid lie inside a mesh: each grid line is followed through the faces that it crosses.

Going along a line, the winding number rises by one where it enters a body and falls by one where it leaves it; so what
is inside of overlapping bodies is above 0, and no ray has to be traced for each point.
Belongs here: that count. Plain numpy.
"""

from __future__ import annotations

import numpy as np

_NUDGE = 1.2345e-6
"""A line through the very edge of two faces would cross both, or none: lines run a little beside the grid."""
_PAIRS_AT_ONCE = 4_000_000


def winding_numbers(triangles: np.ndarray, line: np.ndarray) -> np.ndarray:
    """How often the mesh goes round each point of a grid.

    Args:
        triangles: float64, shape (m, 3, 3), corners x, y, z, counter-clockwise from outside, within the grid.
        line: float64, shape (n,), equally spaced coordinates of the grid, the same along x, y and z.

    Returns:
        int16, shape (n, n, n) along z, y, x: 1 inside of one body, 2 where two overlap, 0 outside.
    """
    counts = np.zeros((len(line) + 1, len(line), len(line)), np.int16)
    step, low = line[1] - line[0], line[0]
    flat = (triangles[:, :, :2] - low - _NUDGE * np.array([1.0, 1.6180339])) / step
    first = np.ceil(flat.min(1)).astype(np.int64).clip(0, len(line))
    last = np.floor(flat.max(1)).astype(np.int64).clip(-1, len(line) - 1)
    spans = (last - first + 1).clip(0)
    for chosen in _in_portions(spans.prod(1)):
        _count(counts, flat[chosen], (triangles[chosen, :, 2] - low) / step, first[chosen], spans[chosen])
    return np.cumsum(counts[:-1], axis=0, dtype=np.int16)


def _in_portions(sizes: np.ndarray) -> list[np.ndarray]:
    """Indices with a size above 0, in groups of at most about `_PAIRS_AT_ONCE` together."""
    there = np.flatnonzero(sizes)
    portions = np.cumsum(sizes[there]) // _PAIRS_AT_ONCE
    return [there[portions == portion] for portion in np.unique(portions)]


def _count(
    counts: np.ndarray, flat: np.ndarray, depth: np.ndarray, first: np.ndarray, spans: np.ndarray
) -> None:
    """Note every crossing of some triangles at the first grid point behind it."""
    sizes = spans.prod(1)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    number = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    x = first[owner, 0] + number % spans[owner, 0]
    y = first[owner, 1] + number // spans[owner, 0]
    a, b, c = (flat[:, corner] for corner in range(3))
    twice = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    twice = np.where(twice == 0, np.nan, twice)
    at_x, at_y = x - a[owner, 0], y - a[owner, 1]
    with np.errstate(invalid="ignore"):
        u = (at_x * (c - a)[owner, 1] - at_y * (c - a)[owner, 0]) / twice[owner]
        v = (at_y * (b - a)[owner, 0] - at_x * (b - a)[owner, 1]) / twice[owner]
        meets = (u >= 0) & (v >= 0) & (u + v <= 1)
    owner, x, y, u, v = (values[meets] for values in (owner, x, y, u, v))
    along = (
        depth[owner, 0] + u * (depth[owner, 1] - depth[owner, 0]) + v * (depth[owner, 2] - depth[owner, 0])
    )
    behind = np.ceil(along).astype(np.int64).clip(0, len(counts) - 1)
    np.add.at(counts, (behind, y, x), np.where(twice[owner] > 0, -1, 1).astype(np.int16))
