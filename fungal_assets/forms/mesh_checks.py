"""Checks of meshes: is there one of every form, closed, in metres on the ground, painted, and the same in each format?

Everything is read back from the files as they lie there. Belongs here: verdicts about a complete folder.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fungal_assets.errors import FungalError
from fungal_assets.forms.exporting import LIST_NAME, NOTED, NOTES_NAME
from fungal_assets.forms.noting import choose_notes
from fungal_assets.verdicts import Verdict, judged

MOST_FARTHEST_SHARE = 0.1
"""Of the height: how far a level of detail may lie from the form anywhere."""
HEIGHT_SHARE = 0.05
MOST_COLOUR_DIFFERENCE = 12
"""Mean difference between a texture at the vertices and their colours, of 255."""
_NOTHING_BUT_BLACK = 8


def check_all_forms(meshes: Path, forms_3d: Path) -> Verdict:
    """Every form that was grown has its meshes, with all their files."""

    def judge() -> Verdict:
        from fungal_assets.forms.keeping import list_forms

        listed = json.loads((meshes / LIST_NAME).read_text())
        there = {made["slug"]: made for made in listed["meshes"]}
        faults = [f"{each['common_name']} gave no mesh: {each['fault']}" for each in listed["failed"]]
        told = {each["slug"] for each in listed["failed"]}
        grown = list_forms(forms_3d)
        faults += [
            f"{form['common_name']} has no meshes"
            for form in grown
            if form["slug"] not in there.keys() | told
        ]
        for slug, made in there.items():
            named = [NOTES_NAME, *(name for level in made["levels"] for name in level["files"])]
            missing = [name for name in named if not (meshes / slug / name).is_file()]
            faults += [f"{made['common_name']} lacks {', '.join(missing)}"] if missing else []
        return _verdict(faults, "every form has its meshes", {"forms": len(grown), "meshes": len(there)})

    return judged(judge)


def check_closed(meshes: Path) -> Verdict:
    """Every level of detail is one closed, manifold body."""

    def fault(level: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
        from fungal_assets.forms.gltf import MOST_VERTICES
        from fungal_assets.forms.topology import fault_of, weld

        if len(arrays["POSITION"]) > MOST_VERTICES:
            return f"has {len(arrays['POSITION'])} vertices, expected {MOST_VERTICES} at most"
        return fault_of(*weld(arrays["POSITION"], arrays["indices"].reshape(-1, 3).astype(np.int64)))

    return judged(lambda: _judge_levels(meshes, fault, "every mesh is one closed body"))


def check_levels(meshes: Path) -> Verdict:
    """Every level of detail keeps to its budget of faces, and near to the form that it stands for."""

    def fault(level: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
        if arrays["indices"].size > 3 * level["max_faces"]:
            return f"has {arrays['indices'].size // 3} faces for {level['max_faces']}: fewer would tear it"
        if level["farthest_share"] > MOST_FARTHEST_SHARE:
            return f"lies up to {level['farthest_share']:.1%} of its height off its form"
        return ""

    return judged(lambda: _judge_levels(meshes, fault, "every level keeps to its budget and its form"))


def check_standing(meshes: Path) -> Verdict:
    """Every mesh has its height in metres, stands on the ground at the origin, and has finite, unit normals."""

    def fault(level: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
        places, normals, height_m = arrays["POSITION"], arrays["NORMAL"], level["height_m"]
        if not all(np.isfinite(values).all() for values in (places, normals)):
            return "has numbers that are not finite"
        low, high = places.min(0), places.max(0)
        foot = places[places[:, 1] <= low[1] + 0.1 * (high[1] - low[1])]
        off = float(np.abs(np.linalg.norm(normals, axis=1) - 1).max())
        if abs(low[1]) > 1e-4 * height_m:
            return f"stands {low[1]:.4g} m above the ground"
        if abs(high[1] - low[1] - height_m) > HEIGHT_SHARE * height_m:
            return f"is {high[1] - low[1]:.4g} m high, expected {height_m:g} m"
        if (foot.min(0) > 0)[[0, 2]].any() or (foot.max(0) < 0)[[0, 2]].any():
            return "does not stand at the origin"
        return f"has normals that are {off:.1%} off length 1" if off > 1e-3 else ""

    return judged(lambda: _judge_levels(meshes, fault, "every mesh stands on the ground, in metres"))


def check_textures(meshes: Path) -> Verdict:
    """Every texture shows the form: at each vertex it has the vertex's colour, and it is not all black."""

    def judge() -> Verdict:
        faults, differences = [], []
        for name, _, path in _levels(meshes):
            texture, difference = _compare_texture(path)
            differences.append(difference)
            if texture.max() < _NOTHING_BUT_BLACK:
                faults.append(f"the texture of {name} is black all over")
            elif difference > MOST_COLOUR_DIFFERENCE:
                faults.append(f"the texture of {name} is not that of its form ({difference:.0f} of 255 off)")
        figures = {"textures": len(differences), "most_difference": round(max(differences), 2)}
        return _verdict(faults, "every texture shows its form", figures)

    return judged(judge)


