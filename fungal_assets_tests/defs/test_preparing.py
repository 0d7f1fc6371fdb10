"""Squares of one resolution are made from those of a larger one, where these are of the same images."""

from __future__ import annotations

import dagster as dg
import pytest

from fungal_assets.collection import preparation
from fungal_assets.defs.collection import prepared_images, raw_images
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Store
from fungal_assets_tests.collection.drawing import encode
from fungal_assets_tests.collection.hostile import textured


@pytest.fixture
def grow(tmp_path):
    """Materialises an asset of a folder of pictures in a store of its own."""
    source = tmp_path / "source"
    source.mkdir()
    for seed in range(4):
        (source / f"{seed}.png").write_bytes(encode(textured(seed)))
    resources = {
        "store": StoreResource(root=str(tmp_path / "store")),
        "profile": ProfileResource(name="pocket"),
    }

    def materialise(asset, key=None, **settings):
        given = {"source": str(source)} if asset is raw_images else settings
        config = {"ops": {asset.key.to_user_string(): {"config": given}}}
        result = dg.materialize([asset], partition_key=key, resources=resources, run_config=config)
        assert result.success
        assert all(check.passed for check in result.get_asset_check_evaluations())
        return Store(tmp_path / "store").find(asset.key.to_user_string(), key)

    materialise.source = source
    return materialise


def test_a_smaller_resolution_opens_no_original(grow, monkeypatch):
    grow(raw_images)
    grow(prepared_images, "128")
    monkeypatch.setattr(preparation, "read_specimen", pytest.fail)
    assert grow(prepared_images, "64").record.figures["images"] == 4


@pytest.fixture
def opened(monkeypatch):
    """One entry for each original that is opened."""
    found, original = [], preparation.read_specimen
    monkeypatch.setattr(preparation, "read_specimen", lambda *given: found.append(1) or original(*given))
    return found


def test_squares_of_other_images_are_no_source(grow, opened):
    grow(raw_images)
    grow(prepared_images, "128")
    (grow.source / "new.png").write_bytes(encode(textured(9)))
    grow(raw_images)
    opened.clear()
    assert grow(prepared_images, "64").record.figures["images"] == len(opened) == 5


def test_squares_of_other_settings_are_no_source(grow, opened):
    grow(raw_images)
    grow(prepared_images, "128", jpeg_quality=60)
    opened.clear()
    assert grow(prepared_images, "64").record.figures["images"] == len(opened) == 4


def test_other_shapes_are_had_from_larger_ones_of_these_shapes_alone(grow, opened):
    (grow.source / "wide.png").write_bytes(encode(textured(7).crop((0, 0, 160, 100))))
    grow(raw_images)
    grow(prepared_images, "256", shape="buckets")
    opened.clear()
    assert grow(prepared_images, "128", shape="buckets").record.figures["images"] == 5
    assert not opened
    grow(prepared_images, "128")
    assert len(opened) == 5
