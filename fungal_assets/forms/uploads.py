"""A mesh that somebody made, as what a form begins as.

Its inside is where it goes round (`crossing`); a sample on the surface is half opaque, density falls off over a cell
beside it, and colours are those of the nearest vertices, their own or their texture's. Belongs here: a GLB file of
`gltf`'s kind to a volume. Torch kernel.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253
from PIL import Image
from scipy.spatial import cKDTree  # noqa: TID253

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.forms.crossing import winding_numbers
from fungal_assets.forms.gltf import read_glb, read_glb_texture
from fungal_assets.forms.srgb import to_srgb
from fungal_assets.forms.topology import is_closed, weld
from fungal_assets.forms.volume import DENSEST, DENSITY_SCALE, THINNEST, Volume

HALF_SIDE = 0.62
"""Half of the longest side of an uploaded mesh in the box, in world units: so large are forms from silhouettes."""
MOST_FACES = 200_000
_GREY = 0.5


@dataclass(frozen=True)
class Upload:
    """An uploaded mesh as a volume; where its vertices had no colours, it is grey and not painted."""

    volume: Volume
    is_painted: bool


def load_upload(path: Path, grid_size: int) -> Upload:
    """The mesh of a GLB file as a volume, in the middle of the box, as large as forms are.

    Args:
        path: A GLB file with one mesh of triangles, as this project writes them; colours of vertices or a
            texture are optional.
        grid_size: Samples along each side.

    Raises:
        InputError: There is no such file, or it holds no closed mesh; what was found is said.
    """
    if not path.is_file():
        raise InputError(f"first mesh {str(path)!r} is not a file. Give the path of a .glb file.")
    try:
        document, arrays = read_glb(path)
        vertices, faces = arrays["POSITION"].astype(np.float64), arrays["indices"].reshape(-1, 3)
    except (ProvenanceError, KeyError, IndexError, ValueError) as error:
        why = error.__cause__ or error
        raise InputError(
            f"first mesh {path} can't be read ({type(why).__name__}: {why}); expected a GLB 2.0 file with one "
            "mesh of indexed triangles and no compression, as those of the asset `meshes` are."
        ) from error
    faces = faces.astype(np.int64)
    _check(path, vertices, faces, len(document.get("meshes", [])))
    rgb = _read_colours(path, document, arrays)
    painted = np.full((len(vertices), 3), _GREY) if rgb is None else rgb
    return Upload(_fill(_centred(vertices), faces, painted, grid_size), rgb is not None)


def _read_colours(
    path: Path, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """SRGB of each vertex, float (n, 3), 0 to 1: its own, or its texture's; None where there is neither."""
    if "COLOR_0" in arrays:
        colours = arrays["COLOR_0"][:, :3]
        scale = np.iinfo(colours.dtype).max if np.issubdtype(colours.dtype, np.integer) else 1.0
        return to_srgb(colours.astype(np.float64) / scale)
    if "TEXCOORD_0" not in arrays or not document.get("images"):
        return None
    with Image.open(io.BytesIO(read_glb_texture(path))) as image:
        texture = np.asarray(image.convert("RGB"), np.float64) / 255
    height, width, _ = texture.shape
    column, row = (arrays["TEXCOORD_0"].astype(np.float64) * (width, height)).astype(int).T
    return texture[row.clip(0, height - 1), column.clip(0, width - 1)]


def _check(path: Path, vertices: np.ndarray, faces: np.ndarray, meshes: int) -> None:
    faults = []
    if meshes != 1:
        faults.append(f"{meshes} meshes (expected one)")
    if not 4 <= len(faces) <= MOST_FACES:
        faults.append(f"{len(faces)} faces (expected 4 to {MOST_FACES})")
    elif faces.max() >= len(vertices):
        faults.append(f"a face with vertex {faces.max()} of {len(vertices)}")
    elif not is_closed(weld(vertices, faces)[1]):
        faults.append("holes or edges of more than two faces (expected a closed, manifold surface)")
    if not np.isfinite(vertices).all() or len(vertices) == 0 or np.ptp(vertices, axis=0).min() <= 0:
        faults.append("no extent along one of its axes")
    if faults:
        raise InputError(f"first mesh {path} has {'; '.join(faults)}. Mend it in a modelling program.")


def _centred(vertices: np.ndarray) -> np.ndarray:
    low, high = vertices.min(0), vertices.max(0)
    return (vertices - (low + high) / 2) * (2 * HALF_SIDE / (high - low).max())


def _fill(vertices: np.ndarray, faces: np.ndarray, rgb: np.ndarray, grid_size: int) -> Volume:
    line = np.linspace(-1, 1, grid_size)
    is_inside = winding_numbers(vertices[faces], line) != 0
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    samples = np.stack([x, y, z], -1).reshape(-1, 3)
    surface, owner = _scatter(vertices, faces, spacing=(line[1] - line[0]) / 3)
    away, nearest = cKDTree(surface).query(samples)
    step = 2 / (grid_size - 1)
    cells = np.where(is_inside.reshape(-1), away, -away) / step
    half_opaque = math.log(math.expm1(math.log(2) / (DENSITY_SCALE * step)))
    density = (half_opaque + cells * (DENSEST - THINNEST) / 2).clip(THINNEST, DENSEST)
    shown = rgb[owner[nearest]].clip(0.03, 0.97)
    shape = (grid_size,) * 3
    return Volume(
        torch.from_numpy(density.reshape(shape).astype(np.float32)),
        torch.logit(torch.from_numpy(shown.T.reshape(3, *shape).astype(np.float32))),
    )


def _scatter(vertices: np.ndarray, faces: np.ndarray, *, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points all over the surface, at most about `spacing` apart, shape (n, 3), and the vertex nearest to each."""
    corners = vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max(1)
    cuts = np.ceil(longest / spacing).astype(int).clip(1, 64)
    points, owners = [vertices[np.unique(faces)]], [np.unique(faces)]
    for cut in np.unique(cuts[cuts > 1]):
        i, j = (part.ravel() for part in np.meshgrid(np.arange(cut + 1), np.arange(cut + 1), indexing="ij"))
        shares = np.stack([i, j, cut - i - j], -1)[i + j <= cut] / cut
        own = faces[cuts == cut]
        points.append(np.einsum("sk,fkd->fsd", shares, vertices[own]).reshape(-1, 3))
        owners.append(own[:, shares.argmax(1)].reshape(-1))
    return np.concatenate(points), np.concatenate(owners)
