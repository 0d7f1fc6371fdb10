"""Meshes as GLB 2.0, the binary form of glTF, that game engines and viewers take.

One mesh with normals and vertex colours, one rough material, no extension; what is known of the form stands in
`asset.extras`. Specification: Khronos glTF 2.0, sections 3.6 (accessors), 3.7 (meshes) and 4.4 (GLB).
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

if TYPE_CHECKING:
    from fungal_assets.forms.meshing import Mesh

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_VERTICES, _INDICES = 34962, 34963
_TYPES = {np.dtype("<f4"): 5126, np.dtype("<u2"): 5123, np.dtype("<u4"): 5125}
_SHAPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
_DTYPES: Mapping[int, Any] = {code: dtype for dtype, code in _TYPES.items()}
_WIDTHS = {shape: width for width, shape in _SHAPES.items()}


def write_glb(path: Path, mesh: Mesh, *, name: str, extras: Mapping[str, Any]) -> None:
    """Write a mesh under a temporary name and rename it.

    Args:
        path: The `.glb` file.
        mesh: In metres, y up.
        name: Of the node, as viewers show it.
        extras: JSON values for `asset.extras`.
    """
    alpha = np.ones((len(mesh.colours), 1), np.float32)
    colours = np.rint(np.concatenate([mesh.colours, alpha], 1).clip(0, 1) * 65535).astype("<u2")
    index_type = "<u2" if len(mesh.vertices) < 65535 else "<u4"
    parts = [
        (mesh.vertices.astype("<f4"), _VERTICES),
        (mesh.normals.astype("<f4"), _VERTICES),
        (colours, _VERTICES),
        (mesh.faces.astype(index_type).reshape(-1, 1), _INDICES),
    ]
    views, accessors, binary = _lay_out(parts)
    accessors[0] |= {"min": mesh.vertices.min(0).tolist(), "max": mesh.vertices.max(0).tolist()}
    accessors[2]["normalized"] = True
    material = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.85}, "name": name}
    attributes = {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}
    document = {
        "asset": {"version": "2.0", "generator": f"fungal_assets {__version__}", "extras": dict(extras)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"name": name, "primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "materials": [material],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(_pack(document, binary))
    temporary.replace(path)


def read_glb(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The document of a GLB of this module's kind, and its arrays by attribute, `indices` among them.

    Raises:
        ProvenanceError: It is not such a file.
    """
    data = path.read_bytes()
    try:
        magic, version, length = struct.unpack_from("<III", data)
        json_length, json_kind = struct.unpack_from("<II", data, 12)
        document = json.loads(data[20 : 20 + json_length])
        start = 20 + json_length
        binary_length, binary_kind = struct.unpack_from("<II", data, start)
    except (struct.error, ValueError) as error:
        raise ProvenanceError(f"{path} is no GLB file: {error}. Grow the form again.") from error
    found = (magic, version, length, json_kind, binary_kind)
    expected = (_MAGIC, 2, len(data), _JSON, _BIN)
    if found != expected:
        raise ProvenanceError(
            f"{path} is no whole GLB 2.0: header {found}, expected {expected}. Grow the form again."
        )
    binary = data[start + 8 : start + 8 + binary_length]
    primitive = document["meshes"][0]["primitives"][0]
    places = primitive["attributes"] | {"indices": primitive["indices"]}
    return document, {name: _read_accessor(document, binary, index) for name, index in places.items()}


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


def _read_accessor(document: Mapping[str, Any], binary: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    width = _WIDTHS[accessor["type"]]
    values = np.frombuffer(
        binary, _DTYPES[accessor["componentType"]], accessor["count"] * width, view["byteOffset"]
    )
    return values.reshape(-1, width)
