"""Meshes in all formats: read back by our readers, judged by the validators of others, and planted faults caught."""

import io
import json
import shutil
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import map_coordinates

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.forms import gltf, polygons, splats, usd, wavefront
from fungal_assets.forms.deviation import measure_deviation
from fungal_assets.forms.exporting import build_meshes
from fungal_assets.forms.keeping import save_volume
from fungal_assets.forms.mesh_checks import (
    check_all_forms,
    check_closed,
    check_formats,
    check_levels,
    check_standing,
    check_textures,
)
from fungal_assets.forms.meshing import Mesh, find_surface, mesh_volume, stand, thin_surface
from fungal_assets.forms.topology import fault_of, weld
from fungal_assets.forms.unwrapping import unwrap
from fungal_assets.forms.volume import EMPTY, Volume
from fungal_assets_tests.forms.shapes import CAP, STALK, axes, sphere, toadstool
from fungal_assets_tests.forms.validators import glb_issues, needs_gltf_validator, usd_issues

SETTINGS = {
    "face_budgets": [1500, 400], "texture_px": 128, "height_m": 0.2, "heights_m": {},
    "formats": ["usdz", "ply", "obj", "splat_ply", "splat"],
}  # fmt: skip
NAME = 'witch\'s "cap" \\ œ菌'
NOTES = {
    "common_name": NAME, "scientific_name": "Otidella œdipus", "prompt": "a photo\nof a cap", "seed": 7,
    "guide_sha256": "ab" * 32, "licences": ["Apache-2.0", "CC0-1.0"],
}  # fmt: skip
CHECKS = (check_closed, check_levels, check_standing, check_textures, check_formats)


def _keep_forms(root, volumes):
    """A complete `forms_3d` of those volumes by slug."""
    forms = []
    for number, (slug, volume) in enumerate(volumes.items()):
        notes = {key: value for key, value in NOTES.items() if key != "licences"}
        forms.append(notes | {"slug": slug, "common_name": NAME if number == 0 else slug.replace("-", " ")})
        (root / slug).mkdir()
        save_volume(root / slug / "form.npz", volume, {})
    (root / "forms.json").write_text(json.dumps({"forms": forms, "failed": []}))
    return root


@pytest.fixture(scope="module")
def forms_3d(tmp_path_factory):
    return _keep_forms(tmp_path_factory.mktemp("forms_3d"), {"red-cap": toadstool(32)})


