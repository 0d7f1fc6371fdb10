"""The stage `meshes`: every form as closed, textured meshes in several levels of detail and in all formats.

    <slug>/<slug>_LOD0.glb, .usdz, .ply, .obj, .mtl, .jpg    the finest; the others coarser, each texture half as wide
    <slug>/<slug>_splats.ply, <slug>.splat                   only if asked for
    <slug>/mesh.json                                         what was made; written last, so that it means complete
    meshes.json                                              of all forms; and those that gave no mesh, with why
    textures.webp                                            the finest textures

`export_mesh` is the whole chain for one volume, wherever the volume is from. Belongs here: which files are made of a
form. How each is made stands in `meshing`, `unwrapping`, `gltf`, `usd`, `wavefront`, `polygons` and `splats`. Heavy
modules are imported inside functions.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.errors import InputError
from fungal_assets.forms.noting import choose_notes
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.store import Figures, write_atomically

if TYPE_CHECKING:
    from fungal_assets.forms.meshing import Surface
    from fungal_assets.forms.unwrapping import TexturedMesh
    from fungal_assets.forms.volume import Volume

LIST_NAME, NOTES_NAME, SHEET_NAME = "meshes.json", "mesh.json", "textures.webp"
MESH_FORMATS = ("usdz", "ply", "obj")
"""Beside GLB, which is always made."""
SPLAT_FORMATS = ("splat_ply", "splat")
NOTED = ("common_name", "scientific_name", "prompt", "seed", "guide_sha256")
"""What of a grown form's notes stands in every file of it; of an evolved one its lineage does, as `noting` says."""
FACE_BUDGETS, MOST_HEIGHT_M = (100, 40_000), 100.0
_LEAST_TEXTURE_PX = 64
_JPEG_QUALITY = 92


def build_meshes(
    forms_3d: Path,
    licences: Sequence[str],
    folder: Path,
    *,
    face_budgets: Sequence[int],
    texture_px: int,
    height_m: float,
    heights_m: Mapping[str, float],
    formats: Sequence[str],
    tell: Tell = stay_silent,
) -> Figures:
    """Make the meshes of every form.

    Args:
        forms_3d: Complete output, of grown or of evolved forms.
        licences: Of what the forms were made from, as SPDX ids; they stand in every file.
        folder: Filled as the module says; complete species folders are kept.
        face_budgets: See `export_mesh`; so `texture_px` and `formats`.
        texture_px: Side of the finest texture.
        height_m: From the ground to the top, metres.
        heights_m: The same for single species, by common name or slug.
        formats: Which files beside GLB.
        tell: Told of progress.

    Raises:
        InputError: A format or a species is not known, or no form at all gave a mesh.
        ProvenanceError: The forms are not complete.
    """
    from fungal_assets.forms.keeping import list_forms

    start_cpu_s = time.process_time()
    forms = list_forms(forms_3d)
    _refuse_bad_sizes(face_budgets, [height_m, *heights_m.values()])
    _refuse_unknown(formats, (*MESH_FORMATS, *SPLAT_FORMATS), "format")
    _refuse_unknown(heights_m, {form[key] for form in forms for key in ("common_name", "slug")}, "species")
    made, failed = [], []
    for form in follow(forms, tell, "meshes", len(forms)):
        named = [heights_m[form[key]] for key in ("common_name", "slug") if form[key] in heights_m]
        settings = {"face_budgets": face_budgets, "texture_px": texture_px, "formats": formats}
        try:
            made.append(
                _build_form(forms_3d, folder, form, licences, height_m=[*named, height_m][0], **settings)
            )
        except InputError as error:
            failed.append({"common_name": form["common_name"], "slug": form["slug"], "fault": str(error)})
            tell(f"{form['common_name']}: no mesh, {error}")
    if not made:
        raise InputError(f"no form gave a mesh: {'; '.join(each['fault'] for each in failed)}")
    _draw_textures(folder, made)
    write_atomically(folder / LIST_NAME, json.dumps({"meshes": made, "failed": failed}, indent=1))
    tell(f"meshes took {time.process_time() - start_cpu_s:.1f} s of a CPU")
    return _figures(made, failed)


