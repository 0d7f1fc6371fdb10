"""Meshes as GLB 2.0, the binary form of glTF, that game engines and viewers take.

One mesh, one rough material with a texture or else vertex colours, no extension; what is known of the form stands in
`asset.extras`, the licences in `asset.copyright` too. Specification: Khronos glTF 2.0, sections 3.6 (accessors), 3.7
(meshes), 3.8 (textures) and 4.4 (GLB).
Belongs here: writing and reading back that file.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets import __version__
from fungal_assets.errors import ProvenanceError
from fungal_assets.forms.srgb import to_linear

if TYPE_CHECKING:
    from fungal_assets.forms.meshing import Mesh
    from fungal_assets.forms.unwrapping import TexturedMesh

MOST_VERTICES = 65_535
"""The most that indices of two bytes reach, which every engine takes."""
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_VERTICES, _INDICES = 34962, 34963
_TYPES = {np.dtype("<f4"): 5126, np.dtype("<u2"): 5123, np.dtype("<u4"): 5125}
_SHAPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_DTYPES: Mapping[int, Any] = {code: dtype for dtype, code in _TYPES.items()}
_WIDTHS = {shape: width for width, shape in _SHAPES.items()}
_SAMPLER = {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}


def write_glb(path: Path, mesh: Mesh, *, name: str, extras: Mapping[str, Any]) -> None:
    """Write a mesh with vertex colours, under a temporary name, and rename it.

    Args:
        path: The `.glb` file.
        mesh: In metres, y up.
        name: Of the node, as viewers show it.
        extras: JSON values for `asset.extras`.
    """
    colours = np.concatenate([to_linear(mesh.colours), np.ones((len(mesh.colours), 1))], 1)
    part = (np.rint(colours * 65535).astype("<u2"), _VERTICES)
    _write(path, mesh, {"COLOR_0": part}, {}, name=name, extras=extras)


def write_textured_glb(
    path: Path, mesh: TexturedMesh, *, picture: bytes, name: str, extras: Mapping[str, Any]
) -> None:
    """Write a mesh with its texture, under a temporary name, and rename it.

    Args:
        path: The `.glb` file.
        mesh: In metres, y up.
        picture: Its texture as a JPEG file.
        name: Of the node, as viewers show it.
        extras: JSON values for `asset.extras`.
    """
    part = (mesh.uvs.astype("<f4"), _VERTICES)
    _write(path, mesh.cut(), {"TEXCOORD_0": part}, {"image/jpeg": picture}, name=name, extras=extras)


def read_glb(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The document of a GLB of this module's kind, and its arrays by attribute, `indices` among them.

    Raises:
        ProvenanceError: It is not such a file.
    """
    document, binary = _open(path)
    try:
        primitive = document["meshes"][0]["primitives"][0]
        places = primitive["attributes"] | {"indices": primitive["indices"]}
        return document, {name: _read_accessor(document, binary, index) for name, index in places.items()}
    except (KeyError, IndexError, ValueError) as error:
        raise ProvenanceError(f"{path} holds no mesh: {error!r}. Make the meshes again.") from error


def read_glb_texture(path: Path) -> bytes:
    """The texture of a GLB of this module's kind, as a JPEG file.

    Raises:
        ProvenanceError: It has none.
    """
    document, binary = _open(path)
    try:
        view = document["bufferViews"][document["images"][0]["bufferView"]]
    except (KeyError, IndexError) as error:
        raise ProvenanceError(f"{path} has no texture. Make the meshes again.") from error
    return binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]


def _write(
    path: Path,
    mesh: Mesh,
    attributes: Mapping[str, tuple[np.ndarray, int]],
    pictures: Mapping[str, bytes],
    *,
    name: str,
    extras: Mapping[str, Any],
) -> None:
    index_type = "<u2" if len(mesh.vertices) <= MOST_VERTICES else "<u4"
    parts = {
        "POSITION": (mesh.vertices.astype("<f4"), _VERTICES),
        "NORMAL": (mesh.normals.astype("<f4"), _VERTICES),
        **attributes,
        "indices": (mesh.faces.astype(index_type).reshape(-1, 1), _INDICES),
    }
    views, accessors, binary = _lay_out(list(parts.values()))
    accessors[0] |= {"min": mesh.vertices.min(0).tolist(), "max": mesh.vertices.max(0).tolist()}
    places = {attribute: index for index, attribute in enumerate(parts)}
    if "COLOR_0" in places:
        accessors[places["COLOR_0"]]["normalized"] = True
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.85}
    if pictures:
        surface["baseColorTexture"] = {"index": 0}
    primitive = {"indices": places.pop("indices"), "attributes": places, "material": 0}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"fungal_assets {__version__}", "extras": dict(extras)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"name": name, "primitives": [primitive]}],
        "materials": [{"pbrMetallicRoughness": surface, "name": name}],
        "accessors": accessors,
        "bufferViews": views,
    }
    if extras.get("licences"):
        document["asset"]["copyright"] = ", ".join(extras["licences"])
    for kind, picture in pictures.items():
        document |= {
            "images": [{"bufferView": len(views), "mimeType": kind}],
            "samplers": [_SAMPLER],
            "textures": [{"source": 0, "sampler": 0}],
        }
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(picture)})
        binary += picture + b"\0" * (-len(picture) % 4)
    document["buffers"] = [{"byteLength": len(binary)}]
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(_pack(document, binary))
    temporary.replace(path)


def _lay_out(parts: list[tuple[np.ndarray, int]]) -> tuple[list[dict], list[dict], bytes]:
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    binary = b""
    for index, (array, target) in enumerate(parts):
        data = array.tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data), "target": target})
        kind, shape = _TYPES[array.dtype], _SHAPES[array.shape[1]]
        accessors.append({"bufferView": index, "componentType": kind, "count": len(array), "type": shape})
        binary += data + b"\0" * (-len(data) % 4)
    return views, accessors, binary


def _pack(document: Mapping[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(binary), _BIN) + binary
    return struct.pack("<III", _MAGIC, 2, 12 + len(chunks)) + chunks


def _open(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    try:
        magic, version, length = struct.unpack_from("<III", data)
        json_length, json_kind = struct.unpack_from("<II", data, 12)
        document = json.loads(data[20 : 20 + json_length])
        start = 20 + json_length
        binary_length, binary_kind = struct.unpack_from("<II", data, start)
    except (struct.error, ValueError) as error:
        raise ProvenanceError(f"{path} is no GLB file: {error}. Make the meshes again.") from error
    found = (magic, version, length, json_kind, binary_kind)
    expected = (_MAGIC, 2, len(data), _JSON, _BIN)
    if found != expected:
        raise ProvenanceError(
            f"{path} is no whole GLB 2.0: header {found}, expected {expected}. Make the meshes again."
        )
    return document, data[start + 8 : start + 8 + binary_length]


def _read_accessor(document: Mapping[str, Any], binary: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    width = _WIDTHS[accessor["type"]]
    values = np.frombuffer(
        binary, _DTYPES[accessor["componentType"]], accessor["count"] * width, view["byteOffset"]
    )
    return values.reshape(-1, width)