@pytest.fixture(scope="module")
def made(forms_3d, tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes")
    build_meshes(forms_3d, NOTES["licences"], folder, **SETTINGS)
    return folder


@pytest.fixture
def damaged(made, tmp_path):
    return shutil.copytree(made, tmp_path / "meshes")


@pytest.fixture(scope="module")
def textured():
    """A textured toadstool of a thousand faces, in the volume's world, and its surface."""
    surface = find_surface(toadstool(32))
    return unwrap(thin_surface(surface, max_faces=1000), surface.volume, texture_px=256), surface


# -- the chain


def test_every_form_has_all_levels_in_all_formats(made):
    names = {path.name for path in (made / "red-cap").iterdir()}
    levels = {
        f"red-cap_LOD{n}.{kind}" for n in (0, 1) for kind in ("glb", "usdz", "ply", "obj", "mtl", "jpg")
    }
    assert names == levels | {"red-cap_splats.ply", "red-cap.splat", "mesh.json"}
    listed = json.loads((made / "meshes.json").read_text())
    assert [level["faces"] for level in listed["meshes"][0]["levels"]] == [1500, 400]
    assert [level["texture_px"] for level in listed["meshes"][0]["levels"]] == [128, 64]
    with Image.open(made / "textures.webp") as sheet:
        assert sheet.width > 200


def test_the_same_form_gives_the_same_bytes(forms_3d, made, tmp_path):
    build_meshes(forms_3d, NOTES["licences"], tmp_path, **SETTINGS)
    for path in made.rglob("*.*"):
        assert (tmp_path / path.relative_to(made)).read_bytes() == path.read_bytes(), path.name


def test_meshes_that_are_there_are_kept(forms_3d, damaged):
    path = damaged / "red-cap" / "red-cap_LOD0.glb"
    before = path.stat().st_mtime_ns
    build_meshes(forms_3d, NOTES["licences"], damaged, **SETTINGS)
    assert path.stat().st_mtime_ns == before


def test_an_empty_form_is_listed_with_its_fault_and_the_others_go_through(tmp_path):
    (tmp_path / "forms").mkdir(), (tmp_path / "meshes").mkdir()
    empty = Volume(torch.full((16, 16, 16), EMPTY), torch.zeros(3, 16, 16, 16))
    forms = _keep_forms(tmp_path / "forms", {"no-cap": empty, "round-cap": sphere(0.5, 16)})
    told = []
    figures = build_meshes(forms, [], tmp_path / "meshes", **SETTINGS, tell=told.append)
    assert (figures["meshes"], figures["failed"]) == (1, 1)
    assert any("no mesh, the form is empty" in line for line in told)
    verdict = check_all_forms(tmp_path / "meshes", forms)
    assert not verdict.passed and f"{NAME} gave no mesh: the form is empty" in verdict.finding
    assert all(check(tmp_path / "meshes").passed for check in CHECKS)


def test_only_empty_forms_are_an_error(tmp_path):
    (tmp_path / "forms").mkdir(), (tmp_path / "meshes").mkdir()
    empty = Volume(torch.full((16, 16, 16), EMPTY), torch.zeros(3, 16, 16, 16))
    with pytest.raises(InputError, match="no form gave a mesh: the form is empty"):
        build_meshes(_keep_forms(tmp_path / "forms", {"a": empty}), [], tmp_path / "meshes", **SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"formats": ["fbx"]}, "format 'fbx' not known; there is obj, ply, splat, splat_ply, usdz"),
        ({"heights_m": {"elephant": 3.0}}, "species 'elephant' not known; there is .*red-cap"),
        ({"face_budgets": [8000, 12]}, r"face_budgets \[12\].* expected 100 to 40000 faces"),
        ({"heights_m": {"red-cap": -1.0}}, r"heights \[-1.0\].*more than 0"),
    ],
)
def test_settings_that_cannot_be_made_are_refused(forms_3d, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        build_meshes(forms_3d, [], tmp_path, **SETTINGS | changes)


def test_a_species_has_its_own_height(forms_3d, tmp_path):
    settings = SETTINGS | {"heights_m": {NAME: 0.05}, "face_budgets": [400], "formats": []}
    build_meshes(forms_3d, [], tmp_path, **settings)
    document, arrays = gltf.read_glb(tmp_path / "red-cap" / "red-cap_LOD0.glb")
    assert arrays["POSITION"][:, 1].max() == pytest.approx(0.05, rel=0.03)
    assert document["asset"]["extras"]["height_m"] == 0.05


# -- the texture


def test_the_texture_has_at_each_vertex_the_colour_of_its_part(textured):
    mesh, surface = textured
    whole = mesh.cut()
    heights = stand(whole.vertices, surface, height_m=1.0)[:, 1]
    rows, columns = (np.clip(whole.uvs[:, i] * 256, 0, 255).astype(int) for i in (1, 0))
    seen = mesh.texture[rows, columns] / 255
    for wanted, part in ((CAP, heights > 0.75), (STALK, (heights > 0.05) & (heights < 0.25))):
        assert np.abs(seen[part] - wanted).max() < 0.05


def test_no_texel_has_a_colour_that_is_not_the_forms(textured):
    """Also between the charts, so that a texture made smaller has no seams; the edge of cap and stalk mixes both."""
    texture = textured[0].texture.reshape(-1, 3) / 255
    along = (texture - STALK) @ np.subtract(CAP, STALK) / np.square(np.subtract(CAP, STALK)).sum()
    mixed = np.array(STALK) + along[:, None].clip(0, 1) * np.subtract(CAP, STALK)
    assert np.abs(texture - mixed).max() < 0.12 and np.abs(texture - mixed).mean() < 0.01


def test_the_texture_says_the_place_and_no_two_faces_share_a_texel(textured):
    """A volume whose colour is its place: read through the texture, every face's middle tells where it is."""
    z, y, x = axes(48)
    body = sphere(0.6)
    told = Volume(body.density, torch.logit(torch.stack([x, y, z]) * 0.45 + 0.5))
    surface = find_surface(told)
    mesh = unwrap(thin_surface(surface, max_faces=800), told, texture_px=512)
    middles = mesh.vertices[mesh.faces].mean(1)
    columns, rows = (mesh.uvs[mesh.uv_faces].mean(1).T * 512).astype(int)
    seen = (mesh.texture[rows, columns] / 255 - 0.5) / 0.45
    assert np.abs(seen - middles).max() < 0.06


def test_read_between_texels_both_sides_of_every_seam_have_the_colour_of_the_place():
    """On a coarse texture, where texels of what lies outside a chart are mixed in most."""
    z, y, x = axes(48)
    told = Volume(sphere(0.6).density, torch.logit(torch.stack([x, y, z]) * 0.45 + 0.5))
    mesh = unwrap(thin_surface(find_surface(told), max_faces=300), told, texture_px=64)
    for share in (0.1, 0.5):
        places = share * mesh.uvs[mesh.uv_faces] + (1 - share) * mesh.uvs[np.roll(mesh.uv_faces, 1, 1)]
        ends = share * mesh.vertices[mesh.faces] + (1 - share) * mesh.vertices[np.roll(mesh.faces, 1, 1)]
        at = places.reshape(-1, 2)[:, ::-1].T * 64 - 0.5
        channels = (mesh.texture[..., index].astype(float) for index in range(3))
        seen = np.stack([map_coordinates(channel, at, order=1, mode="nearest") for channel in channels], 1)
        assert np.abs(seen - (ends.reshape(-1, 3) * 0.45 + 0.5) * 255).max() < 4


def test_a_mesh_is_cut_for_its_texture_and_closed_again_when_welded(textured):
    mesh, _ = textured
    cut = mesh.cut()
    assert len(cut.vertices) == len(mesh.uvs) > len(mesh.vertices)
    assert np.array_equal(cut.vertices[cut.faces], mesh.vertices[mesh.faces])
    assert fault_of(cut.vertices, cut.faces) != "" and fault_of(*weld(cut.vertices, cut.faces)) == ""


# -- formats


@pytest.mark.parametrize("level", [0, 1])
def test_every_format_gives_mesh_and_notes_back(made, level):
    stem = made / "red-cap" / f"red-cap_LOD{level}"
    notes = NOTES | {"height_m": 0.2, "level_of_detail": level}
    document, arrays = gltf.read_glb(stem.with_suffix(".glb"))
    assert document["asset"]["extras"] == notes
    assert document["asset"]["copyright"] == "Apache-2.0, CC0-1.0"
    vertices, faces = arrays["POSITION"], arrays["indices"].reshape(-1, 3)
    texture = gltf.read_glb_texture(stem.with_suffix(".glb"))
    usd_notes, usd_arrays, usd_texture = usd.read_usdz(stem.with_suffix(".usdz"))
    obj_notes, obj_arrays = wavefront.read_obj(stem.with_suffix(".obj"))
    ply_notes, rows, ply_faces = polygons.read_ply(stem.with_suffix(".ply"))
    assert usd_notes == obj_notes == ply_notes == notes
    assert usd_texture == texture == stem.with_suffix(".jpg").read_bytes()
    placed = np.stack([rows[name] for name in "xyz"], 1)
    for places, corners in (
        (usd_arrays["points"], usd_arrays["faceVertexIndices"]),
        (obj_arrays["v"], obj_arrays["f"][..., 0]),
        (placed, ply_faces),
    ):
        assert np.allclose(places[corners], vertices[faces], atol=1e-7)
        assert fault_of(places, corners) == ""
    uvs = arrays["TEXCOORD_0"][faces] * [1, -1] + [0, 1]
    assert np.allclose(usd_arrays["primvars:st"][usd_arrays["primvars:st:indices"]], uvs, atol=1e-6)
    assert np.allclose(obj_arrays["vt"][obj_arrays["f"][..., 1]], uvs, atol=1e-6)
    assert np.allclose(obj_arrays["vn"][obj_arrays["f"][..., 2]], arrays["NORMAL"][faces], atol=1e-5)


def test_vertex_colours_are_linear_in_glb_and_srgb_in_ply(textured, tmp_path):
    mesh, _ = textured
    gltf.write_glb(tmp_path / "a.glb", mesh, name="a", extras={})
    polygons.write_ply(tmp_path / "a.ply", mesh, extras={})
    linear = gltf.read_glb(tmp_path / "a.glb")[1]["COLOR_0"][:, 0] / 65535
    red = polygons.read_ply(tmp_path / "a.ply")[1]["red"] / 255
    assert np.allclose(
        np.where(red > 0.04045, ((red + 0.055) / 1.055) ** 2.4, red / 12.92), linear, atol=0.006
    )


def test_more_vertices_than_two_bytes_count_have_longer_indices(tmp_path):
    many = np.zeros((70_000, 3), np.float32)
    mesh = Mesh(many, np.array([[0, 1, 69_999]]), many + [0, 1, 0], many)
    gltf.write_glb(tmp_path / "a.glb", mesh, name="a", extras={})
    assert gltf.read_glb(tmp_path / "a.glb")[1]["indices"].ravel().tolist() == [0, 1, 69_999]


@needs_gltf_validator
def test_khronos_finds_nothing_in_a_glb_not_even_a_hint(made, textured, tmp_path):
    gltf.write_glb(tmp_path / "plain.glb", textured[0], name=NAME, extras=NOTES)
    paths = [tmp_path / "plain.glb", *sorted(made.rglob("*.glb"))]
    for path, issues in zip(paths, glb_issues(*paths), strict=True):
        assert issues["messages"] == [] and issues["numErrors"] == 0, path


@needs_gltf_validator
def test_khronos_finds_a_normal_that_is_not_of_length_one(textured, tmp_path):
    normals = textured[0].normals.copy()
    normals[0] *= 2
    gltf.write_glb(tmp_path / "a.glb", replace(textured[0], normals=normals), name="a", extras={})
    assert glb_issues(tmp_path / "a.glb")[0]["numErrors"] > 0


def test_pixar_finds_nothing_in_a_usdz(made):
    for path in sorted(made.rglob("*.usdz")):
        assert usd_issues(path) == [], path


def test_pixar_reads_metres_that_stand_on_the_ground(made):
    usd_issues(made / "red-cap" / "red-cap_LOD0.usdz")
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(made / "red-cap" / "red-cap_LOD0.usdz"))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1 and UsdGeom.GetStageUpAxis(stage) == "Y"
    box = UsdGeom.Imageable(stage.GetDefaultPrim()).ComputeWorldBound(0, "default").ComputeAlignedRange()
    assert box.GetMin()[1] == 0 and box.GetMax()[1] == pytest.approx(0.2, rel=0.02)
    notes = stage.GetRootLayer().customLayerData
    assert notes["common_name"] == NAME and list(notes["licences"]) == NOTES["licences"]


