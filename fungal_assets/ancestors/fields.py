"""The distance to a body's surface and the colour of the nearest surface, at every point of the box from -1 to 1.

These are what a pattern producing network is told of an object, so that it can reproduce it at any resolution and
depart from it (J. Clune, A. Chen, H. Lipson, "Upload any object and evolve it", CEC 2013); the colour is an addition of
this project. Near the surface distances are exact, to the nearest of the mesh's faces; further off they are those of
the grid.
Belongs here: that field and looking it up. Torch kernel.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from scipy import ndimage  # noqa: TID253
from scipy.spatial import cKDTree  # noqa: TID253

from fungal_assets.ancestors.bodies import Body, stand_ready
from fungal_assets.forms.crossing import winding_numbers

FIELD_CELLS, FINE_CELLS, COLOUR_CELLS = 128, 208, 80
"""A distance read between samples is a little too large where a body is round, by h^2 / 8r; hence so many."""
_BAND = 2.5
_EDGE = 1e-3
_CANDIDATES = 6
_SAMPLES_PER_CELL = 3.0


@dataclass(frozen=True)
class Field:
    """What is known of an object everywhere in the box.

    Args:
        name: Of the object, as people read it.
        distance: float32, shape (n, n, n), the axes z, y, x from -1 to 1: to the surface, in units of the box,
            negative inside.
        colour: float32, shape (3, m, m, m), the same axes: the nearest surface's, logit of sRGB.
        body: The mesh, ready in the box.
    """

    name: str
    distance: torch.Tensor
    colour: torch.Tensor
    body: Body

    def distance_at(self, points: torch.Tensor) -> torch.Tensor:
        """The distance at points (..., 3), x y z: float, shape (...), trilinear; beyond the box as on its faces."""
        return _look_up(self.distance[None], points)[0]

    def colour_at(self, points: torch.Tensor) -> torch.Tensor:
        """The colour at points (..., 3): float, shape (3, ...)."""
        return _look_up(self.colour, points)

    @property
    def sha256(self) -> str:
        """Hash of the mesh that it is of."""
        parts = (
            self.body.vertices.astype("<f4"),
            self.body.faces.astype("<i4"),
            self.body.colours.astype("<f4"),
        )
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def measure_field(name: str, body: Body, *, cells: int = FIELD_CELLS) -> Field:
    """The field of a closed body, which is brought into the middle of the box first."""
    ready = stand_ready(body)
    triangles = ready.vertices[ready.faces]
    line = np.linspace(-1, 1, cells)
    step = line[1] - line[0]
    is_inside = winding_numbers(triangles, line) > 0
    beyond = ndimage.distance_transform_edt(~is_inside) - ndimage.distance_transform_edt(is_inside)
    distance = (beyond - np.sign(beyond) * 0.5).astype(np.float32) * np.float32(step)
    band = np.argwhere(np.abs(beyond) <= _BAND)
    points = line[band[:, ::-1]]
    near, colours = _measure_near(ready, points, step)
    at = (band[:, 0], band[:, 1], band[:, 2])
    distance[at] = np.where(is_inside[at], -near, near)
    rgb = np.zeros((3, cells, cells, cells), np.float32)
    rgb[:, at[0], at[1], at[2]] = colours.T
    is_far = np.ones((cells,) * 3, bool)
    is_far[at] = False
    nearest = ndimage.distance_transform_edt(is_far, return_distances=False, return_indices=True)
    rgb = torch.from_numpy(rgb[(slice(None), *nearest)])
    coarse = F.interpolate(rgb[None], (COLOUR_CELLS,) * 3, mode="trilinear", align_corners=True)[0]
    return Field(name, torch.from_numpy(distance), torch.logit(coarse, _EDGE), ready)


def _look_up(grid: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    places = points.reshape(1, 1, 1, -1, 3)
    found = F.grid_sample(
        grid[None].to(points), places, align_corners=True, padding_mode="border", mode="bilinear"
    )
    return found.reshape(len(grid), *points.shape[:-1])


def _measure_near(body: Body, points: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance of points (n, 3) to the nearest face, float (n,), and the colour there, float32 (n, 3).

    The face is looked for among those that bear the nearest of many points spread over the surface.
    """
    from trimesh.triangles import closest_point, points_to_barycentric

    triangles = body.vertices[body.faces]
    samples, owners = _spread(triangles, step)
    _, found = cKDTree(samples).query(points, k=_CANDIDATES)
    best, colours = np.full(len(points), np.inf), np.zeros((len(points), 3), np.float32)
    for column in range(_CANDIDATES):
        faces = owners[found[:, column]]
        on_face = closest_point(triangles[faces], points)
        away = np.linalg.norm(on_face - points, axis=1)
        is_nearer = away < best
        best[is_nearer] = away[is_nearer]
        chosen = faces[is_nearer]
        shares = points_to_barycentric(triangles[chosen], on_face[is_nearer]).clip(0, 1)
        shares = np.nan_to_num(shares, nan=1 / 3)
        shares /= np.maximum(shares.sum(1, keepdims=True), 1e-9)
        colours[is_nearer] = np.einsum("ni,nij->nj", shares, body.colours[body.faces[chosen]])
    return best, colours


def _spread(triangles: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Points spread evenly over the surface, one or more on each face: float (n, 3), and their faces, int (n,)."""
    areas = (
        np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
        / 2
    )
    counts = 1 + (areas / step**2 * _SAMPLES_PER_CELL).astype(np.int64)
    owners = np.repeat(np.arange(len(triangles)), counts)
    number = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    # The R2 sequence: each further point falls into the widest gap.
    u = (0.5 + 0.7548776662466927 * number) % 1
    v = (0.5 + 0.5698402909980532 * number) % 1
    is_beyond = u + v > 1
    u, v = np.where(is_beyond, 1 - u, u), np.where(is_beyond, 1 - v, v)
    first = number == 0
    u[first] = v[first] = 1 / 3
    a, b, c = (triangles[owners, corner] for corner in range(3))
    return a + u[:, None] * (b - a) + v[:, None] * (c - a), owners
