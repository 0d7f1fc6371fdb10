from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from fungal_assets.errors import InputError
from fungal_assets.morphology.clusters import _count_distinct, _list_ks, _order, assign, find_clusters
from fungal_assets.morphology.features import read_vectors
from fungal_assets.morphology.splits import Split, find_creators
from fungal_assets.shards import ShardWriter, image_schema, read_rows, read_table


def _summary(collection):
    return json.loads((collection / "clusters" / "clusters.json").read_text())


def test_planted_kinds_are_found(collection):
    label = {
        row["image_id"]: row["label"] for row in read_rows(collection / "raw_images", ["image_id", "label"])
    }
    rows = read_table(collection / "clusters" / "assignments.parquet")
    kinds = [label[row["image_id"]] for row in rows]
    assert _summary(collection)["k"] == 3
    assert adjusted_rand_score(kinds, [row["cluster_id"] for row in rows]) > 0.85


def test_the_summary_says_what_the_tables_say(collection):
    summary, rows = _summary(collection), read_table(collection / "clusters" / "assignments.parquet")
    sizes = np.bincount([row["cluster_id"] for row in rows]).tolist()
    assert [cluster["size"] for cluster in summary["clusters"]] == sizes == sorted(sizes, reverse=True)
    for cluster in summary["clusters"]:
        own = [row for row in rows if row["cluster_id"] == cluster["cluster_id"]]
        nearest = sorted(own, key=lambda row: row["distance"])
        shown = [cluster["medoid_id"], *cluster["member_ids_near"]]
        assert shown == [row["image_id"] for row in nearest[: len(shown)]] and len(shown) == 6
        farthest = [row["distance"] for row in nearest[6:][::-1][:5]]
        distances = {row["image_id"]: row["distance"] for row in own}
        assert [distances[one] for one in cluster["member_ids_far"]] == farthest
    assert [trial["k"] for trial in summary["candidates"]] == [2, 3, 4, 5]


def test_the_members_that_are_named_as_farthest_are_no_others_the_outermost_first(collection, tmp_path):
    """Two clusters of thirty, so that one has more members than are named."""
    settings = {"algorithm": "kmeans", "min_clusters": 2, "max_clusters": 2, "seed": 0}
    find_clusters(collection / "feature_vectors", collection / "raw_images", tmp_path, **settings)
    largest = json.loads((tmp_path / "clusters.json").read_text())["clusters"][0]
    rows = read_table(tmp_path / "assignments.parquet")
    own = {row["image_id"]: row["distance"] for row in rows if row["cluster_id"] == 0}
    named = largest["member_ids_far"]
    assert largest["size"] >= 15 and len(named) == 5
    assert [own[one] for one in named] == sorted(own.values(), reverse=True)[:5]


def test_the_reason_is_a_sentence_with_the_numbers(collection):
    summary = _summary(collection)
    assert summary["why"].startswith("3 clusters, of 2 to 5 clusters tried: ")
    assert f"the smallest holds {summary['clusters'][-1]['size']} images" in summary["why"]
    assert (
        f"agreement {summary['stability']:.2f} of 1, the weakest cluster {summary['weakest']:.2f}"
        in summary["why"]
    )


def test_every_cluster_has_its_own_stability_and_the_weakest_is_told(collection):
    summary = _summary(collection)
    own = [cluster["stability"] for cluster in summary["clusters"]]
    assert all(0.75 <= value <= 1 for value in own)
    assert summary["weakest"] == round(next(t["weakest"] for t in summary["candidates"] if t["k"] == 3), 4)


def test_as_many_clusters_as_asked_for_are_given(collection, tmp_path):
    vectors, raw_images = collection / "feature_vectors", collection / "raw_images"
    figures = find_clusters(
        vectors, raw_images, tmp_path, algorithm="kmeans", min_clusters=4, max_clusters=4, seed=0
    )
    assert figures["clusters"] == 4
    assert json.loads((tmp_path / "clusters.json").read_text())["why"].startswith(
        "4 clusters, the only number tried"
    )


def test_dense_clusters_are_an_option_with_the_same_files(collection, tmp_path):
    vectors, raw_images = collection / "feature_vectors", collection / "raw_images"
    figures = find_clusters(
        vectors, raw_images, tmp_path, algorithm="hdbscan", min_clusters=2, max_clusters=5, seed=0
    )
    rows = read_table(tmp_path / "assignments.parquet")
    kind = {row["image_id"]: row["label"] for row in read_rows(raw_images, ["image_id", "label"])}
    why = json.loads((tmp_path / "clusters.json").read_text())["why"]
    assert why.startswith(f"{figures['clusters']} clusters, a number that ") and "least sizes" in why
    assert len(rows) == 30 and {row["cluster_id"] for row in rows} == set(range(figures["clusters"]))
    assert (
        adjusted_rand_score([kind[row["image_id"]] for row in rows], [row["cluster_id"] for row in rows])
        > 0.5
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in (collection / "clusters").iterdir()
    }


def test_an_unknown_algorithm_is_refused_with_those_that_there_are(collection, tmp_path):
    vectors, raw_images = collection / "feature_vectors", collection / "raw_images"
    with pytest.raises(InputError, match="is 'ward'; expected 'kmeans' or 'hdbscan'"):
        find_clusters(vectors, raw_images, tmp_path, algorithm="ward", min_clusters=2, max_clusters=5, seed=0)


