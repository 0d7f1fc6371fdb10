"""The field guide as Dagster makes it: what was asked for by hand is shown where it is of the guide's weights."""

import json

import dagster as dg
import pytest

from fungal_assets.defs.exhibition import field_guide
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets_tests.exhibition.conftest import PARTITION, GrowthWriter

ASKED_FOR = {"sizes.html", "comparison.html"}


@pytest.fixture
def growth(tmp_path):
    """A small growth that a test may add to."""
    growth = GrowthWriter(tmp_path / "store", grown=0)
    growth.write()
    return growth


def build(growth):
    """The guide of the growth's store, and whether it was there already."""
    resources = {"store": StoreResource(root=growth.store.root), "profile": ProfileResource(name="pocket")}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [field_guide], partition_key=PARTITION, resources=resources, instance=instance
        )
        (event,) = result.get_asset_materialization_events()
        assert all(check.passed for check in result.get_asset_check_evaluations())
    was_there = event.materialization.metadata["unchanged"].value
    return growth.store.get("field_guide", PARTITION), was_there


def asked_for(guide):
    """The pages of what was asked for, and the inputs behind them."""
    pages = set(json.loads((guide.path / "guide.json").read_text())["pages"])
    inputs = {name for name in guide.record.inputs if name.startswith(("resolution", "weights_comparison"))}
    return pages & ASKED_FOR, inputs


def test_what_is_asked_for_comes_into_the_guide_that_is_made_after_it(growth):
    first, _ = build(growth)
    assert asked_for(first) == (set(), set())
    assert build(growth) == (first, True)
    growth.write_asked_for()
    second, was_there = build(growth)
    assert not was_there
    assert asked_for(second) == (ASKED_FOR, {f"resolution_atlas/{PARTITION}", "weights_comparison/128"})
    assert build(growth) == (second, True)


def test_a_guide_of_other_weights_shows_nothing_of_what_told_of_the_old_ones(growth):
    growth.write_asked_for()
    growth.tune(seed=1)
    guide, _ = build(growth)
    assert asked_for(guide) == (set(), set())


def test_an_atlas_of_these_weights_is_found_behind_a_newer_one_of_others_and_a_damaged_one_is_not(growth):
    atlas, comparison = growth.write_asked_for()
    growth.tune(seed=1)
    growth.write_asked_for()
    growth.tune(seed=0)
    (comparison.path / "places.png").write_bytes(b"half")
    guide, _ = build(growth)
    assert asked_for(guide) == ({"sizes.html"}, {f"resolution_atlas/{PARTITION}"})
    assert guide.record.inputs[f"resolution_atlas/{PARTITION}"] == atlas.record.content_hash
