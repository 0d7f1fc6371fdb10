"""Assets of evolved forms: made, found unchanged, made anew where a person saved a child; meshes and videos of all."""

import json
import shutil
from types import SimpleNamespace

import dagster as dg
import pytest

from fungal_assets.ancestors.keeping import list_evolved, read_genome
from fungal_assets.ancestors.sessions import open_session
from fungal_assets.defs.ancestors_cppn import (
    CPPN_MESH_CHECKS,
    CPPN_VIDEO_CHECKS,
    cppn_forms,
    cppn_meshes,
    cppn_videos,
    newest_forms,
    observe_saved,
)
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.forms.gltf import read_glb
from fungal_assets.forms.noting import LINEAGE
from fungal_assets.profiles import PROFILES
from fungal_assets.store import Store
from fungal_assets_tests.ancestors.conftest import SMALL
from fungal_assets_tests.forms.validators import glb_issues, needs_gltf_validator, usd_issues

SETTINGS = {
    "cppn_forms": SMALL | {"generations": 2, "forms": 1},
    "cppn_meshes": {"face_budgets": [600, 300], "texture_px": 64},
    "cppn_videos": {"frames": 16, "size_px": 64},
}


def materialise(root, *assets, **changes):
    """Make assets of evolved forms in the store at a root; gives Dagster's result."""
    resources = {"store": StoreResource(root=str(root)), "profile": ProfileResource(name="pocket")}
    names = [asset.key.to_user_string() for asset in assets]
    config = {"ops": {name: {"config": SETTINGS[name] | changes.get(name, {})} for name in names}}
    return dg.materialize(list(assets), resources=resources, run_config=config, raise_on_error=False)


def metadata_of(result, asset):
    """What an asset's page tells of its making."""
    (event,) = result.asset_materializations_for_node(asset.key.to_user_string())
    return event.metadata


def checks_of(result, asset):
    """By name of an asset's checks, whether they passed."""
    found = result.get_asset_check_evaluations()
    return {check.check_name: check.passed for check in found if check.asset_key == asset.key}


