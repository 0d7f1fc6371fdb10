"""A surface whose sheets touch, taken apart into one closed manifold body.

Thinning makes sheets meet where they were near, as around a hole of a cell: an edge then has four faces, or a vertex
holds two fans of faces. No face is missing there, so nothing need be filled. Such an edge is split in two, each the
edge of two faces that have air between them, with a middle of its own that is moved a little; and each fan gets a
vertex of its own, moved likewise. So what met at an edge stays joined by a bridge; what met at a vertex only does not.
Where sheets have run through each other, air and matter are not to be told apart: the faces are joined by matter, if
more of them stay together then.
Belongs here: that repair. Heavy libraries: import this module inside functions only.
"""

from __future__ import annotations

import numpy as np

from fungal_assets.forms.topology import find_fans, label_bodies

_APART = 0.02
"""How far a vertex is moved, of the length of the surface's mean edge."""


def take_apart(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The largest body of a surface, its touching sheets taken apart.

    Args:
        points: float, shape (n, 3), x, y, z, right-handed.
        faces: int64, shape (m, 3), counter-clockwise from outside, no corner twice in one.

    Returns:
        Points, float32, and faces, the same where no sheets touch, with two more for each two at an edge of more
        than two; and how many faces other bodies had. A surface that is open or has an edge that isn't run as often
        one way as the other comes back as it was.
    """
    begins, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    stride = int(faces.max()) + 1
    there, back = begins * stride + ends, ends * stride + begins
    if not np.array_equal(np.sort(there), np.sort(back)):
        return points, faces, 0
    apart = _APART * float(np.linalg.norm(points[begins] - points[ends], axis=1).mean())
    edges, counts = np.unique(there, return_counts=True)
    crowded = [divmod(int(edge), stride) for edge in edges[counts > 1]]
    once = [edge for edge in crowded if edge[0] < edge[1]]
    tried = [_split(points, faces, once, apart, by_air=by_air) for by_air in (True, False)[: len(once) + 1]]
    return min(tried, key=lambda surface: surface[2])


def _split(
    points: np.ndarray, faces: np.ndarray, edges: list[tuple[int, int]], apart: float, *, by_air: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """The largest body once the edges and all vertices are split, and how many faces the others have."""
    outward = apart if by_air else -apart
    points, faces = _split_edges(points, faces, edges, outward, by_air=by_air)
    points, faces = _split_vertices(points, faces, outward)
    labels = label_bodies(faces, len(points))[faces[:, 0]]
    is_kept = labels == np.bincount(labels).argmax()
    used, kept = np.unique(faces[is_kept], return_inverse=True)
    return points[used].astype(np.float32), kept.reshape(-1, 3), int((~is_kept).sum())


def _split_edges(
    points: np.ndarray, faces: np.ndarray, edges: list[tuple[int, int]], apart: float, *, by_air: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Each of the edges, of four faces or more, as several of two, each by a middle of its own."""
    places, triangles = list(points.astype(np.float64)), [tuple(face) for face in faces.tolist()]
    for first, last in edges:
        forth, returning = (_find_apexes(triangles, *ends) for ends in ((first, last), (last, first)))
        pairs = _pair(places, first, last, forth, returning, by_air=by_air)
        for one, other, apex, other_apex in pairs:
            middle = len(places)
            outward = _normal(places, (first, last, apex)) + _normal(places, (last, first, other_apex))
            places.append((places[first] + places[last]) / 2 + apart * outward)
            triangles[one], triangles[other] = (first, middle, apex), (last, middle, other_apex)
            triangles += [(middle, last, apex), (middle, first, other_apex)]
    return np.array(places), np.array(triangles, np.int64)


def _find_apexes(triangles: list[tuple[int, ...]], first: int, last: int) -> dict[int, int]:
    """The third corner of each face that runs an edge from first to last, by the face's number."""
    return {
        number: face[(face.index(first) + 2) % 3]
        for number, face in enumerate(triangles)
        if first in face and face[(face.index(first) + 1) % 3] == last
    }


def _pair(
    places: list[np.ndarray],
    first: int,
    last: int,
    forth: dict[int, int],
    returning: dict[int, int],
    *,
    by_air: bool,
) -> list[tuple[int, int, int, int]]:
    """The faces on one edge two by two, the narrowest wedge between them first.

    Args:
        places: Of the vertices.
        first: Where the edge begins.
        last: Where it ends.
        forth: Third corner of each face that runs it from first to last (`_find_apexes`).
        returning: Of each that runs it back.
        by_air: Whether the wedge is of air, or of matter.

    Returns:
        Two faces and their third corners, for each pair.
    """
    axis = places[last] - places[first]
    axis = axis / max(float(np.linalg.norm(axis)), 1e-12)
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    upward = np.cross(axis, across)

    def angle(apex: int) -> float:
        side = places[apex] - places[first]
        return float(np.arctan2(side @ upward, side @ across))

    sign = 1 if by_air else -1
    # Air lies counter-clockwise of a face that runs the edge forth, clockwise of one that runs it back.
    wedges = sorted(
        ((angle(other_apex) - angle(apex)) * sign % (2 * np.pi), one, other, apex, other_apex)
        for one, apex in forth.items()
        for other, other_apex in returning.items()
    )
    pairs: list[tuple[int, int, int, int]] = []
    for _, one, other, apex, other_apex in wedges:
        if all(one != pair[0] and other != pair[1] for pair in pairs):
            pairs.append((one, other, apex, other_apex))
    return pairs


def _normal(places: list[np.ndarray], corners: tuple[int, int, int]) -> np.ndarray:
    a, b, c = (places[corner] for corner in corners)
    across = np.cross(b - a, c - a)
    return across / max(float(np.linalg.norm(across)), 1e-12)


def _split_vertices(points: np.ndarray, faces: np.ndarray, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Each fan of faces with a vertex of its own; those of one vertex moved along the mean normals of their faces."""
    _, first, fans = np.unique(find_fans(faces), return_index=True, return_inverse=True)
    own, faces = faces.ravel()[first], fans.reshape(-1, 3)
    places = points[own].astype(np.float64)
    corners = places[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = np.zeros_like(places)
    for corner in range(3):
        np.add.at(outward, faces[:, corner], normals)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-12)
    is_split = np.bincount(own)[own] > 1
    return places + apart * outward * is_split[:, None], faces
