"""The real pictures of each step: all of the shards, each as often as the others, decided by seed and step."""

from collections import Counter

import numpy as np
import pytest
import torch

from fungal_assets.ancestors.dcgan_images import RealBatches, part, read_squares, to_pictures
from fungal_assets.errors import InputError
from fungal_assets_tests.ancestors.dcgan_world import PICTURES, SIDE_PX, blob, write_squares


@pytest.fixture(scope="module")
def squares(dcgan_squares, tmp_path_factory):
    return read_squares(dcgan_squares, tmp_path_factory.mktemp("cache"), size_px=SIDE_PX, tell=lambda _: None)


def batches(squares, **given):
    how = {"batch_size": 7, "flips": False, "seed": 1, "device": torch.device("cpu")} | given
    return RealBatches(squares, range(len(squares)), **how)


def test_every_picture_of_all_shards_is_there_pixel_by_pixel(squares):
    assert sorted(squares.image_ids) == [f"blob-{number:03d}" for number in range(PICTURES)]
    row = squares.rows(["blob-011"])
    assert np.array_equal(np.asarray(next(squares.pictures(row))), np.asarray(blob(11)))


def test_what_is_decoded_is_not_decoded_again(dcgan_squares, squares, tmp_path):
    first = read_squares(dcgan_squares, tmp_path, size_px=SIDE_PX, tell=lambda _: None)
    (told := []).clear()
    again = read_squares(dcgan_squares, tmp_path, size_px=SIDE_PX, tell=told.append)
    assert not told and np.array_equal(first.pixels, again.pixels)


def test_a_picture_of_another_size_is_refused_by_name(dcgan_squares, tmp_path):
    with pytest.raises(InputError, match="'blob-0.*' has 64x64 px, 128x128 expected"):
        read_squares(dcgan_squares, tmp_path, size_px=128, tell=lambda _: None)


def test_pictures_are_parted_by_their_own_hash_and_too_few_are_refused():
    names = [f"image-{number}" for number in range(200)]
    seen, held_out = part(names, 0.2)
    assert sorted(seen + held_out) == sorted(names) and 20 < len(held_out) < 60
    assert set(part(names[:150], 0.2)[1]) == set(held_out) & set(names[:150])
    with pytest.raises(InputError, match=r"of 10 pictures 0 are held out .* at least 4 expected"):
        part(names[:10], 0.2)


def test_each_picture_is_seen_equally_often_and_in_a_fresh_order(squares):
    steps = PICTURES  # of seven pictures each: seven epochs
    seen = [row for step in range(steps) for row in batches(squares).rows_of(step)]
    assert set(Counter(seen).values()) == {7}
    assert seen[:PICTURES] != seen[PICTURES : 2 * PICTURES]


def test_a_step_is_the_same_in_any_run_and_half_of_the_pictures_are_mirrored(squares):
    one, other = batches(squares, flips=True), batches(squares, flips=True)
    assert torch.equal(other.at(9), one.at(9)), "whether or not the steps before were asked for"
    plain = torch.cat([batches(squares).at(step) for step in range(60)])
    turned = torch.cat([one.at(step) for step in range(60)])
    is_same = (plain == turned).flatten(1).all(dim=1)
    assert torch.equal(turned[~is_same], plain[~is_same].flip(-1))
    assert 0.4 < is_same.float().mean() < 0.6


def test_pixels_come_back_as_they_went(squares):
    batch = batches(squares).at(0)
    assert batch.min() >= -1 and batch.max() <= 1
    rows = batches(squares).rows_of(0)
    for picture, row in zip(to_pictures(batch), rows, strict=True):
        assert np.array_equal(np.moveaxis(np.asarray(picture), -1, 0), squares.pixels[row])


def test_more_pictures_in_a_step_than_there_are_come_again(squares):
    rows = batches(squares, batch_size=2 * PICTURES).rows_of(3)
    assert set(Counter(rows).values()) == {2}


def test_one_picture_is_too_few(tmp_path):
    with pytest.raises(InputError, match="holds 1 pictures"):
        read_squares(
            write_squares(tmp_path / "one", 1), tmp_path / "cache", size_px=SIDE_PX, tell=lambda _: None
        )
