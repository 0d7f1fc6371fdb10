from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fungal_assets.collection.admission import admit_images
from fungal_assets.collection.checks import check_prepared
from fungal_assets.collection.preparation import prepare_images
from fungal_assets.errors import InputError
from fungal_assets.shards import read_rows
from fungal_assets_tests.collection.drawing import LENIENT, encode, picture, write_pictures


@pytest.fixture
def raw_images(tmp_path):
    source = write_pictures(tmp_path / "source", 5)
    (source / "wide.jpg").write_bytes(encode(picture(50, 400, 200), "JPEG"))
    (tmp_path / "raw").mkdir()
    admit_images(tmp_path / "raw", source=str(source), **LENIENT)
    return tmp_path / "raw"


def _prepare(raw_images, folder, size_px, *, shape="square", larger=None):
    folder.mkdir()
    return prepare_images(raw_images, folder, size_px=size_px, jpeg_quality=95, shape=shape, larger=larger)


@pytest.mark.parametrize("size_px, upscaled", [(64, 0), (96, 0), (128, 5), (256, 6)])
def test_every_specimen_becomes_a_square_and_enlarged_ones_are_counted(
    raw_images, tmp_path, size_px, upscaled
):
    figures = _prepare(raw_images, tmp_path / "out", size_px)
    squares = {row["image_id"]: row["image"] for row in read_rows(tmp_path / "out")}
    assert squares.keys() == {row["image_id"] for row in read_rows(raw_images)}
    assert {Image.open(io.BytesIO(square["bytes"])).size for square in squares.values()} == {
        (size_px, size_px)
    }
    assert (figures["images"], figures["upscaled"], figures["size_px"]) == (6, upscaled, size_px)
    assert (tmp_path / "out" / "contact_sheet.jpg").exists()


def test_a_square_of_the_same_size_shows_the_original(raw_images, tmp_path):
    _prepare(raw_images, tmp_path / "out", 96)
    originals = {row["image_id"]: row for row in read_rows(raw_images) if row["width"] == 96}
    for row in read_rows(tmp_path / "out"):
        if row["image_id"] in originals:
            before = np.asarray(Image.open(io.BytesIO(originals[row["image_id"]]["image"]["bytes"])), float)
            after = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])), float)
            assert np.abs(before - after).mean() < 2


def test_squares_scaled_down_from_larger_ones_are_those_from_the_originals(raw_images, tmp_path):
    """The same ids and counts, and pixels that nobody tells apart; the originals are not opened."""
    _prepare(raw_images, tmp_path / "large", 96)
    direct = _prepare(raw_images, tmp_path / "direct", 32)
    (tmp_path / "derived").mkdir()
    options = {"size_px": 32, "jpeg_quality": 95, "shape": "square", "larger": tmp_path / "large"}
    derived = prepare_images(raw_images, tmp_path / "derived", **options)
    assert {key: derived[key] for key in ("images", "size_px", "upscaled")} == {
        key: direct[key] for key in ("images", "size_px", "upscaled")
    }
    squares = [
        {
            row["image_id"]: np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])), float)
            for row in read_rows(folder)
        }
        for folder in (tmp_path / "direct", tmp_path / "derived")
    ]
    assert squares[0].keys() == squares[1].keys()
    for image_id, square in squares[0].items():
        assert squares[1][image_id].shape == (32, 32, 3)
        assert np.abs(squares[1][image_id] - square).mean() < 3


def test_the_same_specimens_give_the_same_files(raw_images, tmp_path):
    for name in ("one", "two"):
        _prepare(raw_images, tmp_path / name, 64)
    for path in (tmp_path / "one").glob("*.*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_squares_have_full_chroma(raw_images, tmp_path):
    _prepare(raw_images, tmp_path / "out", 64)
    row = next(iter(read_rows(tmp_path / "out")))
    with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def _sizes(folder):
    rows = {row["image_id"]: row["image"]["bytes"] for row in read_rows(folder)}
    return {image_id: Image.open(io.BytesIO(data)) for image_id, data in rows.items()}


def test_in_buckets_each_specimen_has_its_shape_and_smaller_ones_are_had_from_larger_ones(
    raw_images, tmp_path
):
    figures = _prepare(raw_images, tmp_path / "out", 256, shape="buckets")
    assert figures["upscaled"] == 5, "the wide one of 400 x 200 is cut to 7:4 and made smaller"
    wide = {row["image_id"] for row in read_rows(raw_images) if row["width"] == 400}
    for image_id, image in _sizes(tmp_path / "out").items():
        assert image.size == ((336, 192) if image_id in wide else (256, 256))
    assert check_prepared(tmp_path / "out", raw_images, size_px=256, shape="buckets").passed
    assert not check_prepared(tmp_path / "out", raw_images, size_px=256, shape="square").passed
    how = {"shape": "buckets"}
    _prepare(raw_images, tmp_path / "direct", 128, **how)
    _prepare(raw_images, tmp_path / "derived", 128, larger=tmp_path / "out", **how)
    direct, derived = _sizes(tmp_path / "direct"), _sizes(tmp_path / "derived")
    for image_id, image in direct.items():
        assert image.size == derived[image_id].size
        assert np.abs(np.asarray(image, float) - np.asarray(derived[image_id], float)).mean() < 3


def test_buckets_below_128_px_are_refused(raw_images, tmp_path):
    with pytest.raises(InputError, match="expected a multiple of 128.*shape=square"):
        _prepare(raw_images, tmp_path / "out", 64, shape="buckets")
