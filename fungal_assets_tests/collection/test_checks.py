from __future__ import annotations

import hashlib

import pytest
from PIL import Image

from fungal_assets.collection.admission import SPECIMENS, admit_images
from fungal_assets.collection.checks import check_ids_match_bytes, check_nothing_is_lost, check_prepared
from fungal_assets.collection.preparation import SCHEMA, prepare_images
from fungal_assets.shards import ShardWriter, read_rows
from fungal_assets_tests.collection.drawing import LENIENT, encode, picture, write_pictures


@pytest.fixture
def raw_images(tmp_path):
    source = write_pictures(tmp_path / "source", 4)
    (source / "notes.txt").write_text("a reject")
    (tmp_path / "raw").mkdir()
    admit_images(tmp_path / "raw", source=str(source), **LENIENT)
    return tmp_path / "raw"


def _rewrite(folder, schema, rows):
    with ShardWriter(folder, schema, shards=2, stem="images") as writer:
        for row in rows:
            writer.write(row)


def test_a_whole_collection_passes(raw_images, tmp_path):
    (tmp_path / "out").mkdir()
    prepare_images(raw_images, tmp_path / "out", size_px=64, jpeg_quality=95, shape="square", larger=None)
    assert check_nothing_is_lost(raw_images, candidates=5).passed
    assert check_ids_match_bytes(raw_images).passed
    assert check_prepared(tmp_path / "out", raw_images, size_px=64, shape="square").passed


def test_a_lost_candidate_is_found(raw_images):
    verdict = check_nothing_is_lost(raw_images, candidates=6)
    assert not verdict.passed and "1 of 6 candidates" in verdict.finding and verdict.figures["missing"] == 1


def test_changed_bytes_and_repeated_ids_are_found(raw_images):
    rows = list(read_rows(raw_images))
    rows[0]["image"]["bytes"] += b"x"
    _rewrite(raw_images, SPECIMENS, [*rows, rows[1]])
    verdict = check_ids_match_bytes(raw_images)
    assert not verdict.passed and verdict.figures == {"repeated": 1, "foreign": 1}


def test_every_fault_of_squares_is_found(raw_images, tmp_path):
    ids = sorted(row["image_id"] for row in read_rows(raw_images))
    good = encode(picture(0, 64, 64), "JPEG")
    squares = {
        ids[0]: encode(Image.new("RGB", (64, 64), "grey"), "JPEG"),
        ids[1]: encode(picture(0, 64, 60), "JPEG"),
        ids[2]: good,
        hashlib.sha256(b"other").hexdigest()[:16]: good,
    }
    rows = [
        {"image": {"bytes": data, "path": None}, "image_id": image_id} for image_id, data in squares.items()
    ]
    _rewrite(tmp_path / "out", SCHEMA, [*rows, rows[2]])
    verdict = check_prepared(tmp_path / "out", raw_images, size_px=64, shape="square")
    assert not verdict.passed
    assert verdict.figures == {"missing": 1, "foreign": 1, "repeated": 1, "misshapen": 1, "blank": 1}
    assert ids[3] in verdict.finding
