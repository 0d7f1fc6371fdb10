"""A volume as a closed mesh, in metres, standing on the ground.

The surface is where a cell is half opaque (density times step = ln 2), on a grid twice as fine; only the largest piece
is kept, with its hollows filled, so that the mesh is one closed body. It is thinned to a budget of faces, its normals
come from the field, and its colours are a mean of the matter near each vertex.
Belongs here: volume to mesh. Files do not. Heavy libraries: import this module inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import numpy as np
from scipy import ndimage, sparse  # noqa: TID253
from skimage.measure import marching_cubes  # noqa: TID253

from fungal_assets.forms.solid import largest_piece, matter_level
from fungal_assets.forms.volume import Volume, upsample

HEIGHT_M = 0.14
_FOOT_SHARE = 0.1


@dataclass(frozen=True)
class Mesh:
    """Triangles, counter-clockwise from outside; right-handed, y up.

    Args:
        vertices: float32, shape (n, 3), metres.
        faces: int64, shape (m, 3).
        normals: float32, shape (n, 3), length 1, outward.
        colours: float32, shape (n, 3), linear RGB, 0 to 1.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colours: np.ndarray


def mesh_volume(volume: Volume, *, max_faces: int, height_m: float = HEIGHT_M) -> Mesh:
    """The mesh of a form.

    Args:
        volume: The form.
        max_faces: Budget of faces; the mesh keeps more only where fewer would tear it.
        height_m: From the ground to the top, metres.

    Raises:
        InputError: The volume is empty.
    """
    depth, height, width = volume.density.shape
    fine = upsample(volume, (2 * depth - 1, 2 * height - 1, 2 * width - 1))
    opacity, rgb = _fields(fine, volume)
    points, faces = _surface(opacity, matter_level(opacity))
    points, faces = _thin(points, faces, max_faces)
    normals = _normals(opacity, points, faces)
    low, steps = fine.bounds[0], fine.steps
    world = np.stack([low[i] + (points[:, 2 - i] - 1) * steps[i] for i in range(3)], 1)
    vertices = _stand(world, height_m).astype(np.float32)
    return Mesh(vertices, faces, normals, _linear(_sample_near(rgb, opacity, points)))


def is_closed(faces: np.ndarray) -> bool:
    """Whether every edge joins exactly two faces that run it in opposite ways: closed, manifold and oriented."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    if len(edges) == 0 or bool((edges[:, 0] == edges[:, 1]).any()):
        return False
    _, counts = np.unique(edges, axis=0, return_counts=True)
    there = {tuple(edge) for edge in edges.tolist()}
    return bool((counts == 1).all()) and all((last, first) in there for first, last in there)


def count_bodies(faces: np.ndarray, vertex_count: int) -> int:
    """How many bodies, not joined by any face, the used vertices form."""
    labels = _bodies(faces, vertex_count)
    return len(np.unique(labels[faces]))


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume enclosed by a closed mesh, positive if the faces look outward."""
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def _fields(fine: Volume, volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Opacity over a step of the coarse grid, (D, H, W), and sRGB, (3, D, H, W), padded by one empty layer."""
    per_fine_step = np.clip(fine.cell_alpha().numpy().astype(np.float32), 0, 1 - 1e-7)
    opacity = 1 - (1 - per_fine_step) ** (min(volume.steps) / min(fine.steps))
    opacity = ndimage.gaussian_filter(opacity, 0.8)
    rgb = np.pad(fine.rgb().numpy().astype(np.float32), ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")
    return np.pad(opacity, 1), rgb


def _surface(opacity: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    is_matter = opacity > level
    piece = largest_piece(is_matter)
    clean = np.where(is_matter & ~piece, 0, np.where(piece & ~is_matter, 1, opacity))
    points, faces, _, _ = marching_cubes(clean, level, allow_degenerate=False)
    faces = _largest_body(faces.astype(np.int64), len(points))
    used, faces = np.unique(faces, return_inverse=True)
    points, faces = points[used], faces.reshape(-1, 3)
    # The points run z, y, x: read as x, y, z they are a mirror image, so the sign is turned round.
    return points, faces if signed_volume(points[:, ::-1], faces) > 0 else faces[:, ::-1]


def _bodies(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    starts, ends = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    links = sparse.coo_matrix((np.ones(len(starts), bool), (starts, ends)), (vertex_count, vertex_count))
    return sparse.csgraph.connected_components(links, directed=False)[1]


def _largest_body(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    labels = _bodies(faces, vertex_count)[faces[:, 0]]
    return faces[labels == np.bincount(labels).argmax()]


def _thin(points: np.ndarray, faces: np.ndarray, max_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Fewer faces, as gently as the budget allows, and only as far as the surface stays closed."""
    best = points, faces
    for aggression in (3, 4, 5, 7):
        if len(best[1]) <= max_faces:
            break
        fewer, thinned = fast_simplification.simplify(
            points.astype(np.float32), faces.astype(np.int32), target_count=max_faces, agg=aggression
        )
        used, compact = np.unique(thinned.astype(np.int64), return_inverse=True)
        compact = compact.reshape(-1, 3)
        if is_closed(compact) and count_bodies(compact, len(used)) == 1 and len(compact) < len(best[1]):
            best = fewer[used], compact
    return best


def _normals(opacity: np.ndarray, points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit vectors x, y, z down the slope of the smoothed field; where it is level, the mean of the faces'."""
    smooth = ndimage.gaussian_filter(opacity, 1.5)
    slope = [-ndimage.map_coordinates(part, points.T, order=1) for part in np.gradient(smooth)][::-1]
    outward, by_faces = np.stack(slope, 1), _face_normals(points[:, ::-1], faces)
    is_level = np.linalg.norm(outward, axis=1) < 1e-6
    outward[is_level] = by_faces[is_level]
    outward[np.linalg.norm(outward, axis=1) < 1e-12] = (0, 1, 0)
    return (outward / np.linalg.norm(outward, axis=1, keepdims=True)).astype(np.float32)


def _face_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    crosses = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    total = np.zeros_like(points, dtype=np.float64)
    for corner in range(3):
        np.add.at(total, faces[:, corner], crosses)
    return total


def _sample_near(rgb: np.ndarray, opacity: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours at points, sRGB, (n, 3): the mean of the matter around, so that the colour of the air does not count."""
    weight = ndimage.gaussian_filter(opacity, 1.0) + 1e-6
    fields = [ndimage.gaussian_filter(channel * opacity, 1.0) / weight for channel in rgb]
    return np.stack([ndimage.map_coordinates(field, points.T, order=1) for field in fields], 1)


def _linear(srgb: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, as glTF wants vertex colours."""
    srgb = srgb.clip(0, 1)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _stand(world: np.ndarray, height_m: float) -> np.ndarray:
    """Metres, with the lowest point at height 0 and the middle of the foot over the origin."""
    low, high = world[:, 1].min(), world[:, 1].max()
    foot = world[world[:, 1] <= low + _FOOT_SHARE * (high - low)]
    centre = [(foot[:, axis].min() + foot[:, axis].max()) / 2 for axis in (0, 2)]
    return (world - [centre[0], low, centre[1]]) * (height_m / (high - low))
