"""Schedule and sensors start what they say, from the source that is in force."""

from __future__ import annotations

import datetime

import dagster as dg
import pytest

from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.defs.schedules import weekly_growth
from fungal_assets.defs.sensors import new_raw_images
from fungal_assets.growth import NOTE
from fungal_assets.store import Store


@pytest.fixture
def resources(tmp_path, monkeypatch):
    monkeypatch.delenv("FUNGAL_SOURCE", raising=False)
    return {"profile": ProfileResource(name="pocket"), "store": StoreResource(root=str(tmp_path / "store"))}


def _source_of(request: dg.RunRequest) -> str:
    return request.run_config["ops"]["raw_images"]["config"]["source"]


def _monday(resources) -> dg.RunRequest:
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime.datetime(2026, 11, 23, 3), resources=resources
    )
    return weekly_growth(context)


def test_the_schedule_grows_the_profiles_source_where_nothing_was_grown(resources):
    request = _monday(resources)
    assert (request.partition_key, _source_of(request)) == ("128", "specimens")


def test_the_schedule_stays_with_the_source_of_the_last_growth(resources, tmp_path, monkeypatch):
    Store(tmp_path / "store").write_note(NOTE, {"source": "/pictures/mine", "outputs": {}})
    assert _source_of(_monday(resources)) == "/pictures/mine"
    monkeypatch.setenv("FUNGAL_SOURCE", "/pictures/others")
    assert _source_of(_monday(resources)) == "/pictures/others"


def test_the_sensor_asks_for_a_collection_when_the_source_changes_and_not_before(resources, tmp_path):
    source = tmp_path / "mine"
    source.mkdir()
    Store(tmp_path / "store").write_note(NOTE, {"source": str(source), "outputs": {}})
    context = dg.build_sensor_context(resources=resources)
    first = new_raw_images(context)
    assert isinstance(first, dg.RunRequest) and _source_of(first) == str(source)
    assert isinstance(new_raw_images(context), dg.SkipReason)
    (source / "new.jpg").write_bytes(b"x")
    assert isinstance(new_raw_images(context), dg.RunRequest)


def test_the_sensor_says_what_to_set_where_the_source_is_no_folder(resources):
    reason = new_raw_images(dg.build_sensor_context(resources=resources))
    assert isinstance(reason, dg.SkipReason) and "set FUNGAL_SOURCE" in reason.skip_message


@pytest.mark.parametrize(
    "source", ["inaturalist:Amanita?count=20", "gbif:Boletus", "hf:owner/name"], ids=["search", "gbif", "hub"]
)
def test_a_source_elsewhere_is_asked_by_the_schedule_and_the_sensor_says_so(resources, tmp_path, source):
    Store(tmp_path / "store").write_note(NOTE, {"source": source, "outputs": {}})
    reason = new_raw_images(dg.build_sensor_context(resources=resources))
    assert isinstance(reason, dg.SkipReason)
    assert repr(source) in reason.skip_message and "the schedule weekly_growth" in reason.skip_message
    assert _source_of(_monday(resources)) == source
