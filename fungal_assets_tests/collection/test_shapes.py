import math

import numpy as np
import pytest
from PIL import Image

from fungal_assets.collection.decoding import part_box, read_part
from fungal_assets.collection.shapes import nearest_size, sizes_at
from fungal_assets_tests.collection.drawing import encode

XL = [(1024, 1024), (1088, 960), (1152, 896), (1216, 832), (1344, 768)]
"""Sizes that Stable Diffusion XL was trained at, lying."""


def test_the_shapes_at_1024_px_are_those_of_stable_diffusion_xl():
    assert sizes_at(1024, "square") == [(1024, 1024)]
    assert sorted(sizes_at(1024, "buckets")) == sorted({*XL, *((height, width) for width, height in XL)})


@pytest.mark.parametrize("size_px", [128, 256, 512, 1024])
def test_all_shapes_have_sides_that_latents_can_have_and_about_the_area_of_the_square(size_px):
    for width, height in sizes_at(size_px, "buckets"):
        assert width % 8 == height % 8 == 0
        assert 0.96 < width * height / size_px**2 <= 1


@pytest.mark.parametrize(
    ("size", "expected", "most_lost"),
    [
        ((6000, 4000), (608, 416), 0.03),
        ((4000, 6000), (416, 608), 0.03),
        ((4032, 3024), (576, 448), 0.04),
        ((1920, 1080), (672, 384), 0.02),
        ((2000, 1000), (672, 384), 0.125),
        ((640, 640), (512, 512), 0.0),
    ],
)
def test_a_photograph_gets_the_nearest_shape_and_loses_little(size, expected, most_lost):
    assert nearest_size(size, 512) == expected
    left, top, right, bottom = part_box(size, 0.5, expected)
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert (right - left) * (bottom - top) >= size[0] * size[1] * (1 - most_lost) - max(size)
    assert math.isclose((right - left) / (bottom - top), expected[0] / expected[1], rel_tol=0.01)


@pytest.mark.parametrize("focus", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_a_part_is_cut_about_the_middle_of_the_square_as_far_as_the_picture_goes(focus):
    left, _, right, _ = part_box((3000, 1000), focus, (1750, 1000))
    middle = 2000 * focus + 500
    assert right - left == 1750
    assert left == min(max(middle - 875, 0), 1250)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_photograph_is_upright_in_its_shape(orientation):
    """Blue at the left end of the upright picture, as far as it is seen, and red at the right."""
    upright = np.zeros((200, 300, 3), np.uint8)
    upright[:, :100, 2] = upright[:, 200:, 0] = 255
    turns = {1: 0, 3: 2, 6: 1, 8: 3}
    stored = Image.fromarray(np.rot90(upright, turns[orientation]).copy())
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = np.asarray(read_part(encode(stored, "PNG", exif=exif), (152, 104), focus=0.9).image, int)
    assert found.shape == (104, 152, 3)
    assert (found[:, :35, 2] > 240).all() and (found[:, -35:, 0] > 240).all()
    assert not found[:, 70:80].any()
