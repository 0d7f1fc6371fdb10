"""Points and faces as PLY, the plain table of vertices that scanners, printers and splat viewers take.

Written binary, little-endian. Notes stand as comments in the header, JSON after their names. G. Turk, "The PLY Polygon
File Format", 1994.
Belongs here: writing and reading back PLY. What the columns mean does not, but for those of a mesh.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets.errors import ProvenanceError

if TYPE_CHECKING:
    from fungal_assets.forms.meshing import Mesh

_NAMES = {"<f4": "float", "|u1": "uchar", "<i4": "int"}
_TYPES = {name: dtype for dtype, name in _NAMES.items()}
_FACE = np.dtype([("count", "u1"), ("indices", "<i4", 3)])
_PLACES, _NORMALS, _COLOURS = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue")


def write_ply(path: Path, mesh: Mesh, *, extras: Mapping[str, Any]) -> None:
    """Write a mesh with its normals and its sRGB vertex colours, under a temporary name, and rename it.

    Args:
        path: The `.ply` file.
        mesh: In metres, y up.
        extras: JSON values for the comments.
    """
    columns = [(name, "<f4") for name in (*_PLACES, *_NORMALS)] + [(name, "u1") for name in _COLOURS]
    table = np.empty(len(mesh.vertices), np.dtype(columns))
    colours = np.rint(mesh.colours.clip(0, 1) * 255).astype(np.uint8)
    values = np.concatenate([mesh.vertices, mesh.normals], 1)
    for index, name in enumerate((*_PLACES, *_NORMALS)):
        table[name] = values[:, index]
    for index, name in enumerate(_COLOURS):
        table[name] = colours[:, index]
    write_table(path, table, faces=mesh.faces, extras=extras)


def write_table(
    path: Path, vertices: np.ndarray, *, faces: np.ndarray | None = None, extras: Mapping[str, Any]
) -> None:
    """Write a table of vertices, and faces if there are any.

    Args:
        path: The `.ply` file.
        vertices: Structured array, fields little-endian float32, uint8 or int32.
        faces: int, shape (m, 3).
        extras: JSON values for the comments.
    """
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {key}: {json.dumps(value)}" for key, value in extras.items()]
    lines.append(f"element vertex {len(vertices)}")
    assert vertices.dtype.fields is not None
    lines += [f"property {_NAMES[kind[0].str]} {name}" for name, kind in vertices.dtype.fields.items()]
    data = vertices.tobytes()
    if faces is not None:
        rows = np.empty(len(faces), _FACE)
        rows["count"], rows["indices"] = 3, faces
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        data += rows.tobytes()
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes("\n".join([*lines, "end_header", ""]).encode("ascii") + data)
    temporary.replace(path)


def read_ply(path: Path) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """The notes, the table of vertices and the faces, int64 (m, 3), of a PLY of this module's kind.

    Raises:
        ProvenanceError: It is not such a file.
    """
    header, found, data = path.read_bytes().partition(b"end_header\n")
    text = header.decode("ascii", "replace")
    counts = {name: int(count) for name, count in re.findall(r"^element (\w+) (\d+)$", text, re.MULTILINE)}
    columns = re.findall(r"^property (float|uchar|int) (\w+)$", text, re.MULTILINE)
    table = np.dtype([(name, _TYPES[kind]) for kind, name in columns])
    vertices, faces = counts.get("vertex", 0), counts.get("face", 0)
    expected = vertices * table.itemsize + faces * _FACE.itemsize
    if not text.startswith("ply\nformat binary_little_endian") or not found or len(data) != expected:
        raise ProvenanceError(
            f"{path} is no whole binary PLY: {len(data)} bytes after its header, expected {expected}. "
            "Make the meshes again."
        )
    notes = re.findall(r"^comment (\w+): (.*)$", text, re.MULTILINE)
    rows = np.frombuffer(data, _FACE, faces, vertices * table.itemsize)
    return (
        {key: json.loads(value) for key, value in notes},
        np.frombuffer(data, table, vertices),
        rows["indices"].astype(np.int64),
    )