def export_mesh(
    volume: Volume,
    folder: Path,
    *,
    stem: str,
    notes: Mapping[str, Any],
    face_budgets: Sequence[int],
    texture_px: int,
    height_m: float,
    formats: Sequence[str],
) -> list[dict[str, Any]]:
    """Make all files of one volume.

    Args:
        volume: A form.
        folder: Where they go; it must be there.
        stem: What their names begin with.
        notes: What stands in every file: texts, numbers, and lists of texts or of whole numbers. `common_name` is what
            viewers show; `licences` goes to each format's own place for it.
        face_budgets: Faces of each level of detail.
        texture_px: Side of the finest level's texture; each further level's is half as wide.
        height_m: From the ground to the top, metres.
        formats: Beside GLB: of `MESH_FORMATS`, for each level, and `SPLAT_FORMATS`, of the finest.

    Returns:
        For each level, the finest first: `level`, `max_faces`, `faces`, `vertices` (of the GLB, cut along the seams of
        the texture), `texture_px`, `farthest_share` and `mean_share` (distance from the form's whole surface, over its
        height) and `files`.

    Raises:
        InputError: The volume is empty, or a mesh has more vertices than every engine takes.
    """
    from fungal_assets.forms.meshing import find_surface

    surface = find_surface(volume)
    levels = []
    for level, max_faces in enumerate(sorted(set(face_budgets), reverse=True)):
        side_px = max(texture_px >> level, _LEAST_TEXTURE_PX)
        mesh = _make_level(surface, max_faces, side_px, height_m)
        own = dict(notes) | {"height_m": height_m, "level_of_detail": level}
        files = _write_level(folder, f"{stem}_LOD{level}", mesh, own, formats)
        files += _write_splats(folder, stem, mesh, own, formats) if level == 0 else []
        levels.append(
            {"level": level, "max_faces": max_faces, "faces": len(mesh.faces), "vertices": len(mesh.uvs)}
            | {"texture_px": side_px}
            | _compare(mesh, surface, height_m)
            | {"files": files}
        )
    return levels


def _build_form(
    forms_3d: Path,
    folder: Path,
    form: Mapping[str, Any],
    licences: Sequence[str],
    *,
    height_m: float,
    **settings: Any,
) -> dict[str, Any]:
    """The files of one form, unless they are there; returns mesh.json."""
    from fungal_assets.forms.keeping import load_form

    place = folder / form["slug"]
    if (place / NOTES_NAME).exists():
        return json.loads((place / NOTES_NAME).read_text())
    place.mkdir(parents=True, exist_ok=True)
    volume, known = load_form(forms_3d / form["slug"] / "form.npz")
    notes = choose_notes({**known, **form}, NOTED) | {"licences": list(licences)}
    levels = export_mesh(volume, place, stem=form["slug"], notes=notes, height_m=height_m, **settings)
    made = notes | {"slug": form["slug"], "height_m": height_m, "levels": levels}
    write_atomically(place / NOTES_NAME, json.dumps(made, indent=1))
    return made


def _make_level(surface: Surface, max_faces: int, texture_px: int, height_m: float) -> TexturedMesh:
    from fungal_assets.forms.gltf import MOST_VERTICES
    from fungal_assets.forms.meshing import stand, thin_surface
    from fungal_assets.forms.unwrapping import unwrap

    mesh = unwrap(thin_surface(surface, max_faces=max_faces), surface.volume, texture_px=texture_px)
    if len(mesh.uvs) > MOST_VERTICES:
        raise InputError(
            f"the mesh of {len(mesh.faces)} faces has {len(mesh.uvs)} vertices, expected {MOST_VERTICES} at most. "
            "Lower face_budgets."
        )
    return replace(mesh, vertices=stand(mesh.vertices, surface, height_m=height_m))


