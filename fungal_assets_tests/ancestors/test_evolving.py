"""The stage, small: what it keeps is whole and passes its checks, and each check finds what is planted for it."""

import json
import shutil

import pytest

from fungal_assets.ancestors import checks
from fungal_assets.ancestors.evolving import evolve_forms
from fungal_assets.ancestors.genomes import from_json
from fungal_assets.ancestors.keeping import list_evolved, load_ancestor, read_genome
from fungal_assets.ancestors.picturing import choose_stages
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets_tests.ancestors.conftest import SMALL
from fungal_assets_tests.forms.validators import glb_issues, needs_gltf_validator

ALL = (
    checks.check_reproduction,
    checks.check_viability,
    checks.check_difference,
    checks.check_replay,
    checks.check_meshes,
)


@pytest.fixture
def copy(evolved, tmp_path):
    shutil.copytree(evolved[0], tmp_path / "copy")
    return tmp_path / "copy"


def test_everything_that_a_form_is_made_of_is_kept(evolved):
    folder, figures = evolved
    forms = list_evolved(folder)
    assert figures["forms"] == len(forms) >= 1 and figures["reproduced"] >= 0.99
    for form in forms:
        names = {path.name for path in (folder / form["slug"]).iterdir()}
        assert names == {
            "form.json",
            "form.npz",
            "genome.json",
            "mesh.glb",
            "turntable.mp4",
            "turntable.webp",
        }
        assert form["generation"] >= 1 and form["bred_by"] == "evolution" and form["overlap"] < 1
    assert (folder / "forms.webp").stat().st_size > 1000 and (folder / "lineage.webp").stat().st_size > 1000


@needs_gltf_validator
def test_khronos_finds_nothing_in_the_mesh_of_any_form(evolved):
    folder, _ = evolved
    for issues in glb_issues(*sorted(folder.glob("*/mesh.glb"))):
        counts = {kind: issues[kind] for kind in ("numErrors", "numWarnings", "numInfos", "numHints")}
        assert not any(counts.values()), issues["messages"]


def test_a_form_knows_its_whole_descent(evolved):
    folder, _ = evolved
    everyone = {one["key"]: one for one in json.loads((folder / "lineage.json").read_text())["genomes"]}
    for form in list_evolved(folder):
        descendant, ancestors = read_genome(folder / form["slug"] / "genome.json")
        line = list(descendant.descent)
        assert not line[0]["parents"] and line[0]["generation"] == 0 and line[-1]["key"] == form["key"]
        assert all(
            child["parents"][0] == parent["key"] for parent, child in zip(line, line[1:], strict=False)
        )
        assert all(everyone[one["key"]]["parents"] == one["parents"] for one in line)
        assert [(folder / name).exists() for name in ancestors] == [True]
        assert from_json(line[-1])[0].connections.keys() == descendant.genome.connections.keys()


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.__name__)
def test_a_whole_output_passes(evolved, check):
    verdict = check(evolved[0])
    assert verdict.passed, verdict.finding


def test_a_genome_that_was_changed_no_longer_grows_its_form(copy):
    path = copy / list_evolved(copy)[0]["slug"] / "genome.json"
    kept = json.loads(path.read_text())
    kept["nodes"][0][2] += 0.4
    path.write_text(json.dumps(kept))
    verdict = checks.check_replay(copy)
    assert not verdict.passed and "grows something else" in verdict.finding


def test_a_form_that_is_its_ancestor_has_not_evolved(copy):
    path = copy / list_evolved(copy)[0]["slug"] / "genome.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {name: kept["descent"][0][name] for name in ("nodes", "connections")}))
    verdict = checks.check_difference(copy)
    assert not verdict.passed and "hardly evolved" in verdict.finding


def test_a_genome_of_crumbs_is_not_viable(copy):
    path = copy / list_evolved(copy)[0]["slug"] / "genome.json"
    kept = json.loads(path.read_text())
    kept["nodes"][0][2] = -2.0
    path.write_text(json.dumps(kept))
    assert not checks.check_viability(copy).passed


@pytest.mark.parametrize(
    ("file", "key", "check"),
    [
        ("ancestors.json", "reproduced", checks.check_reproduction),
        ("forms.json", "called_fungus", checks.check_still_fungi),
    ],
)
def test_a_low_figure_is_found(copy, file, key, check):
    kept = json.loads((copy / file).read_text())
    for row in kept[file.removesuffix(".json")]:
        row[key] = 0.2
    (copy / file).write_text(json.dumps(kept))
    assert not check(copy).passed


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.__name__)
def test_an_empty_folder_is_a_finding(tmp_path, check):
    assert not check(tmp_path).passed


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fitness": "target"}, "set cppn_forms.target to an object"),
        ({"fitness": "words"}, "set cppn_forms.words, to 'a morel mushroom' say"),
        ({"ancestors": ["fungarium:truffle"]}, "fungarium:truffle is not known"),
    ],
)
def test_settings_that_lack_another_are_refused_at_once(tmp_path, changed, said):
    with pytest.raises(InputError, match=said):
        evolve_forms(None, [], tmp_path, **(SMALL | changed))


def test_stages_of_a_descent_are_spread_and_end_with_the_form():
    line = [{"key": key} for key in range(20)]
    assert [one["key"] for one in choose_stages(line, 4)] == [0, 6, 13, 19]
    assert choose_stages(line[:2], 4) == line[:2]


def test_a_damaged_genome_says_how_to_evolve_again(tmp_path):
    (tmp_path / "genome.json").write_text("{}")
    with pytest.raises(ProvenanceError, match="Evolve again: fungal grow --with ancestors"):
        read_genome(tmp_path / "genome.json")


def test_an_ancestor_that_was_cut_off_says_how_to_evolve_again(copy):
    path = next((copy / "ancestors").iterdir())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ProvenanceError, match="is no kept ancestor.*fungal grow --with ancestors"):
        load_ancestor(path)


def test_forms_are_bred_towards_a_target_that_is_no_kin(tmp_path):
    changed = {
        "ancestors": ["fungarium:bolete"],
        "fitness": "target",
        "target": "fungarium:stinkhorn",
        "forms": 1,
    }
    evolve_forms(None, [], tmp_path, **(SMALL | changed | {"generations": 2}))
    assert list_evolved(tmp_path)[0]["matched"] > 0
