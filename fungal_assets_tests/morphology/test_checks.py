from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest

from fungal_assets.morphology.checks import (
    check_assignments,
    check_clusters_are_mixed,
    check_colour_does_not_dominate,
    check_fungi,
    check_stability,
    check_vectors,
)
from fungal_assets.morphology.clusters import ASSIGNMENTS
from fungal_assets.morphology.features import VECTORS
from fungal_assets.shards import read_table, write_table


@pytest.fixture
def copy(collection, tmp_path):
    """The collection's folders, free to be damaged; the raw images are only read."""
    for name in ("feature_vectors", "clusters"):
        shutil.copytree(collection / name, tmp_path / name)
    return tmp_path


def test_sound_outputs_pass(collection):
    raw_images = collection / "raw_images"
    assert check_vectors(collection / "feature_vectors", raw_images).passed
    assert check_assignments(collection / "clusters", raw_images).passed
    assert check_stability(collection / "clusters", least=0.5).passed
    assert check_colour_does_not_dominate(collection / "clusters", most=0.5).passed


def change_clusters(copy, change):
    path = copy / "clusters" / "clusters.json"
    summary = json.loads(path.read_text())
    change(summary["clusters"])
    path.write_text(json.dumps(summary))


def test_a_cluster_of_one_colour_or_of_one_creator_is_told(copy):
    def check():
        return check_clusters_are_mixed(copy / "clusters", most_of_a_colour=0.85, fewest=5)

    assert check().passed
    change_clusters(copy, lambda found: found[0].update(main_colour="green", main_colour_share=0.9))
    assert "cluster 0 is 90% green" in check().finding and not check().passed
    by_ada = {"creator": "Ada", "creator_share": 1.0, "creator_share_of_all": 0.3}
    change_clusters(copy, lambda found: found[1].update(by_ada))
    assert check().figures == {"of_one_colour": 1, "of_one_creator": 1}
    assert "cluster 1 is all by 'Ada'" in check().finding
    change_clusters(copy, lambda found: found[1].update(creator_share_of_all=1.0))
    assert check().figures["of_one_creator"] == 0


def with_probabilities(copy, values):
    path = copy / "feature_vectors" / "vectors.parquet"
    rows = read_table(path)
    for row, value in zip(rows, values, strict=False):
        row["fungus_probability"] = value
    write_table(path, rows, VECTORS)
    return [row["image_id"] for row in rows]


def test_what_is_unlike_a_fungus_is_named_among_photographs_alone(copy):
    """The drawings of the collection are all unlike one, of which the classifier knows nothing."""
    drawn = check_fungi(copy / "feature_vectors", least=0.02, known=0.4)
    assert drawn.passed and "does not know these pictures" in drawn.finding
    ids = with_probabilities(copy, [0.9, 0.001] + [0.8] * 28)
    odd = check_fungi(copy / "feature_vectors", least=0.02, known=0.4)
    assert not odd.passed and odd.figures["unlike"] == 1
    assert f"{ids[1]} (0.001)" in odd.finding and "min_fungus_probability" in odd.finding
    with_probabilities(copy, [0.9] * 30)
    assert check_fungi(copy / "feature_vectors", least=0.02, known=0.4).passed


@pytest.mark.parametrize(
    "fault, figures",
    [
        ("missing", {"faulty": 0, "missing": 1, "foreign": 0, "repeated": 0}),
        ("repeated", {"faulty": 0, "missing": 0, "foreign": 0, "repeated": 1}),
        ("foreign", {"faulty": 0, "missing": 1, "foreign": 1, "repeated": 0}),
        ("not-finite", {"faulty": 1, "missing": 0, "foreign": 0, "repeated": 0}),
        ("too-long", {"faulty": 1, "missing": 0, "foreign": 0, "repeated": 0}),
        ("too-few-numbers", {"faulty": 1, "missing": 0, "foreign": 0, "repeated": 0}),
    ],
)
def test_every_fault_of_vectors_is_found(copy, collection, fault, figures):
    path = copy / "feature_vectors" / "vectors.parquet"
    rows = read_table(path)
    if fault == "missing":
        rows = rows[1:]
    elif fault == "repeated":
        rows = [*rows, rows[0]]
    elif fault == "foreign":
        rows[0]["image_id"] = "0" * 16
    elif fault == "not-finite":
        rows[0]["vector"][3] = float("nan")
    elif fault == "too-long":
        rows[0]["vector"] = [2 * value for value in rows[0]["vector"]]
    else:
        rows[0]["vector"] = rows[0]["vector"][:7]
    write_table(path, rows, VECTORS)
    verdict = check_vectors(copy / "feature_vectors", collection / "raw_images")
    assert not verdict.passed and verdict.figures == figures


@pytest.mark.parametrize("fault", ["missing", "repeated", "empty-cluster", "unknown-cluster"])
def test_every_fault_of_assignments_is_found(copy, collection, fault):
    path = copy / "clusters" / "assignments.parquet"
    rows = read_table(path)
    if fault == "missing":
        rows = rows[1:]
    elif fault == "repeated":
        rows = [*rows, rows[0]]
    elif fault == "empty-cluster":
        rows = [row | {"cluster_id": max(row["cluster_id"], 1)} for row in rows]
    else:
        rows[0]["cluster_id"] = 99
    write_table(path, rows, ASSIGNMENTS)
    assert not check_assignments(copy / "clusters", collection / "raw_images").passed


def test_shaky_and_merely_coloured_clusters_are_told(copy):
    path = copy / "clusters" / "clusters.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stability": 0.2, "eta2_colour": 0.7}))
    shaky = check_stability(copy / "clusters", least=0.4)
    coloured = check_colour_does_not_dominate(copy / "clusters", most=0.25)
    assert not shaky.passed and "0.20 of 1, expected 0.40 or more" in shaky.finding
    assert not coloured.passed and "70% of the colour variance, expected 25% or less" in coloured.finding


def test_no_vectors_at_all_are_told(copy, collection):
    write_table(copy / "feature_vectors" / "vectors.parquet", [], VECTORS)
    assert pq.read_metadata(copy / "feature_vectors" / "vectors.parquet").num_rows == 0
    assert check_vectors(copy / "feature_vectors", collection / "raw_images").figures["missing"] == 30
