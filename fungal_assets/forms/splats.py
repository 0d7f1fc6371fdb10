"""A mesh as Gaussian splats: a flat, opaque disc for every face, as wide as the face.

Two files are known: the PLY of 3D Gaussian splatting (B. Kerbl and others, 2023), whose columns stand before their
activations, and `.splat`, 32 bytes a splat, the largest first. A disc's axes are those of its face's corners.
Belongs here: splats and their files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets.errors import ProvenanceError
from fungal_assets.forms.polygons import read_ply, write_table

if TYPE_CHECKING:
    from fungal_assets.forms.meshing import Mesh

_RECORD = np.dtype([("centre", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("turn", "u1", 4)])
_OPACITY = 0.98
_THICKNESS = 0.15
_BAND_0 = 0.28209479177387814
"""The constant of the spherical harmonic of degree 0: a colour is 0.5 plus this times its coefficient."""


@dataclass(frozen=True)
class Splats:
    """Discs.

    Args:
        centres: float32, shape (n, 3), metres.
        scales: float32, shape (n, 3): standard deviations along the own axes, metres, the thinnest last.
        turns: float32, shape (n, 4): quaternions w, x, y, z, length 1.
        normals: float32, shape (n, 3), length 1.
        colours: float32, shape (n, 3), sRGB, 0 to 1.
    """

    centres: np.ndarray
    scales: np.ndarray
    turns: np.ndarray
    normals: np.ndarray
    colours: np.ndarray


def make_splats(mesh: Mesh) -> Splats:
    """A disc for every face of a mesh in metres."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    centres = corners.mean(1)
    spread = np.einsum("nki,nkj->nij", corners - centres[:, None], corners - centres[:, None]) / 3
    strengths, axes = np.linalg.eigh(spread)
    axes = axes[:, :, ::-1]
    axes[:, :, 2] = np.cross(axes[:, :, 0], axes[:, :, 1])
    wide = np.sqrt(strengths[:, :0:-1].clip(min=1e-14))
    scales = np.concatenate([wide, _THICKNESS * wide[:, 1:]], 1)
    inward = np.einsum("ni,ni->n", axes[:, :, 2], mesh.normals[mesh.faces].mean(1)) < 0
    normals = np.where(inward[:, None], -axes[:, :, 2], axes[:, :, 2])
    colours = mesh.colours[mesh.faces].mean(1)
    parts = (centres, scales, _to_quaternions(axes), normals, colours)
    return Splats(*(part.astype(np.float32) for part in parts))


def write_splat_ply(path: Path, splats: Splats, *, extras: Mapping[str, Any]) -> None:
    """Write the PLY of 3D Gaussian splatting: opacity as a logit, scales as logarithms, colour as degree 0."""
    opacity = np.full((len(splats.centres), 1), np.log(_OPACITY / (1 - _OPACITY)))
    columns = {
        "x y z": splats.centres,
        "nx ny nz": splats.normals,
        "f_dc_0 f_dc_1 f_dc_2": (splats.colours - 0.5) / _BAND_0,
        "opacity": opacity,
        "scale_0 scale_1 scale_2": np.log(splats.scales),
        "rot_0 rot_1 rot_2 rot_3": splats.turns,
    }
    names = " ".join(columns).split()
    rows = np.concatenate(list(columns.values()), 1).astype("<f4")
    write_table(path, rows.view(np.dtype([(name, "<f4") for name in names]))[:, 0], extras=extras)


def write_splat(path: Path, splats: Splats) -> None:
    """Write `.splat`: place and scales as float32, colour and opacity, and turn, as bytes; the largest first."""
    rows = np.empty(len(splats.centres), _RECORD)
    rows["centre"], rows["scales"] = splats.centres, splats.scales
    rows["rgba"][:, :3] = np.rint(splats.colours.clip(0, 1) * 255)
    rows["rgba"][:, 3] = round(_OPACITY * 255)
    rows["turn"] = np.rint(splats.turns * 128 + 128).clip(0, 255)
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(rows[np.argsort(-splats.scales.prod(1), kind="stable")].tobytes())
    temporary.replace(path)


def is_of_splats(name: str) -> bool:
    """Whether a file is one of splats, by its name."""
    return name.endswith(("_splats.ply", ".splat"))


def count_splats(path: Path) -> int:
    """How many splats a file holds.

    Raises:
        ProvenanceError: It is no whole file of splats.
    """
    if path.suffix == ".ply":
        return len(read_ply(path)[1])
    count, rest = divmod(path.stat().st_size, _RECORD.itemsize)
    if rest:
        raise ProvenanceError(f"{path} ends amid a splat. Make the meshes again.")
    return count


def _to_quaternions(axes: np.ndarray) -> np.ndarray:
    """Rotation matrices whose columns are the axes, (n, 3, 3), as w, x, y, z, (n, 4)."""
    from scipy.spatial.transform import Rotation

    return np.roll(Rotation.from_matrix(axes).as_quat(), 1, axis=1)
