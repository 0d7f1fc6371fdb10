import pytest

from fungal_assets.dataset.building import SCHEMA, build_dataset
from fungal_assets.dataset.checks import (
    check_every_image_is_found,
    check_images_decode,
    check_shards_are_several,
    check_texts_are_told,
)
from fungal_assets.shards import ShardWriter, read_rows


@pytest.fixture(scope="module")
def dataset(growth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    inputs = (growth.prepared_images, growth.captions, growth.species, growth.raw_images)
    build_dataset(*inputs, folder, max_shard_mb=256.0, has_imagefolder=False)
    return folder


def _rewrite(dataset, folder, change):
    rows = list(read_rows(dataset / "data"))
    with ShardWriter(folder / "data", SCHEMA, shards=2) as writer:
        for row in change(rows):
            writer.write(row)
    return folder, rows


def test_a_sound_dataset_passes_every_check(growth, dataset):
    assert check_every_image_is_found(dataset, growth.raw_images).passed
    assert check_texts_are_told(dataset).passed
    assert check_images_decode(dataset, size_px=128).passed
    assert check_shards_are_several(dataset).passed


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
    next((folder / "data").iterdir()).unlink()
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
    assert check_images_decode(dataset, size_px=64).figures["faults"] == 12