def check_formats(meshes: Path) -> Verdict:
    """Every file reads back, and holds the mesh and the notes that its GLB holds."""

    def judge() -> Verdict:
        faults, count = [], 0
        for name, level, path in _levels(meshes):
            for other in (path.with_name(file) for file in level["files"]):
                count += 1
                fault = _fault_of_file(path, other, level["notes"])
                faults += [f"{name}: its {other.suffix[1:]} {fault}"] if fault else []
        return _verdict(faults, "every file reads back", {"files": count})

    return judged(judge)


def _verdict(faults: list[str], whole: str, figures: Mapping[str, Any]) -> Verdict:
    finding = f"{'; '.join(faults)}. Make the meshes again." if faults else whole
    return Verdict(not faults, finding, {**figures, "faulty": len(faults)})


def _levels(meshes: Path) -> Iterator[tuple[str, dict[str, Any], Path]]:
    """Each level of detail: what it is called, what is known of it, and its GLB."""
    listed = json.loads((meshes / LIST_NAME).read_text())["meshes"]
    if not listed:
        raise ValueError(f"{LIST_NAME} lists no mesh")
    for made in listed:
        notes = choose_notes(made, NOTED) | {key: made[key] for key in ("licences", "height_m")}
        for level in made["levels"]:
            name = f"{made['common_name']} at level {level['level']}"
            known = level | {"height_m": made["height_m"], "notes": notes}
            yield name, known, meshes / made["slug"] / f"{made['slug']}_LOD{level['level']}.glb"


def _judge_levels(
    meshes: Path, fault_in: Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], str], whole: str
) -> Verdict:
    from fungal_assets.forms.gltf import read_glb

    faults, faces, farthest = [], [], []
    for name, level, path in _levels(meshes):
        _, arrays = read_glb(path)
        fault = fault_in(level, arrays) if arrays["indices"].size else "has no faces"
        faults += [f"{name} {fault}"] if fault else []
        faces.append(arrays["indices"].size // 3)
        farthest.append(level["farthest_share"])
    figures = {"meshes": len(faces), "fewest_faces": min(faces), "most_farthest_share": max(farthest)}
    return _verdict(faults, whole, figures)


def _compare_texture(path: Path) -> tuple[np.ndarray, float]:
    """The texture of a GLB, uint8 (S, S, 3), and the mean difference from the vertex colours of the PLY beside it."""
    from PIL import Image
    from scipy import ndimage

    from fungal_assets.forms.gltf import read_glb, read_glb_texture
    from fungal_assets.forms.polygons import read_ply

    with Image.open(io.BytesIO(read_glb_texture(path))) as image:
        texture = np.asarray(image.convert("RGB"))
    if not path.with_suffix(".ply").is_file():
        return texture, 0.0
    _, arrays = read_glb(path)
    _, rows, _ = read_ply(path.with_suffix(".ply"))
    colours = {tuple(row[name] for name in ("x", "y", "z")): row for row in rows}
    own = np.array(
        [[colours[tuple(place)][c] for c in ("red", "green", "blue")] for place in arrays["POSITION"]]
    )
    at = arrays["TEXCOORD_0"][:, ::-1].T * len(texture) - 0.5
    seen = [
        ndimage.map_coordinates(texture[..., c].astype(float), at, order=1, mode="nearest") for c in range(3)
    ]
    return texture, float(np.abs(np.stack(seen, 1) - own).mean())


def _fault_of_file(glb: Path, path: Path, notes: Mapping[str, Any]) -> str:
    """What keeps a file from holding what its GLB holds; empty if nothing does."""
    from fungal_assets.forms.gltf import read_glb
    from fungal_assets.forms.splats import count_splats, is_of_splats
    from fungal_assets.forms.topology import weld

    _, arrays = read_glb(glb)
    expected, cut = weld(arrays["POSITION"], arrays["indices"].reshape(-1, 3))
    try:
        if is_of_splats(path.name):
            found_count = count_splats(path)
            return "" if found_count == len(cut) else f"has {found_count} splats, its GLB {len(cut)} faces"
        found, vertices, faces = _read(path)
    except FungalError as error:
        return f"cannot be read: {error}"
    missing = [key for key, value in notes.items() if found.get(key) != value]
    if missing:
        return f"does not tell {', '.join(missing)} as {NOTES_NAME} does"
    if len(cut) != len(faces):
        return f"has {len(faces)} faces, its GLB {len(cut)}"
    off = np.abs(_corners(vertices, faces) - _corners(expected, cut)).max()
    return f"lies up to {off:.2g} m off its GLB" if off > 1e-5 * notes["height_m"] else ""


def _corners(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The corners of every face in turn, (3 m, 3)."""
    return vertices[faces.reshape(-1)]


def _read(path: Path) -> tuple[Mapping[str, Any], np.ndarray, np.ndarray]:
    """Notes, vertices and faces of a file, by its suffix."""
    from fungal_assets.forms import gltf, polygons, usd, wavefront

    if path.suffix == ".glb":
        document, arrays = gltf.read_glb(path)
        return document["asset"]["extras"], arrays["POSITION"], arrays["indices"].reshape(-1, 3)
    if path.suffix == ".usdz":
        notes, arrays, _ = usd.read_usdz(path)
        return notes, arrays["points"], arrays["faceVertexIndices"]
    if path.suffix == ".obj":
        notes, arrays = wavefront.read_obj(path)
        return notes, arrays["v"], arrays["f"][:, :, 0]
    notes, rows, faces = polygons.read_ply(path)
    return notes, np.stack([rows[name] for name in ("x", "y", "z")], 1), faces
