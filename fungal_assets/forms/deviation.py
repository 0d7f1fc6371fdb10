"""How far a thinned mesh lies from the surface that it stands for.

The distance is that of Hausdorff: from places all over each surface to the nearest place of the other, both ways, since
a spot that was filled lies far from the old surface, and a twig that was lost far from the new one. The nearest face is
sought among those of the nearest few of many places, then measured exactly.
Belongs here: that distance. Heavy libraries: import this module inside functions only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree  # noqa: TID253

_PLACES = 6_000
_CANDIDATES = 16


class Deviation(NamedTuple):
    """Distances between two surfaces, in the unit of their vertices.

    Args:
        farthest: The largest, of places drawn on both.
        mean: The mean over both.
    """

    farthest: float
    mean: float


def measure_deviation(mesh: tuple[np.ndarray, np.ndarray], whole: tuple[np.ndarray, np.ndarray]) -> Deviation:
    """How far two surfaces lie apart.

    Args:
        mesh: Vertices, float, shape (n, 3), and faces, int, shape (m, 3).
        whole: The other's; at least one face each.
    """
    draws = [_draw(*surface) for surface in (mesh, whole)]
    there = _distances(draws[0][0], whole, draws[1])
    back = _distances(draws[1][0], mesh, draws[0])
    return Deviation(float(max(there.max(), back.max())), float((there.mean() + back.mean()) / 2))


def _draw(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places all over a surface, the same each time, and the face of each; every corner of a face is one."""
    triangles = vertices[faces].astype(np.float64)
    sides = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    areas = np.cumsum(np.linalg.norm(sides, axis=1))
    rng = np.random.default_rng(0)
    owners = np.searchsorted(areas, rng.random(_PLACES) * areas[-1]).clip(max=len(faces) - 1)
    first, second = np.sqrt(rng.random((_PLACES, 1))), rng.random((_PLACES, 1))
    shares = np.concatenate([1 - first, first * (1 - second), first * second], 1)
    drawn = np.einsum("nk,nkd->nd", shares, triangles[owners])
    used, at = np.unique(faces, return_index=True)
    return np.concatenate([drawn, vertices[used]]), np.concatenate([owners, at // 3])


def _distances(
    places: np.ndarray,
    surface: tuple[np.ndarray, np.ndarray],
    drawn: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """From each place to a surface, of which places and their faces are drawn: float64, shape (n,)."""
    vertices, faces = surface
    _, nearest = cKDTree(drawn[0]).query(places, k=_CANDIDATES)
    triangles = vertices[faces[drawn[1][nearest]]].astype(np.float64)
    return _to_triangles(places[:, None], triangles).min(1)


def _to_triangles(p: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """From places (n, 1, 3) to triangles (n, k, 3, 3): float64, shape (n, k)."""
    a, b, c = (triangles[..., i, :] for i in range(3))
    across = np.cross(b - a, c - a)
    length = np.maximum(np.linalg.norm(across, axis=-1), 1e-30)
    sides = [_dot(np.cross(end - start, p - start), across) for start, end in ((a, b), (b, c), (c, a))]
    is_above = np.stack(sides).min(0) >= 0
    to_edges = np.stack([_to_segment(p, start, end) for start, end in ((a, b), (b, c), (c, a))]).min(0)
    return np.where(is_above, np.abs(_dot(p - a, across)) / length, to_edges)


def _to_segment(p: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    along = end - start
    share = (_dot(p - start, along) / np.maximum(_dot(along, along), 1e-30)).clip(0, 1)
    return np.linalg.norm(p - start - share[..., None] * along, axis=-1)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1)
