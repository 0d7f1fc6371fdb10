"""What goes on of a form: of an evolved one its lineage stands in every file, and its films are in light."""

import json

import numpy as np
import pytest

from fungal_assets.errors import ProvenanceError
from fungal_assets.forms import gltf, polygons, usd, wavefront
from fungal_assets.forms.exporting import NOTED, build_meshes
from fungal_assets.forms.filming import film_forms
from fungal_assets.forms.keeping import list_forms, load_volume, save_volume
from fungal_assets.forms.lighting import shine
from fungal_assets.forms.mesh_checks import check_formats
from fungal_assets.forms.noting import LINEAGE, choose_notes
from fungal_assets.forms.shooting import open_form
from fungal_assets_tests.forms.shapes import toadstool
from fungal_assets_tests.forms.validators import usd_issues

SPECIES = {
    "common_name": "red cap",
    "scientific_name": "Otidella",
    "prompt": "a cap",
    "seed": 7,
    "guide_sha256": "ab",
}
NOTES = {"slug": "form-00041", "common_name": "bolete and coral 41", "key": 41, "generation": 3, "parents": [17, 20],
         "bred_by": "evolution"}  # fmt: skip
ANCESTORS = ["bolete", "coral"]
MESHES = {
    "face_budgets": [300],
    "texture_px": 64,
    "height_m": 0.2,
    "heights_m": {},
    "formats": ["usdz", "ply", "obj"],
}
FILMS = {"frames": 8, "size_px": 64, "frames_per_s": 30, "formats": [], "pyramid_screen": "below", "screen_mm": 70.0,
         "orientation": "portrait", "display": "portrait", "quilt_px": 240, "individuals": 3, "seed": 0}  # fmt: skip


def _keep(root, notes):
    """An output of one evolved form, whose ancestors are named in its volume alone, as `ancestors.keeping` has it."""
    (root / notes["slug"]).mkdir(parents=True)
    save_volume(
        root / notes["slug"] / "form.npz", toadstool(20), {"ancestors": ANCESTORS, "key": notes["key"]}
    )
    (root / "forms.json").write_text(json.dumps({"forms": [notes]}))
    return root


@pytest.mark.parametrize(
    "notes",
    [
        pytest.param(NOTES, id="of two parents"),
        pytest.param(NOTES | {"parents": [], "generation": 0, "bred_by": "a person"}, id="of none"),
    ],
)
def test_the_lineage_stands_in_every_file_of_an_evolved_form(tmp_path, notes):
    (tmp_path / "meshes").mkdir()
    build_meshes(_keep(tmp_path / "forms", notes), ["CC0-1.0"], tmp_path / "meshes", **MESHES)
    stem = tmp_path / "meshes" / notes["slug"] / f"{notes['slug']}_LOD0"
    told = notes | {"ancestors": ANCESTORS, "licences": ["CC0-1.0"], "height_m": 0.2, "level_of_detail": 0}
    assert gltf.read_glb(stem.with_suffix(".glb"))[0]["asset"]["extras"] == told
    assert usd.read_usdz(stem.with_suffix(".usdz"))[0] == told
    assert polygons.read_ply(stem.with_suffix(".ply"))[0] == told
    assert wavefront.read_obj(stem.with_suffix(".obj"))[0] == told
    assert check_formats(tmp_path / "meshes").passed
    assert usd_issues(stem.with_suffix(".usdz")) == []


def test_a_file_that_tells_another_parent_is_found(tmp_path):
    (tmp_path / "meshes").mkdir()
    build_meshes(_keep(tmp_path / "forms", NOTES), [], tmp_path / "meshes", **MESHES)
    path = tmp_path / "meshes" / NOTES["slug"] / f"{NOTES['slug']}_LOD0.obj"
    path.write_text(path.read_text().replace("[17, 20]", "[17, 21]"))
    verdict = check_formats(tmp_path / "meshes")
    assert not verdict.passed and "its obj does not tell parents as mesh.json does" in verdict.finding


def test_an_evolved_form_is_filmed_in_light_and_a_grown_one_as_it_is(tmp_path):
    path = _keep(tmp_path / "forms", NOTES) / NOTES["slug"] / "form.npz"
    plain = load_volume(path)
    lit, notes = open_form(path)
    assert np.array_equal(lit.colour, shine(plain).colour) and notes["ancestors"] == ANCESTORS
    save_volume(path, plain, {"seed": 1})
    assert np.array_equal(open_form(path)[0].colour, plain.colour)


def test_the_lineage_stands_beside_the_films(tmp_path):
    film_forms(_keep(tmp_path / "forms", NOTES), tmp_path / "films", **FILMS)
    (film,) = json.loads((tmp_path / "films" / "videos.json").read_text())["videos"]
    assert {name: film[name] for name in LINEAGE} == NOTES | {"ancestors": ANCESTORS}


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        pytest.param(
            NOTES, "'bolete and coral 41' does not tell scientific_name, .*--until forms_3d", id="grown"
        ),
        pytest.param(
            {"ancestors": []}, "'without a name' does not tell slug, .*--with ancestors", id="evolved"
        ),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_mends_it(notes, message):
    with pytest.raises(ProvenanceError, match=message):
        choose_notes(notes, NOTED)


def test_of_a_grown_form_go_on_what_the_stage_chooses():
    assert choose_notes(SPECIES | {"iterations": 4}, NOTED) == SPECIES


def test_a_list_that_was_cut_off_is_named(tmp_path):
    (tmp_path / "forms.json").write_text('{"forms": [')
    with pytest.raises(ProvenanceError, match="forms.json is no list of forms.*fungal grow --with ancestors"):
        list_forms(tmp_path)