def fault_of(result):
    """What the failed step says."""
    (failure,) = result.get_step_failure_events()
    return failure.event_specific_data.user_failure_data.description


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A store with a form by evolution, then with one that a person bred beside it, and meshes and videos of both."""
    root = tmp_path_factory.mktemp("store")
    first, again = materialise(root, cppn_forms), materialise(root, cppn_forms)
    session = open_session(str(root), "spring", ["fungarium:bolete"], None)
    state = session.breed([session.state()["creatures"][0]["key"]])
    saved = session.save(state["creatures"][0]["key"])
    heights = {"cppn_meshes": {"heights_m": {saved.name: 0.5}}}
    last = materialise(root, cppn_forms, cppn_meshes, cppn_videos, **heights)
    return SimpleNamespace(root=root, first=first, again=again, saved=saved, last=last)


@pytest.fixture
def copy(grown, tmp_path):
    return shutil.copytree(grown.root, tmp_path / "store")


def test_forms_are_evolved_once(grown):
    checks = checks_of(grown.first, cppn_forms)
    must = {"ancestors_are_reproduced", "forms_are_viable", "evolved_meshes_are_closed", "genomes_replay"}
    assert len(checks) == 6 and all(checks[name] for name in must)
    metadata = metadata_of(grown.first, cppn_forms)
    assert {"thumbnail", "forms", "lineage", "turntable"} <= metadata.keys()
    assert not metadata["unchanged"].value
    assert metadata_of(grown.again, cppn_forms)["unchanged"].value


def test_a_saved_child_is_observed_at_once(grown, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    observe_saved(grown.saved)
    with dg.DagsterInstance.get() as instance:
        seen = instance.fetch_observations(cppn_forms.key, limit=5).records
    assert len(seen) == 1
    told = seen[0].asset_observation.metadata
    assert told["path"].value == str(grown.saved)
    assert [one["generation"] for one in told["lineage"].value] == [0, 1]


def test_a_saved_child_is_kept_by_the_next_making(grown):
    metadata = metadata_of(grown.last, cppn_forms)
    assert not metadata["unchanged"].value and metadata["bred_by_a_person"].value == 1
    record = Store(grown.root).get("cppn_forms").record
    assert f"bred/spring/{grown.saved.name}" in record.inputs
    output = Store(grown.root).get("cppn_forms").path
    form = list_evolved(output)[-1]
    assert form["bred_by"] == "a person"
    descendant, ancestors = read_genome(output / form["slug"] / "genome.json")
    assert [one["generation"] for one in descendant.descent] == [0, 1]
    assert all((output / name).exists() for name in ancestors)


def test_without_grown_forms_there_are_none_to_descend_from(tmp_path):
    assert newest_forms(Store(tmp_path)) is None


# -- meshes and videos


@pytest.mark.parametrize(
    ("asset", "checks", "shown"),
    [
        (cppn_meshes, CPPN_MESH_CHECKS, {"thumbnail", "textures", "levels_of_detail"}),
        (cppn_videos, CPPN_VIDEO_CHECKS, {"turntable", "pyramid", "black", "vertical"}),
    ],
    ids=["meshes", "videos"],
)
def test_evolved_forms_and_a_saved_child_pass_the_checks_of_grown_ones(grown, asset, checks, shown):
    assert grown.last.success
    found = checks_of(grown.last, asset)
    assert set(found) == {check.name for check in checks} and all(found.values()), found
    assert shown <= metadata_of(grown.last, asset).keys()
    assert set(Store(grown.root).get(asset.key.to_user_string()).record.inputs) == {"cppn_forms"}


def test_every_mesh_tells_its_lineage_and_has_its_height(grown):
    store = Store(grown.root)
    forms, folder = list_evolved(store.get("cppn_forms").path), store.get("cppn_meshes").path
    assert [form["bred_by"] for form in forms] == ["evolution", "a person"]
    for form, height_m in zip(forms, (0.14, 0.5), strict=True):
        made = folder / form["slug"]
        suffixes = {path.suffix for path in made.iterdir()}
        assert suffixes == {".glb", ".usdz", ".ply", ".obj", ".mtl", ".jpg", ".json"}
        for path in made.glob("*.glb"):
            document, arrays = read_glb(path)
            told = document["asset"]["extras"]
            own = {name: form[name] for name in LINEAGE if name != "ancestors"}
            assert told.items() >= own.items() and told["ancestors"] == ["bolete"]
            assert form["parents"] and told["generation"] >= 1
            assert arrays["POSITION"][:, 1].max() == pytest.approx(height_m, rel=0.05)


@needs_gltf_validator
def test_khronos_finds_nothing_in_any_level_of_an_evolved_form(grown):
    paths = sorted(Store(grown.root).get("cppn_meshes").path.rglob("*.glb"))
    assert len(paths) == 4
    for path, issues in zip(paths, glb_issues(*paths), strict=True):
        assert issues["messages"] == [] and issues["numErrors"] == 0, path


def test_pixar_finds_nothing_in_the_finest_level_of_an_evolved_form(grown):
    for path in Store(grown.root).get("cppn_meshes").path.rglob("*_LOD0.usdz"):
        assert usd_issues(path) == [], path


def test_every_film_lies_beside_its_lineage(grown):
    store = Store(grown.root)
    forms, folder = list_evolved(store.get("cppn_forms").path), store.get("cppn_videos").path
    for form, film in zip(forms, json.loads((folder / "videos.json").read_text())["videos"], strict=True):
        assert set(film["files"]) == {"turntable.mp4", "pyramid.mp4", "black.mp4", "vertical.mp4"}
        assert film["key"] == form["key"] and film["parents"] == form["parents"]
        assert film["ancestors"] == ["bolete"] and film["bred_by"] == form["bred_by"]
    assert (folder / "pyramid_template.pdf").exists()


def test_what_is_made_of_the_same_forms_is_made_once(grown):
    heights = {"cppn_meshes": {"heights_m": {grown.saved.name: 0.5}}}
    result = materialise(grown.root, cppn_meshes, cppn_videos, **heights)
    assert all(metadata_of(result, asset)["unchanged"].value for asset in (cppn_meshes, cppn_videos))


@pytest.mark.parametrize("asset", [cppn_meshes, cppn_videos], ids=["meshes", "videos"])
def test_a_damaged_form_is_told_with_the_command_that_grows_it_again(copy, asset):
    path = next(Store(copy).get("cppn_forms").path.glob("form-*/form.npz"))
    path.write_bytes(path.read_bytes()[:1000])
    fault = fault_of(materialise(copy, asset))
    assert f"{path.parent.name}/form.npz has other bytes than the record says" in fault
    assert "Grow it again (fungal grow --with ancestors)" in fault


@pytest.mark.parametrize("asset", [cppn_meshes, cppn_videos], ids=["meshes", "videos"])
def test_without_evolved_forms_the_command_that_grows_them_is_told(tmp_path, asset):
    fault = fault_of(materialise(tmp_path, asset))
    assert "'cppn_forms' has no complete output" in fault
    assert "Materialise it first: fungal grow --with ancestors" in fault


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_has_the_formats_for_phones_games_printers_and_screens(name):
    rows = PROFILES[name].settings
    assert {"usdz", "ply", "obj"} <= set(rows["cppn_meshes"]["formats"])
    assert {"pyramid", "black", "vertical"} <= set(rows["cppn_videos"]["formats"])