def test_pixar_finds_a_package_that_is_compressed(made, tmp_path):
    with zipfile.ZipFile(made / "red-cap" / "red-cap_LOD0.usdz") as whole:
        files = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(tmp_path / "a.usdz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert usd_issues(tmp_path / "a.usdz")
    with pytest.raises(ProvenanceError, match="is compressed"):
        usd.read_usdz(tmp_path / "a.usdz")


# -- splats


def test_splats_lie_on_a_sphere_and_face_outward(tmp_path):
    mesh = mesh_volume(sphere(0.5), max_faces=1200, height_m=1.0)
    discs = splats.make_splats(mesh)
    outward = discs.centres - [0, 0.5, 0]
    assert np.linalg.norm(outward, axis=1) == pytest.approx(0.5, abs=0.02)
    assert ((outward / np.linalg.norm(outward, axis=1, keepdims=True)) * discs.normals).sum(1).min() > 0.9
    w, x, y, z = discs.turns.T
    thin = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1)
    assert np.abs((thin * discs.normals).sum(1)).min() > 0.999, "the thinnest axis is the normal"
    covered = (np.pi * 4 * discs.scales[:, 0] * discs.scales[:, 1]).sum()
    assert covered > np.pi, "discs of two standard deviations cover the sphere"


def test_splat_files_hold_what_their_formats_say(made):
    folder = made / "red-cap"
    notes, rows, _ = polygons.read_ply(folder / "red-cap_splats.ply")
    assert notes["common_name"] == NAME and len(rows) == 1500
    assert rows.dtype.names[-4:] == ("rot_0", "rot_1", "rot_2", "rot_3")
    data = (folder / "red-cap.splat").read_bytes()
    assert len(data) == 32 * 1500
    first = struct.unpack("<6f4B4B", data[:32])
    largest = int(np.argmax(rows["scale_0"] + rows["scale_1"] + rows["scale_2"]))
    assert first[:3] == pytest.approx([rows[name][largest] for name in "xyz"])
    assert np.log(first[3]) == pytest.approx(rows["scale_0"][largest], abs=1e-5)
    red = 0.5 + 0.28209479 * rows["f_dc_0"][largest]
    assert first[6] == pytest.approx(255 * red, abs=1)


