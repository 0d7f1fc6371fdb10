from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from fungal_assets.collection.duplicates import Marks, SeenImages, mark_image
from fungal_assets_tests.collection.drawing import encode, picture


def _marks(image: Image.Image):
    return mark_image(image.convert("RGB").resize((96, 96), Image.Resampling.LANCZOS))


def _noisy(seed: int) -> Image.Image:
    """A picture with texture, like a photograph."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 12, (160, 160, 3))
    return Image.fromarray(np.clip(np.asarray(picture(seed, 160, 160)) + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "kind, settings", [("JPEG", {"quality": 40}), ("WEBP", {"quality": 30}), ("PNG", {})]
)
@pytest.mark.parametrize("side_px", [128, 200, 400])
def test_a_copy_saved_anew_in_another_size_is_found(tmp_path, kind, settings, side_px):
    seen = SeenImages(tmp_path / "marks")
    place = seen.add(_marks(_noisy(5)))
    copy = Image.open(io.BytesIO(encode(_noisy(5).resize((side_px, side_px)), kind, **settings)))
    assert seen.find_same_picture(_marks(copy)) == (place, False)
    assert seen.find_same_picture(_marks(ImageOps.mirror(copy))) == (place, True)


def test_different_pictures_are_no_copies(tmp_path):
    seen = SeenImages(tmp_path / "marks")
    for seed in range(30):
        marks = _marks(_noisy(seed))
        assert seen.find_same_picture(marks) is None
        seen.add(marks)


def test_the_same_light_in_other_colours_is_no_copy(tmp_path):
    red = ImageEnhance.Color(_noisy(2)).enhance(3)
    green = Image.merge("RGB", [red.getchannel(band) for band in "GBR"])
    one, other = _marks(red), _marks(green)
    seen = SeenImages(tmp_path / "marks")
    seen.add(one)
    same_light = Marks(one.bits, one.mirrored_bits, other.grid)
    assert seen.find_same_picture(same_light) is None


def test_more_pictures_than_the_first_table_holds_are_remembered(tmp_path):
    seen = SeenImages(tmp_path / "marks")
    rng = np.random.default_rng(0)
    grids = rng.integers(0, 256, (1500, 16, 16, 3)).astype(np.float32)
    bits = rng.integers(0, 2**63, 1500)
    marks = [Marks(int(bits[number]), int(bits[number]) ^ 0x5555, grids[number]) for number in range(1500)]
    assert [seen.add(mark) for mark in marks] == list(range(1500))
    assert [seen.find_same_picture(marks[number]).place for number in (0, 1023, 1024, 1499)] == [
        0,
        1023,
        1024,
        1499,
    ]


def test_the_marks_of_a_mirrored_picture_are_those_that_it_would_get():
    for seed in range(20):
        marks, again = _marks(_noisy(seed)), _marks(ImageOps.mirror(_noisy(seed)))
        assert (marks.mirrored_bits ^ again.bits).bit_count() <= 2 and marks.mirrored_bits != marks.bits
        assert np.abs(marks.mirrored.grid - again.grid).max() <= 1
        assert marks.mirrored.mirrored.bits == marks.bits


def test_a_picture_on_its_head_is_no_mirror_image(tmp_path):
    seen = SeenImages(tmp_path / "marks")
    seen.add(_marks(_noisy(5)))
    assert seen.find_same_picture(_marks(ImageOps.flip(_noisy(5)))) is None
