import json

import pytest

from fungal_assets.dataset.building import SCHEMA
from fungal_assets.dataset.checks import (
    check_described_as_it_is,
    check_every_image_is_found,
    check_images_decode,
    check_no_group_is_parted,
    check_shards_are_several,
    check_texts_are_told,
)
from fungal_assets.morphology.twins import read_groups
from fungal_assets.shards import ShardWriter, read_rows
from fungal_assets_tests.dataset.conftest import ROWS, write_groups


@pytest.fixture(scope="module")
def dataset(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    build(folder, has_imagefolder=False)
    return folder


def _rewrite(dataset, folder, change):
    """The dataset with its training rows changed; returns the folder and the rows as they were."""
    rows = list(read_rows(dataset / "data", stem="train"))
    with ShardWriter(folder / "data", SCHEMA, shards=2) as writer:
        for row in change(rows):
            writer.write(row)
    with ShardWriter(folder / "data", SCHEMA, shards=1, stem="test") as writer:
        for row in read_rows(dataset / "data", stem="test"):
            writer.write(row)
    for name in ("README.md", "croissant.json"):
        (folder / name).write_bytes((dataset / name).read_bytes())
    return folder, rows


def test_a_sound_dataset_passes_every_check(growth, dataset):
    verdict = check_every_image_is_found(dataset, growth.raw_images)
    assert verdict.passed
    assert verdict.figures["train_rows"] + verdict.figures["test_rows"] == verdict.figures["rows"] == ROWS
    assert check_no_group_is_parted(dataset, growth.feature_vectors).passed
    assert check_described_as_it_is(dataset).passed
    assert check_texts_are_told(dataset).passed
    assert check_images_decode(dataset, size_px=128).passed
    assert check_shards_are_several(dataset).passed


def test_a_dataset_of_one_split_passes_every_check(growth, build, tmp_path):
    build(tmp_path, share=0.0, has_imagefolder=False)
    assert check_every_image_is_found(tmp_path, growth.raw_images).passed
    assert check_no_group_is_parted(tmp_path, growth.feature_vectors).passed
    assert check_described_as_it_is(tmp_path).passed


def test_a_held_out_picture_that_is_trained_on_too_is_found(growth, dataset, tmp_path):
    stolen = next(read_rows(dataset / "data", stem="test"))
    folder, _ = _rewrite(dataset, tmp_path, lambda rows: [*rows, stolen])
    assert check_every_image_is_found(folder, growth.raw_images).figures["doubles"] == 1
    verdict = check_no_group_is_parted(folder, growth.feature_vectors)
    assert verdict.figures["groups_on_both_sides"] == 1
    assert read_groups(growth.feature_vectors)[stolen["image_id"]] in verdict.finding


def test_a_near_duplicate_on_the_other_side_is_found(growth, dataset, tmp_path):
    groups = read_groups(growth.feature_vectors)
    held_out = next(read_rows(dataset / "data", stem="test"))["image_id"]
    trained_on = next(read_rows(dataset / "data", stem="train"))["image_id"]
    vectors = write_groups(tmp_path / "vectors", groups | {held_out: "twins", trained_on: "twins"})
    verdict = check_no_group_is_parted(dataset, vectors)
    assert not verdict.passed and "'twins'" in verdict.finding


def test_a_species_that_is_held_out_whole_is_named(growth, dataset, tmp_path):
    held_out = next(read_rows(dataset / "data", stem="test"))["species_id"]
    folder, _ = _rewrite(
        dataset, tmp_path, lambda rows: [row for row in rows if row["species_id"] != held_out]
    )
    verdict = check_no_group_is_parted(folder, growth.feature_vectors)
    assert not verdict.passed and held_out in verdict.finding


def test_a_lost_held_out_split_is_missed(growth, dataset, tmp_path):
    folder, rows = _rewrite(dataset, tmp_path, lambda rows: rows)
    next((folder / "data").glob("test-*")).unlink()
    assert check_every_image_is_found(folder, growth.raw_images).figures["missing"] == ROWS - len(rows)
    assert not check_described_as_it_is(folder).passed


def test_a_card_that_counts_wrong_is_found(dataset, tmp_path):
    folder, rows = _rewrite(dataset, tmp_path, lambda rows: rows)
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace(f"num_examples: {len(rows)}", "num_examples: 5"))
    assert "the card tells of {'train': 5" in check_described_as_it_is(folder).finding


def test_a_card_that_forgets_the_held_out_split_is_found(dataset, tmp_path):
    folder, _ = _rewrite(dataset, tmp_path, lambda rows: rows)
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace("  - split: test\n    path: data/test-*.parquet\n", ""))
    assert not check_described_as_it_is(folder).passed


def test_a_shard_that_is_another_than_the_metadata_says_is_named(dataset, tmp_path):
    folder, _ = _rewrite(dataset, tmp_path, lambda rows: [rows[0] | {"text": "other"}, *rows[1:]])
    assert "croissant.json is wrong about ['data/train-" in check_described_as_it_is(folder).finding


def test_a_file_that_the_metadata_forgets_is_named(dataset, tmp_path):
    folder, _ = _rewrite(dataset, tmp_path, lambda rows: rows)
    described = json.loads((folder / "croissant.json").read_text())
    lost = described["distribution"].pop(0)["contentUrl"]
    (folder / "croissant.json").write_text(json.dumps(described))
    assert lost in check_described_as_it_is(folder).finding


def test_a_lost_image_is_named(growth, dataset, tmp_path):
    folder, rows = _rewrite(dataset, tmp_path, lambda rows: rows[1:])
    verdict = check_every_image_is_found(folder, growth.raw_images)
    assert not verdict.passed
    assert rows[0]["image_id"] in verdict.finding


def test_an_image_that_is_there_twice_is_found(growth, dataset, tmp_path):
    folder, _ = _rewrite(dataset, tmp_path, lambda rows: [*rows, rows[0]])
    assert check_every_image_is_found(folder, growth.raw_images).figures["doubles"] == 1


def test_a_lost_shard_is_a_finding_and_no_accident(growth, dataset, tmp_path):
    folder, _ = _rewrite(dataset, tmp_path, lambda rows: rows)
    next((folder / "data").glob("train-*")).unlink()
    assert "one is missing" in check_every_image_is_found(folder, growth.raw_images).finding
    assert not check_shards_are_several(folder).passed


def test_an_empty_text_and_a_broken_picture_are_named(dataset, tmp_path):
    def spoil(rows):
        rows[0]["text"] = " "
        rows[1]["image"]["bytes"] = rows[1]["image"]["bytes"][:200]
        return rows

    folder, rows = _rewrite(dataset, tmp_path, spoil)
    assert rows[0]["image_id"] in check_texts_are_told(folder).finding
    assert rows[1]["image_id"] in check_images_decode(folder, size_px=128).finding


def test_pictures_of_another_size_are_found(dataset):
    assert check_images_decode(dataset, size_px=64).figures["faults"] == ROWS
