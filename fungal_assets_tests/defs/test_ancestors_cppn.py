"""The asset `cppn_forms`: made, found unchanged, made anew where a person saved a child, which is observed at once."""

import dagster as dg
import pytest

from fungal_assets.ancestors.keeping import list_evolved, read_genome
from fungal_assets.ancestors.sessions import open_session
from fungal_assets.defs.ancestors_cppn import cppn_forms, newest_forms, observe_saved
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Store
from fungal_assets_tests.ancestors.conftest import SMALL

SETTINGS = SMALL | {"generations": 2, "forms": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("cppn")


@pytest.fixture(scope="module")
def grow(root):
    def materialise():
        resources = {
            "store": StoreResource(root=str(root / "store")),
            "profile": ProfileResource(name="pocket"),
        }
        config = {"ops": {"cppn_forms": {"config": SETTINGS}}}
        result = dg.materialize([cppn_forms], resources=resources, run_config=config)
        checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
        return result.asset_materializations_for_node("cppn_forms")[0].metadata, checks

    return materialise


def test_a_saved_child_is_observed_at_once_and_kept_by_the_next_making(root, grow, monkeypatch):
    metadata, checks = grow()
    must = {"ancestors_are_reproduced", "forms_are_viable", "evolved_meshes_are_closed", "genomes_replay"}
    assert len(checks) == 6 and all(checks[name] for name in must)
    assert {"thumbnail", "forms", "lineage", "turntable"} <= metadata.keys()
    assert not metadata["unchanged"].value
    assert grow()[0]["unchanged"].value

    session = open_session(str(root / "store"), "spring", ["fungarium:bolete"], None)
    state = session.breed([session.state()["creatures"][0]["key"]])
    saved = session.save(state["creatures"][0]["key"])
    (root / "home").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(root / "home"))
    observe_saved(saved)
    with dg.DagsterInstance.get() as instance:
        seen = instance.fetch_observations(cppn_forms.key, limit=5).records
    assert len(seen) == 1
    told = seen[0].asset_observation.metadata
    assert told["path"].value == str(saved) and [one["generation"] for one in told["lineage"].value] == [0, 1]

    metadata, _ = grow()
    assert not metadata["unchanged"].value and metadata["bred_by_a_person"].value == 1
    record = Store(root / "store").get("cppn_forms").record
    assert f"bred/spring/{saved.name}" in record.inputs
    output = Store(root / "store").get("cppn_forms").path
    form = list_evolved(output)[-1]
    assert form["bred_by"] == "a person"
    descendant, ancestors = read_genome(output / form["slug"] / "genome.json")
    assert [one["generation"] for one in descendant.descent] == [0, 1]
    assert all((output / name).exists() for name in ancestors)


def test_without_grown_forms_there_are_none_to_descend_from(tmp_path):
    assert newest_forms(Store(tmp_path)) is None