def test_too_few_dense_places_are_an_error_that_says_how_many_there_are(collection, tmp_path):
    vectors, raw_images = collection / "feature_vectors", collection / "raw_images"
    with pytest.raises(InputError, match=r"dense places, expected 4 to 4. .* take clusters.algorithm=kmeans"):
        find_clusters(
            vectors, raw_images, tmp_path, algorithm="hdbscan", min_clusters=4, max_clusters=4, seed=0
        )


def test_assigning_the_specimens_again_gives_their_clusters(collection):
    ids, vectors = read_vectors(collection / "feature_vectors")
    labels, similarity = assign(collection / "clusters", vectors)
    rows = read_table(collection / "clusters" / "assignments.parquet")
    assert [row["image_id"] for row in rows] == ids
    assert [row["cluster_id"] for row in rows] == labels.tolist()
    assert similarity.shape == (30, 3) and np.abs(similarity).max() <= 1 + 1e-5
    assert np.allclose([row["distance"] for row in rows], 1 - similarity.max(axis=1), atol=1e-5)


def test_the_pictures_can_be_looked_at(collection):
    with Image.open(collection / "clusters" / "montage.webp") as montage:
        assert montage.height > 3 * 100
    with Image.open(collection / "clusters" / "map.png") as chart:
        assert chart.size[0] == chart.size[1] and chart.getextrema()[0][1] > 100


def test_the_same_seed_gives_the_same_files(collection, tmp_path):
    vectors, raw_images = collection / "feature_vectors", collection / "raw_images"
    find_clusters(vectors, raw_images, tmp_path, algorithm="kmeans", min_clusters=2, max_clusters=5, seed=0)
    for name in ("assignments.parquet", "clusters.json", "centroids.npy", "montage.webp", "map.png"):
        assert (tmp_path / name).read_bytes() == (collection / "clusters" / name).read_bytes(), name


@pytest.mark.parametrize(
    "least, most, message",
    [
        (5, 4, "expected 2 or more, the least first"),
        (1, 4, "expected 2 or more"),
    ],
)
def test_impossible_numbers_of_clusters_are_refused(collection, tmp_path, least, most, message):
    vectors, raw_images = collection / "feature_vectors", collection / "raw_images"
    with pytest.raises(InputError, match=message):
        find_clusters(
            vectors, raw_images, tmp_path, algorithm="kmeans", min_clusters=least, max_clusters=most, seed=0
        )


@pytest.mark.parametrize(
    ("images", "least", "tried"),
    [pytest.param(30, 11, range(5, 11), id="fewer"), pytest.param(90, 11, range(11, 16), id="as asked")],
)
def test_fewer_clusters_are_tried_where_the_images_are_too_few_for_those_asked_for(images, least, tried):
    assert _list_ks(images, images, least, 15) == list(tried)


def test_five_images_are_too_few_for_any_clusters():
    with pytest.raises(
        InputError, match="5 images .* too few for 2 clusters; expected at least 3 .* 6 in all"
    ):
        _list_ks(5, 5, 8, 16)


def test_rows_that_differ_are_counted_once_over_all_blocks():
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    assert _count_distinct([rows[:4], rows[2:], -0.0 * rows[:1], 0.0 * rows[:1]]) == 7


def test_the_main_creator_of_a_cluster_and_the_share_of_all_are_told(tmp_path):
    """Of eight pictures Ada made four, three of them in the first cluster of four; of two nobody knows who did."""
    creators = ["Ada", "Ada", "Ada", None, "Bo", None, "Ada", "Bo"]
    schema = image_schema({"image_id": pa.string(), "creator": pa.string()})
    with ShardWriter(tmp_path, schema, shards=1, stem="images") as writer:
        for number, creator in enumerate(creators):
            writer.write({"image": None, "image_id": str(number), "creator": creator})
    labels = np.repeat([0, 1], 4)
    split = Split(
        [str(number) for number in range(8)], np.zeros((8, 2)), np.zeros((2, 2)), labels, np.zeros(8)
    )
    first, second = find_creators(tmp_path, split)
    assert first == {"creator": "Ada", "creator_share": 0.75, "creator_share_of_all": 0.5}
    assert second == {"creator": "Bo", "creator_share": 0.5, "creator_share_of_all": 0.25}
    unknown = Split(["3", "5"], np.zeros((2, 2)), np.zeros((1, 2)), np.zeros(2, int), np.zeros(2))
    assert find_creators(tmp_path, unknown) == [
        {"creator": None, "creator_share": 0.0, "creator_share_of_all": 0.0}
    ]


def test_clusters_are_numbered_by_size_with_their_own_centres_and_an_empty_one_is_none():
    directions = np.eye(4, dtype=np.float32)
    labels = np.array([3, 0, 0, 2, 2, 2])
    split = _order(list("abcdef"), directions[labels], labels, directions)
    assert split.labels.tolist() == [2, 1, 1, 0, 0, 0]
    assert np.array_equal(split.centroids, directions[[2, 0, 3]])
    assert np.allclose(split.distances, 0)
