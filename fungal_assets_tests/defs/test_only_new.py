"""A folder that has grown: the asset looks at the files that are new, and keeps what a fresh store would keep."""

from __future__ import annotations

import dagster as dg
import pytest

from fungal_assets.collection.journal import TABLE_NAME
from fungal_assets.defs.collection import raw_images
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Store
from fungal_assets_tests.collection.drawing import encode
from fungal_assets_tests.collection.hostile import textured


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    _add(folder, range(6))
    return folder


def _add(folder, seeds):
    for seed in seeds:
        (folder / f"{seed}.png").write_bytes(encode(textured(seed)))


@pytest.fixture
def collect(tmp_path):
    """Materialises the specimens of a folder in a store; gives the output's record."""

    def materialise(source, store="store", **settings):
        root = tmp_path / store
        resources = {"store": StoreResource(root=str(root)), "profile": ProfileResource(name="pocket")}
        config = {"ops": {"raw_images": {"config": {"source": str(source), **settings}}}}
        result = dg.materialize([raw_images], resources=resources, run_config=config)
        assert result.success and all(check.passed for check in result.get_asset_check_evaluations())
        return Store(root).find("raw_images").record

    return materialise


def _counts(record):
    return record.figures["looked_at"], record.figures["known"]


def test_only_the_new_files_are_looked_at_and_the_content_is_that_of_a_fresh_store(source, collect):
    assert _counts(collect(source)) == (6, 0)
    _add(source, range(6, 8))
    grown = collect(source)
    assert _counts(grown) == (2, 6)
    fresh = collect(source, store="other")
    assert _counts(fresh) == (8, 0) and fresh.content_hash == grown.content_hash


def test_other_limits_look_at_everything_again(source, collect):
    collect(source)
    assert _counts(collect(source, min_side_px=100)) == (6, 0)


def test_a_growth_from_elsewhere_in_between_costs_nothing(source, collect, tmp_path):
    other = tmp_path / "other-source"
    other.mkdir()
    _add(other, range(20, 23))
    collect(source)
    collect(other)
    _add(source, [6])
    assert _counts(collect(source)) == (1, 6)


def test_looks_that_were_tampered_with_are_not_used(source, collect, tmp_path):
    collect(source)
    path = Store(tmp_path / "store").find("raw_images").path / TABLE_NAME
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    _add(source, [6])
    assert _counts(collect(source)) == (7, 0)


def test_an_earlier_output_that_cannot_be_read_is_passed_over(source, collect, tmp_path):
    collect(source)
    odd = tmp_path / "store" / "raw_images" / "all" / "odd"
    odd.mkdir()
    (odd / "provenance.json").write_text("{}")
    _add(source, [6])
    assert _counts(collect(source)) == (1, 6)
