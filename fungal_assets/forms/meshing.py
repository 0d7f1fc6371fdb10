"""A volume as closed meshes, in metres, standing on the ground.

The surface is where a cell is half opaque (density times step = ln 2), on a grid twice as fine; only the largest piece
is kept, with its hollows filled, so that it is one closed body. It is thinned to each budget of faces from the whole
surface, so that no level of detail inherits the faults of the one before, and its sheets are taken apart where they
touch (`mending`).
Belongs here: volume to mesh. Its colours (`painting`), its texture (`unwrapping`) and files do not. Heavy libraries:
import this module inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import fast_simplification
import numpy as np
from scipy import ndimage  # noqa: TID253
from skimage.measure import marching_cubes  # noqa: TID253

from fungal_assets.forms.mending import take_apart
from fungal_assets.forms.painting import paint
from fungal_assets.forms.solid import largest_piece, matter_level
from fungal_assets.forms.topology import fault_of, label_bodies, signed_volume, weld
from fungal_assets.forms.volume import Volume, upsample

HEIGHT_M = 0.14
_FOOT_SHARE = 0.1
_ATTEMPTS = (
    (3, 1),
    (4, 1),
    (5, 1),
    (7, 1),
    (10, 1),
    (7, 0.97),
    (10, 0.97),
    (7, 0.93),
    (10, 0.93),
    (7, 0.88),
    (10, 0.88),
)
"""Aggression of the thinning and share of the budget, the gentlest first; less leaves room for what mending adds."""
_MOST_LOST = 0.005
"""Share of a surface's faces that may go when it is taken apart; with more it has lost a part."""


@dataclass(frozen=True)
class Mesh:
    """Triangles, counter-clockwise from outside; right-handed, y up.

    Args:
        vertices: float32, shape (n, 3): in the volume's world, or, once it stands, in metres.
        faces: int64, shape (m, 3).
        normals: float32, shape (n, 3), length 1, outward.
        colours: float32, shape (n, 3), sRGB, 0 to 1.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colours: np.ndarray


@dataclass(frozen=True)
class Surface:
    """The whole surface of a form, before it is thinned.

    Args:
        volume: The form.
        opacity: float32, shape (D, H, W), 0 to 1: of the cells of a grid twice as fine, padded by an empty layer.
        level: The opacity at the surface.
        points: float32, shape (n, 3): z, y, x in cells of `opacity`.
        faces: int64, shape (m, 3).
        low: Place in the volume's world, x, y, z, of the cell (1, 1, 1).
        steps: Size of a cell along x, y, z.
    """

    volume: Volume
    opacity: np.ndarray
    level: float
    points: np.ndarray
    faces: np.ndarray
    low: np.ndarray
    steps: np.ndarray

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Points of the padded grid as x, y, z in the volume's world."""
        return self.low + (points[:, ::-1] - 1) * self.steps


def find_surface(volume: Volume) -> Surface:
    """The surface of a form.

    Raises:
        InputError: The volume is empty.
    """
    depth, height, width = volume.density.shape
    fine = upsample(volume, (2 * depth - 1, 2 * height - 1, 2 * width - 1))
    opacity = _opacity(fine, min(volume.steps))
    level = matter_level(opacity)
    points, faces = _cut(opacity, level)
    return Surface(volume, opacity, level, points, faces, np.array(fine.bounds[0]), np.array(fine.steps))


def thin_surface(surface: Surface, *, max_faces: int) -> Mesh:
    """The surface as a closed mesh of few faces, in the volume's world.

    Args:
        surface: Of a form.
        max_faces: Budget; the mesh keeps more only where fewer would tear it.
    """
    points, faces = _thin(surface, max_faces)
    normals = _normals(surface.opacity, points, faces)
    world = surface.to_world(points).astype(np.float32)
    return Mesh(world, faces, normals, paint(surface.volume, world, normals))


def stand(world: np.ndarray, surface: Surface, *, height_m: float) -> np.ndarray:
    """Vertices in metres, the middle of the form's foot over the origin, the lowest at height 0.

    All levels of detail are scaled and centred alike, by the whole surface, so that one is in the place of another.

    Args:
        world: float, shape (n, 3), in the volume's world.
        surface: Of the form.
        height_m: From the ground to the top of the whole surface, metres.

    Returns:
        float32, shape (n, 3).
    """
    whole = surface.to_world(surface.points)
    low, high = whole[:, 1].min(), whole[:, 1].max()
    foot = whole[whole[:, 1] <= low + _FOOT_SHARE * (high - low)]
    centre = [(foot[:, axis].min() + foot[:, axis].max()) / 2 for axis in (0, 2)]
    moved = world - np.array([centre[0], world[:, 1].min(), centre[1]])
    return (moved * (height_m / (high - low))).astype(np.float32)


def mesh_volume(volume: Volume, *, max_faces: int, height_m: float = HEIGHT_M) -> Mesh:
    """The standing mesh of a form (`find_surface`, `thin_surface`, `stand`).

    Raises:
        InputError: The volume is empty.
    """
    surface = find_surface(volume)
    mesh = thin_surface(surface, max_faces=max_faces)
    return replace(mesh, vertices=stand(mesh.vertices, surface, height_m=height_m))


def _opacity(fine: Volume, coarse_step: float) -> np.ndarray:
    """Opacity over a step of the coarse grid, (D, H, W), padded by one empty layer."""
    per_fine_step = np.clip(fine.cell_alpha().numpy().astype(np.float32), 0, 1 - 1e-7)
    opacity = 1 - (1 - per_fine_step) ** (coarse_step / min(fine.steps))
    return np.pad(ndimage.gaussian_filter(opacity, 0.8), 1)


def _cut(opacity: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    is_matter = opacity > level
    piece = largest_piece(is_matter)
    clean = np.where(is_matter & ~piece, 0, np.where(piece & ~is_matter, 1, opacity))
    points, faces, _, _ = marching_cubes(clean, level, allow_degenerate=False)
    faces = _largest_body(faces.astype(np.int64), len(points))
    used, faces = np.unique(faces, return_inverse=True)
    points, faces = points[used], faces.reshape(-1, 3)
    # The points run z, y, x: read as x, y, z they are a mirror image, so the sign is turned round.
    return points, faces if signed_volume(points[:, ::-1], faces) > 0 else faces[:, ::-1]


def _largest_body(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    labels = label_bodies(faces, vertex_count)[faces[:, 0]]
    return faces[labels == np.bincount(labels).argmax()]


def _thin(surface: Surface, max_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Fewer faces, as gently as the budget allows, and only as far as the surface stays one closed body, whole."""
    best = surface.points, surface.faces
    for aggression, share in _ATTEMPTS:
        if len(best[1]) <= max_faces:
            break
        fewer, thinned = fast_simplification.simplify(
            surface.points.astype(np.float32),
            surface.faces.astype(np.int32),
            target_count=int(share * max_faces),
            agg=aggression,
        )
        used, compact = np.unique(thinned.astype(np.int64), return_inverse=True)
        points, faces, lost = take_apart(fewer[used][:, ::-1], compact.reshape(-1, 3))
        is_whole = lost <= _MOST_LOST * len(faces)
        if is_whole and len(faces) < len(best[1]) and not fault_of(*weld(points, faces)):
            best = points[:, ::-1], faces
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
