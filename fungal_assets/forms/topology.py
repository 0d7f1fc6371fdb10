"""What a triangle mesh is as a surface, wherever its vertices lie: closed, manifold, in how many pieces, which way out.

Belongs here: questions about faces. Making or mending them does not. Heavy libraries: import this module inside
functions only.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse  # noqa: TID253


def is_closed(faces: np.ndarray) -> bool:
    """Whether every edge joins exactly two faces that run it in opposite ways: closed, manifold and oriented."""
    if len(faces) == 0:
        return False
    begins, ends = faces.ravel().astype(np.int64), np.roll(faces, -1, axis=1).ravel().astype(np.int64)
    stride = int(faces.max()) + 1
    there = np.sort(begins * stride + ends)
    opposite = np.sort(ends * stride + begins)
    is_once = bool((np.diff(there) > 0).all())
    return is_once and bool((begins != ends).all()) and bool(np.array_equal(there, opposite))


def count_bodies(faces: np.ndarray, vertex_count: int) -> int:
    """How many bodies, not joined by any face, the used vertices form."""
    labels = label_bodies(faces, vertex_count)
    return len(np.unique(labels[faces]))


def label_bodies(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    """The number of the body that each vertex belongs to: int32, shape (vertex_count,)."""
    starts, ends = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    return _group(starts, ends, vertex_count)


def count_pinches(faces: np.ndarray) -> int:
    """How many fans of faces too many the vertices of a closed mesh hold, as the tip that two cones share."""
    return len(np.unique(find_fans(faces))) - len(np.unique(faces))


def find_fans(faces: np.ndarray) -> np.ndarray:
    """The fan that each corner of a closed mesh belongs to, faces joined round one vertex: int32, shape (3 m,)."""
    corners = np.arange(faces.size).reshape(-1, 3)
    begins, ends = faces.ravel().astype(np.int64), np.roll(faces, -1, axis=1).ravel().astype(np.int64)
    next_corner = np.roll(corners, -1, axis=1).ravel()
    stride = int(faces.max()) + 1
    order = np.argsort(begins * stride + ends)
    twin = order[np.searchsorted((begins * stride + ends)[order], ends * stride + begins)]
    # Across an edge from a to b, the corner at a meets the corner at a of the face that runs it from b to a.
    return _group(corners.ravel(), next_corner[twin], faces.size)


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume enclosed by a closed mesh, positive if the faces look outward."""
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def weld(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with the vertices of one place made one, as before it was cut along the seams of its texture."""
    places, which = np.unique(vertices, axis=0, return_inverse=True)
    return places, which.reshape(-1)[faces]


def fault_of(vertices: np.ndarray, faces: np.ndarray) -> str:
    """What keeps a mesh from being one closed, manifold body that faces outward; empty for such a body.

    Args:
        vertices: float, shape (n, 3).
        faces: int, shape (m, 3); not cut along seams (`weld`).
    """
    if len(faces) == 0:
        return "has no faces"
    if not is_closed(faces):
        return "is not closed and manifold"
    if pinches := count_pinches(faces):
        return f"is pinched at {pinches} vertices"
    bodies = count_bodies(faces, len(vertices))
    if bodies != 1:
        return f"is in {bodies} pieces"
    return "" if signed_volume(vertices, faces) > 0 else "is inside out"


def _group(starts: np.ndarray, ends: np.ndarray, count: int) -> np.ndarray:
    links = sparse.coo_matrix((np.ones(len(starts), bool), (starts, ends)), (count, count))
    return sparse.csgraph.connected_components(links, directed=False)[1]