# -- how far off


def test_the_deviation_of_a_ball_in_a_ball_is_the_gap():
    inner, outer = (mesh_volume(sphere(0.5), max_faces=3000, height_m=1.0) for _ in range(2))
    grown = (outer.vertices - [0, 0.5, 0]) * 1.1 + [0, 0.5, 0]
    found = measure_deviation((inner.vertices, inner.faces), (grown, outer.faces))
    assert found.farthest == pytest.approx(0.05, abs=0.004) and found.mean == pytest.approx(0.05, abs=0.002)


def test_a_lost_twig_is_far_off_though_nothing_was_added():
    z, y, x = axes(32)
    twig = torch.maximum((y.square() + z.square()).sqrt() - 0.08, (x - 0.6).abs() - 0.3)
    ball = (x**2 + y**2 + z**2).sqrt() - 0.4
    whole, bare = (
        find_surface(Volume((-shape * 200).clamp(EMPTY, 30), torch.zeros(3, 32, 32, 32)))
        for shape in (torch.minimum(ball, twig), ball)
    )
    both = [(surface.to_world(surface.points), surface.faces) for surface in (bare, whole)]
    assert measure_deviation(*both).farthest == pytest.approx(0.5, abs=0.05)
    assert measure_deviation(*both) == measure_deviation(*both)
    assert measure_deviation(both[0], both[0]).farthest < 1e-9


