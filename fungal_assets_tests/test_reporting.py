"""A report and an audit are of one growth, whether it came to its end or not."""

from __future__ import annotations

import pytest

from fungal_assets.auditing import audit_growth
from fungal_assets.growth import NOTE
from fungal_assets.reporting import collect_figures, outputs_of
from fungal_assets.store import Store

NOTED = {"profile": "pocket", "outputs": {"raw_images": None, "clusters": None, "species": None}}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def make(store, asset, inputs=(), text="spores"):
    def build(folder):
        (folder / "file.txt").write_text(text)
        return {"count": len(text)}

    return store.make(asset, None, inputs=inputs, config={"text": text}, code_version="1", build=build).output


def grow(store, text):
    raw = make(store, "raw_images", text=text)
    clusters = make(store, "clusters", [raw], text)
    return raw, clusters, make(store, "species", [clusters], text)


def test_a_growth_that_was_killed_reports_nothing_of_the_one_before(store):
    grow(store, "old")
    make(store, "raw_images", text="newer")
    store.write_note(NOTE, NOTED)
    assert [output.name for output in outputs_of(store, NOTED)] == ["raw_images"]
    figures = collect_figures(store)
    assert figures["raw_images.count"] == 5 and "clusters.count" not in figures
    assert "total.seconds" not in figures


def test_a_growth_that_came_to_its_end_reports_all(store):
    grow(store, "old")
    raw, clusters, species = grow(store, "newer")
    store.write_note(NOTE, NOTED | {"seconds": 7.0})
    assert outputs_of(store, NOTED) == [raw, clusters, species]
    assert collect_figures(store)["total.seconds"] == 7.0


def test_an_audit_goes_to_its_end_over_files_that_are_gone(store):
    raw, _, _ = grow(store, "spores")
    store.write_note(NOTE, NOTED)
    (raw.path / "file.txt").unlink()
    findings = list(audit_growth(store))
    assert {finding.output for finding in findings} == {"raw_images", "clusters", "species"}
    failed = {finding.check: finding.text for finding in findings if not finding.passed}
    assert failed["files_as_recorded"] == "file.txt is missing"
    assert "cannot be read" in failed["names_are_new"]
