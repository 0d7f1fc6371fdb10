"""The DCGAN's assets in Dagster: presets, skipping, observations, checks and what is compared."""

import dagster as dg
import pytest

from fungal_assets.defs.dcgan import dcgan_gallery, dcgan_weights
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.morphology.clusters import ASSIGNMENTS
from fungal_assets.shards import write_table
from fungal_assets.store import Store
from fungal_assets_tests.ancestors.dcgan_world import PICTURES, blob, write_squares
from fungal_assets_tests.galleries.conftest import CLUSTERS, write_clusters

TINY = {"max_steps": 2, "batch_size": 4, "width": 4, "watch_every_steps": 1, "watched_pictures": 4}
WALK = {"pictures": 4, "walk_stops": 2, "frames_per_stop": 2}


def _clusters(folder):
    write_clusters(folder)
    rows = [
        {"image_id": f"blob-{number:03d}", "cluster_id": number % CLUSTERS, "distance": 0.0}
        for number in range(PICTURES)
    ]
    write_table(folder / "assignments.parquet", rows, ASSIGNMENTS)
    return {}


def _gallery(folder):
    from fungal_assets.galleries.planning import COLUMNS

    row = dict.fromkeys(COLUMNS.names) | {"kind": "species", "model": "tuned", "text": "a blob"}
    rows = []
    for number in range(4):
        blob(number).save(folder / f"{number}.png")
        rows.append(row | {"path": f"{number}.png", "species_id": f"species-{number % CLUSTERS:02d}"})
    write_table(folder / "gallery.parquet", rows, COLUMNS)
    return {}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with prepared pictures and clusters, and a gallery of other clusters."""
    made = Store(tmp_path_factory.mktemp("store"))
    plain = {"config": {}, "code_version": "1"}
    made.make("prepared_images", "64", inputs=[], build=lambda folder: write_squares(folder) and {}, **plain)
    grouped = made.make("clusters", None, inputs=[], build=_clusters, **plain).output
    made.make("sample_galleries", "lora|64", inputs=[grouped], build=_gallery, **plain)
    other = {"sources": {"clusters": "0" * 64}, **plain}
    made.make("sample_galleries", "full|64", inputs=[], build=_gallery, **other)
    return made


@pytest.fixture(scope="module")
def materialise(store):
    def run(asset, **settings):
        resources = {"store": StoreResource(root=store.root), "profile": ProfileResource(name="pocket")}
        config = {"ops": {asset.key.to_user_string(): {"config": settings}}}
        instance = dg.DagsterInstance.ephemeral()
        result = dg.materialize(
            [asset], partition_key="64", resources=resources, run_config=config, instance=instance
        )
        assert result.success
        return result

    return run


@pytest.fixture(scope="module")
def trained(materialise):
    return materialise(dcgan_weights, **TINY)


def test_what_is_left_empty_takes_the_presets_value_and_is_in_the_record(trained, store):
    config = store.get("dcgan_weights", "64").record.config
    assert config["width"] == 4 and config["flips"] is True and config["latent_size"] == 100
    assert "preset" not in config and None not in config.values()


def test_the_curve_grows_on_the_asset_page_and_the_blocking_checks_pass(trained):
    observed = [event for event in trained.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    assert len(observed) == 2
    found = {check.check_name: check.passed for check in trained.get_asset_check_evaluations()}
    assert found["losses_are_finite"] and found["weights_draw"] and len(found) == 4


def test_the_same_work_is_not_done_again(trained, materialise):
    again = materialise(dcgan_weights, preset="small-data", **TINY)
    (event,) = again.asset_materializations_for_node("dcgan_weights")
    assert event.metadata["unchanged"].value is True


def test_the_gallery_is_compared_with_that_of_the_same_clusters(trained, materialise, store):
    materialise(dcgan_gallery, **WALK)
    record = store.get("dcgan_gallery", "64").record
    assert "sample_galleries/lora|64" in record.inputs and "sample_galleries/full|64" not in record.inputs
    assert record.figures["diffusion_copies"] == 4


def test_an_unknown_preset_is_told_plainly(materialise):
    with pytest.raises(dg.Failure, match="dcgan_weights.preset is 'big', one of"):
        materialise(dcgan_weights, preset="big")
