"""Meshes as USDZ, the package of a USD scene and its texture that phones show on a table.

The scene is USD's own text form; the package a zip archive, stored without compression, in which every file begins at
a multiple of 64 bytes and the scene comes first. Specification: Pixar, "Usdz File Format Specification" 1.3, and
"UsdPreviewSurface Specification" 2.6. What is known of the form stands in `customLayerData`.
Belongs here: writing and reading back that file.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets.errors import ProvenanceError

if TYPE_CHECKING:
    from fungal_assets.forms.unwrapping import TexturedMesh

_Note = str | int | float | list[str] | list[int]
ALIGNMENT = 64
TEXTURE_NAME = "texture.jpg"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PADDING_ID = 0x1986
_SCENE = """#usda 1.0
(
    customLayerData = {{
{notes}
    }}
    defaultPrim = "Form"
    doc = {doc}
    metersPerUnit = 1
    upAxis = "Y"
)

def Xform "Form" (
    displayName = {name}
    kind = "component"
)
{{
    def Mesh "Mesh" (
        prepend apiSchemas = ["MaterialBindingAPI"]
    )
    {{
        float3[] extent = [{extent}]
        int[] faceVertexCounts = [{counts}]
        int[] faceVertexIndices = [{faces}]
        rel material:binding = </Form/Material>
        normal3f[] normals = [{normals}] (
            interpolation = "vertex"
        )
        point3f[] points = [{points}]
        texCoord2f[] primvars:st = [{uvs}] (
            interpolation = "faceVarying"
        )
        int[] primvars:st:indices = [{uv_faces}]
        uniform token subdivisionScheme = "none"
    }}

    def Material "Material"
    {{
        token outputs:surface.connect = </Form/Material/Surface.outputs:surface>

        def Shader "Surface"
        {{
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor.connect = </Form/Material/Texture.outputs:rgb>
            float inputs:metallic = 0
            float inputs:roughness = 0.85
            token outputs:surface
        }}

        def Shader "Texture"
        {{
            uniform token info:id = "UsdUVTexture"
            asset inputs:file = @{texture}@
            token inputs:sourceColorSpace = "sRGB"
            float2 inputs:st.connect = </Form/Material/Places.outputs:result>
            token inputs:wrapS = "clamp"
            token inputs:wrapT = "clamp"
            float3 outputs:rgb
        }}

        def Shader "Places"
        {{
            uniform token info:id = "UsdPrimvarReader_float2"
            string inputs:varname = "st"
            float2 outputs:result
        }}
    }}
}}
"""


def write_usdz(
    path: Path, mesh: TexturedMesh, *, picture: bytes, name: str, extras: Mapping[str, Any]
) -> None:
    """Write a mesh with its texture, under a temporary name, and rename it.

    Args:
        path: The `.usdz` file.
        mesh: In metres, y up.
        picture: Its texture as a JPEG file.
        name: As viewers show it.
        extras: For `customLayerData`: texts, numbers, and lists of texts or of whole numbers.
    """
    temporary = path.with_name(f".{path.name}")
    scene = _describe(mesh, name, extras).encode()
    _pack(temporary, {f"{path.stem}.usda": scene, TEXTURE_NAME: picture})
    temporary.replace(path)


def read_usdz(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], bytes]:
    """The notes, the arrays by USD's names, and the texture of a USDZ of this module's kind.

    Returns:
        `customLayerData` as JSON values; `points` and `normals`, float32 (n, 3), `faceVertexIndices` (m, 3),
        `primvars:st`, float32 (k, 2), from left and bottom, `primvars:st:indices` (m, 3); the texture as a JPEG file.

    Raises:
        ProvenanceError: It is not such a file, or breaks the rules of the package.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = archive.infolist()
            faults = [item.filename for item in files if _breaks_rules(path, item)]
            scene, texture = (archive.read(item) for item in files)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ProvenanceError(
            f"{path} is no USDZ of a scene and a texture: {error}. Make the meshes again."
        ) from error
    if faults or not files[0].filename.endswith(".usda"):
        raise ProvenanceError(
            f"{path}: {faults or files[0].filename} is compressed, not at a multiple of {ALIGNMENT} bytes, or no scene "
            "where the scene must be. Make the meshes again."
        )
    text = scene.decode()
    widths = {"points": 3, "normals": 3, "faceVertexIndices": 3, "primvars:st": 2, "primvars:st:indices": 3}
    arrays = {kind: _read_array(path, text, kind).reshape(-1, width) for kind, width in widths.items()}
    notes = re.findall(
        r"^        (?:string|int64|double|string\[\]|int64\[\]) (\w+) = (.*)$",
        text.split("defaultPrim")[0],
        re.MULTILINE,
    )
    return {key: json.loads(value) for key, value in notes}, arrays, texture


def _describe(mesh: TexturedMesh, name: str, extras: Mapping[str, Any]) -> str:
    notes = [f"        {_type_of(value)} {key} = {_quote(value)}" for key, value in extras.items()]
    return _SCENE.format(
        notes="\n".join(notes),
        doc=_quote(f"{name}, a form grown by fungal_assets"),
        name=_quote(name),
        extent=_tuples([mesh.vertices.min(0), mesh.vertices.max(0)]),
        counts=", ".join(["3"] * len(mesh.faces)),
        faces=", ".join(map(str, mesh.faces.ravel().tolist())),
        normals=_tuples(mesh.normals),
        points=_tuples(mesh.vertices),
        uvs=_tuples(np.stack([mesh.uvs[:, 0], 1 - mesh.uvs[:, 1]], 1)),
        uv_faces=", ".join(map(str, mesh.uv_faces.ravel().tolist())),
        texture=TEXTURE_NAME,
    )


def _type_of(note: _Note) -> str:
    if isinstance(note, list):
        return "int64[]" if note and all(isinstance(each, int) for each in note) else "string[]"
    return {str: "string", int: "int64", float: "double"}[type(note)]


def _quote(note: _Note) -> str:
    """A value of USD's text form, which is JSON's where no letter is written by its number."""
    return json.dumps(note, ensure_ascii=False)


def _tuples(rows: Sequence[np.ndarray] | np.ndarray) -> str:
    """Rows as USD writes them, seven digits each: float32 comes back as it was to a ten-millionth of its size."""
    return ", ".join(f"({', '.join(f'{value:.7g}' for value in row)})" for row in np.asarray(rows).tolist())


def _pack(path: Path, files: Mapping[str, bytes]) -> None:
    """A stored archive, its files aligned by padding in the extra field of their headers, the same each time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            item = zipfile.ZipInfo(name, _EPOCH)
            assert archive.fp is not None
            begin = archive.fp.tell() + 30 + len(name.encode()) + 4
            padding = -begin % ALIGNMENT
            item.extra = struct.pack("<HH", _PADDING_ID, padding) + b"\0" * padding
            archive.writestr(item, data)


def _breaks_rules(path: Path, item: zipfile.ZipInfo) -> bool:
    with path.open("rb") as file:
        file.seek(item.header_offset)
        header = file.read(30)
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    begin = item.header_offset + 30 + name_bytes + extra_bytes
    return item.compress_type != zipfile.ZIP_STORED or begin % ALIGNMENT != 0


def _read_array(path: Path, text: str, name: str) -> np.ndarray:
    found = re.search(rf"\w+\[\] {re.escape(name)} = \[(.*)\]", text)
    if not found:
        raise ProvenanceError(f"{path} has no {name}. Make the meshes again.")
    numbers = np.array(re.sub(r"[()\s]", "", found[1]).split(","))
    return numbers.astype(np.int64 if name.endswith(("Indices", "indices")) else np.float32)