# -- checks


def test_good_meshes_pass(made, forms_3d):
    verdicts = [check_all_forms(made, forms_3d), *(check(made) for check in CHECKS)]
    assert [verdict.finding for verdict in verdicts if not verdict.passed] == []


def _rewrite(folder, change, *, level=0):
    """Write a level's GLB again, changed: `change` gets and gives back its mesh, cut, with its texture."""
    path = folder / "red-cap" / f"red-cap_LOD{level}.glb"
    document, arrays = gltf.read_glb(path)
    faces = arrays["indices"].reshape(-1, 3).astype(np.int64)
    with Image.open(io.BytesIO(gltf.read_glb_texture(path))) as image:
        texture = np.asarray(image)
    from fungal_assets.forms.unwrapping import TexturedMesh

    places = arrays["POSITION"]
    mesh = TexturedMesh(
        places, faces, arrays["NORMAL"], np.zeros_like(places), arrays["TEXCOORD_0"], faces, texture
    )
    changed = change(mesh)
    buffer = io.BytesIO()
    Image.fromarray(changed.texture).save(buffer, "JPEG", quality=92)
    gltf.write_textured_glb(
        path, changed, picture=buffer.getvalue(), name="a", extras=document["asset"]["extras"]
    )


def _fewer(mesh, faces):
    return replace(mesh, faces=faces, uv_faces=faces)


def _pinched(mesh):
    """Its lowest vertex moved into its highest."""
    low, high = mesh.vertices[:, 1].argmin(), mesh.vertices[:, 1].argmax()
    places = mesh.vertices.copy()
    places[(places == places[low]).all(1)] = places[high]
    return replace(mesh, vertices=places)


def _spoilt_place(mesh):
    places = mesh.vertices.copy()
    places[3, 0] = np.nan
    return replace(mesh, vertices=places)


