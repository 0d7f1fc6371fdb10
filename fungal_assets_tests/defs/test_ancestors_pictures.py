"""The asset `cppn_pictures`: it keeps what a person bred and saved, which is observed at once, and can be bred on."""

import dagster as dg

from fungal_assets.ancestors.breeding import PICTURE_NOTES
from fungal_assets.ancestors.picture_keeping import list_pictures
from fungal_assets.ancestors.sessions import list_saved, open_pictures
from fungal_assets.defs.ancestors_cppn import newest_pictures, observe_saved
from fungal_assets.defs.ancestors_pictures import cppn_pictures
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Store
from fungal_assets_tests.ancestors.test_pictures import SMALL


def test_a_saved_picture_is_observed_and_kept_and_evolved_ones_are_bred_on(tmp_path, monkeypatch):
    root = str(tmp_path / "store")
    assert newest_pictures(Store(root)) is None
    session = open_pictures(root, "chance", None)
    state = session.breed([session.state()["creatures"][0]["key"]])
    saved = session.save(state["creatures"][0]["key"])
    assert list_saved(root, PICTURE_NOTES) == [saved] and list_saved(root) == []
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    observe_saved(saved)
    with dg.DagsterInstance.get() as instance:
        (seen,) = instance.fetch_observations(cppn_pictures.key, limit=5).records
    told = seen.asset_observation.metadata
    assert [one["generation"] for one in told["lineage"].value] == [0, 1] and "picture" in told

    resources = {"store": StoreResource(root=root), "profile": ProfileResource(name="pocket")}
    config = {"ops": {"cppn_pictures": {"config": SMALL | {"generations": 2}}}}
    result = dg.materialize([cppn_pictures], resources=resources, run_config=config)
    metadata = result.asset_materializations_for_node("cppn_pictures")[0].metadata
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert len(checks) == 4 and checks["genomes_draw_again"] and checks["same_at_any_size"]
    assert metadata["bred_by_a_person"].value == 1 and {"thumbnail", "pictures", "lineage"} <= metadata.keys()

    evolved = newest_pictures(Store(root)).path
    keys = [one["key"] for one in list_pictures(evolved) if one["bred_by"] == "evolution"]
    branch = open_pictures(root, "branch", evolved)
    shown = branch.state()["creatures"]
    assert [one["key"] for one in shown[: len(keys)]] == keys
    child = branch.breed([keys[0]])["creatures"][0]["key"]
    descent = [one["generation"] for one in branch._descent(child)]
    assert descent[0] == 0 and len(descent) > 2, (
        "a child's descent goes back to the first genome of the evolution"
    )