def _write_level(
    folder: Path, stem: str, mesh: TexturedMesh, notes: Mapping[str, Any], formats: Sequence[str]
) -> list[str]:
    """The files of one level, by name."""
    from fungal_assets.forms import gltf, polygons, usd, wavefront

    picture, name = _encode(mesh), str(notes["common_name"])
    writers: dict[str, Callable[..., None]] = {
        "glb": partial(gltf.write_textured_glb, picture=picture, name=name),
        "usdz": partial(usd.write_usdz, picture=picture, name=name),
        "ply": polygons.write_ply,
        "obj": partial(wavefront.write_obj, picture=picture, name=name),
    }
    suffixes = ["glb", *(kind for kind in MESH_FORMATS if kind in formats)]
    for suffix in suffixes:
        writers[suffix](folder / f"{stem}.{suffix}", mesh, extras=notes)
    return [f"{stem}.{suffix}" for suffix in suffixes]


def _write_splats(
    folder: Path, stem: str, mesh: TexturedMesh, notes: Mapping[str, Any], formats: Sequence[str]
) -> list[str]:
    from fungal_assets.forms.splats import make_splats, write_splat, write_splat_ply

    if not set(formats) & set(SPLAT_FORMATS):
        return []
    splats, files = make_splats(mesh), []
    if "splat_ply" in formats:
        files.append(f"{stem}_splats.ply")
        write_splat_ply(folder / files[-1], splats, extras=notes)
    if "splat" in formats:
        files.append(f"{stem}.splat")
        write_splat(folder / files[-1], splats)
    return files


def _compare(mesh: TexturedMesh, surface: Surface, height_m: float) -> dict[str, float]:
    from fungal_assets.forms.deviation import measure_deviation
    from fungal_assets.forms.meshing import stand

    whole = stand(surface.to_world(surface.points), surface, height_m=height_m)
    found = measure_deviation((mesh.vertices, mesh.faces), (whole, surface.faces))
    return {
        "farthest_share": round(found.farthest / height_m, 5),
        "mean_share": round(found.mean / height_m, 5),
    }


def _encode(mesh: TexturedMesh) -> bytes:
    """The texture as JPEG, its colours at full resolution, so that none bleeds over a seam."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mesh.texture).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _draw_textures(folder: Path, made: Sequence[Mapping[str, Any]]) -> None:
    """A sheet of the finest textures, for the eye."""
    from PIL import Image

    from fungal_assets.forms.gltf import read_glb_texture
    from fungal_assets.previews import contact_sheet

    tiles = []
    for each in made:
        path = folder / each["slug"] / f"{each['slug']}_LOD0.glb"
        tiles.append(Image.open(io.BytesIO(read_glb_texture(path))))
    labels = [each["common_name"] for each in made]
    sheet = contact_sheet(tiles, columns=min(4, len(tiles)), labels=labels, tile_px=240)
    temporary = folder / f".{SHEET_NAME}"
    sheet.save(temporary, "WEBP", quality=85, method=4)
    temporary.replace(folder / SHEET_NAME)


def _refuse_unknown(given: Iterable[str], known: Collection[str], what: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(
            f"{what} {', '.join(map(repr, unknown))} not known; there is {', '.join(sorted(known))}."
        )


def _refuse_bad_sizes(face_budgets: Sequence[int], heights_m: Sequence[float]) -> None:
    low, high = FACE_BUDGETS
    bad = [budget for budget in face_budgets if not low <= budget <= high]
    bad_heights = [height for height in heights_m if not 0 < height <= MOST_HEIGHT_M]
    if bad or bad_heights:
        raise InputError(
            f"face_budgets {bad} and heights {bad_heights} can't be made; expected {low} to {high} faces, and more "
            f"than 0 and at most {MOST_HEIGHT_M:g} metres."
        )


def _figures(made: Sequence[Mapping[str, Any]], failed: Sequence[Mapping[str, Any]]) -> Figures:
    levels = [level for each in made for level in each["levels"]]
    faces = [level["faces"] for level in levels]
    last = max(level["level"] for level in levels)
    return {
        "meshes": len(made),
        "failed": len(failed),
        "levels": last + 1,
        "most_faces": max(faces),
        "fewest_faces": min(faces),
        "farthest_share_finest": max(level["farthest_share"] for level in levels if level["level"] == 0),
        "farthest_share_coarsest": max(level["farthest_share"] for level in levels if level["level"] == last),
    }