@pytest.mark.parametrize(
    ("check", "change", "finding"),
    [
        (check_closed, lambda mesh: _fewer(mesh, mesh.faces[:-1]), "is not closed and manifold"),
        (check_closed, lambda mesh: _fewer(mesh, mesh.faces[:0]), "has no faces"),
        (check_closed, lambda mesh: _fewer(mesh, mesh.faces[:, ::-1]), "is inside out"),
        (check_closed, lambda mesh: _fewer(mesh, np.vstack([mesh.faces, mesh.faces[:1]])), "is not closed"),
        (check_closed, _pinched, "is pinched at"),
        (check_standing, lambda mesh: replace(mesh, vertices=mesh.vertices * 100), "m high, expected 0.2 m"),
        (check_standing, lambda mesh: replace(mesh, vertices=mesh.vertices + [0, 0.05, 0]), "0.05 m above"),
        (check_standing, lambda mesh: replace(mesh, vertices=mesh.vertices + [0.3, 0, 0]), "not stand at the origin"),
        (check_standing, _spoilt_place, "not finite"),
        (check_standing, lambda mesh: replace(mesh, normals=mesh.normals * 1.5), "50.0% off length 1"),
        (check_textures, lambda mesh: replace(mesh, texture=mesh.texture * 0), "is black all over"),
        (check_textures, lambda mesh: replace(mesh, texture=mesh.texture // 255 + 127), "is not that of its form"),
        (check_textures, lambda mesh: replace(mesh, texture=mesh.texture[::-1]), "is not that of its form"),
        (check_formats, lambda mesh: replace(mesh, vertices=mesh.vertices * 1.01), "off its GLB"),
        (check_formats, lambda mesh: _fewer(mesh, mesh.faces[:-1]), "faces, its GLB"),
    ],
    ids=[
        "open", "empty", "inside-out", "edge-of-three-faces", "pinched", "centimetres", "floating", "far-off",
        "not-finite", "long-normals", "black", "blank", "upside-down", "another-scale", "another-mesh",
    ],
)  # fmt: skip
@pytest.mark.parametrize("level", [0, 1])
def test_a_faulty_mesh_is_caught(damaged, check, change, finding, level):
    _rewrite(damaged, change, level=level)
    verdict = check(damaged)
    assert not verdict.passed and f"{NAME} at level {level}" in verdict.finding
    assert finding in verdict.finding


@pytest.mark.parametrize(
    "suffix", ["_LOD0.usdz", "_LOD1.ply", "_LOD0.obj", "_LOD1.glb", "_splats.ply", ".splat"]
)
@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_a_file_that_is_cut_off_is_caught(damaged, suffix, keep):
    path = damaged / "red-cap" / f"red-cap{suffix}"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert not check_formats(damaged).passed


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb"])
def test_a_file_with_another_prompt_is_caught(damaged, suffix):
    path = damaged / "red-cap" / f"red-cap_LOD0.{suffix}"
    path.write_bytes(path.read_bytes().replace(b"of a cap", b"of a cup"))
    verdict = check_formats(damaged)
    assert not verdict.passed and "does not tell prompt" in verdict.finding


def test_a_missing_texture_of_an_obj_is_caught(damaged):
    (damaged / "red-cap" / "red-cap_LOD0.jpg").unlink()
    verdict = check_formats(damaged)
    assert not verdict.passed and "the texture of" in verdict.finding


def test_a_missing_file_and_a_form_without_meshes_are_caught(damaged, forms_3d, tmp_path):
    more = shutil.copytree(forms_3d, tmp_path / "forms")
    listed = json.loads((more / "forms.json").read_text())
    listed["forms"].append(listed["forms"][0] | {"slug": "lost-cap", "common_name": "lost cap"})
    (more / "forms.json").write_text(json.dumps(listed))
    (damaged / "red-cap" / "red-cap_LOD1.ply").unlink()
    finding = check_all_forms(damaged, more).finding
    assert "lost cap has no meshes" in finding and "lacks red-cap_LOD1.ply" in finding


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"farthest_share": 0.3}, "at level 1 lies up to 30.0% of its height off its form"),
        ({"max_faces": 300}, "at level 1 has 400 faces for 300"),
    ],
)
def test_a_level_far_off_its_form_or_its_budget_is_told(damaged, change, finding):
    listed = json.loads((damaged / "meshes.json").read_text())
    listed["meshes"][0]["levels"][1] |= change
    (damaged / "meshes.json").write_text(json.dumps(listed))
    verdict = check_levels(damaged)
    assert not verdict.passed and finding in verdict.finding


def test_missing_outputs_are_failed_verdicts_not_errors(tmp_path):
    assert not any(check(tmp_path).passed for check in CHECKS)
    assert not check_all_forms(tmp_path, tmp_path).passed
