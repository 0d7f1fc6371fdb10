"""Meshes as OBJ with MTL and texture, the text files that every 3D program opens.

Corners name place, texture place and normal apart, so the surface stays closed. OBJ has no place for notes: they stand
as comments, JSON after their names.
Belongs here: writing and reading back these files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets.errors import ProvenanceError
from fungal_assets.store import write_atomically

if TYPE_CHECKING:
    from fungal_assets.forms.unwrapping import TexturedMesh

_KEYS = {"v": 3, "vt": 2, "vn": 3}
_MATERIAL = """# {name}
newmtl form
Kd 1 1 1
Ks 0 0 0
illum 1
map_Kd {texture}
"""


def write_obj(
    path: Path, mesh: TexturedMesh, *, picture: bytes, name: str, extras: Mapping[str, Any]
) -> None:
    """Write a mesh, and beside it `.mtl` and `.jpg` of the same name; the OBJ last.

    Args:
        path: The `.obj` file.
        mesh: In metres, y up.
        picture: Its texture as a JPEG file.
        name: Of the object; what is no letter or digit becomes an underscore.
        extras: JSON values for the comments.
    """
    texture, material = path.with_suffix(".jpg"), path.with_suffix(".mtl")
    texture.write_bytes(picture)
    object_name = "".join(letter if letter.isalnum() else "_" for letter in name)
    write_atomically(material, _MATERIAL.format(name=object_name, texture=texture.name))
    lines = [f"# {key}: {json.dumps(value)}" for key, value in extras.items()]
    lines += [f"mtllib {material.name}", f"o {object_name}"]
    lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"vt {u:.7g} {1 - v:.7g}" for u, v in mesh.uvs.tolist()]
    lines += [f"vn {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.normals.tolist()]
    lines += ["usemtl form", "s 1"]
    corners = np.stack([mesh.faces, mesh.uv_faces, mesh.faces], -1) + 1
    lines += ["f " + " ".join(f"{v}/{t}/{n}" for v, t, n in face) for face in corners.tolist()]
    write_atomically(path, "\n".join(lines) + "\n")


def read_obj(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The notes of an OBJ of this module's kind, and its arrays.

    Returns:
        Notes as JSON values; `v` and `vn`, float32 (n, 3), `vt`, float32 (k, 2), from left and bottom, and `f`, int64
        (m, 3, 3): place, texture place and normal of each corner, from 0.

    Raises:
        ProvenanceError: It is not such a file, or its material or texture is missing.
    """
    rows: dict[str, list[list[str]]] = {key: [] for key in (*_KEYS, "f", "mtllib")}
    notes = {}
    for line in path.read_text().splitlines():
        key, *values = line.split(" ")
        if key == "#":
            notes[values[0].rstrip(":")] = json.loads(" ".join(values[1:]))
        elif key in rows:
            rows[key].append(values)
    try:
        arrays: dict[str, np.ndarray] = {
            key: np.array(rows[key], np.float32).reshape(-1, width) for key, width in _KEYS.items()
        }
        corners = [corner.split("/") for face in rows["f"] for corner in face]
        arrays["f"] = np.array(corners, np.int64).reshape(-1, 3, 3) - 1
        material = (path.parent / rows["mtllib"][0][0]).read_text()
        texture = path.parent / material.split("map_Kd ")[1].splitlines()[0]
    except (OSError, ValueError, IndexError) as error:
        raise ProvenanceError(
            f"{path} is no whole OBJ with its material: {error}. Make the meshes again."
        ) from error
    if not texture.is_file():
        raise ProvenanceError(f"{texture}, the texture of {path}, is missing. Make the meshes again.")
    return notes, arrays
