"""Quilts: the views in their order, no more apart than a display bears, under the name that players read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fungal_assets.errors import InputError
from fungal_assets.forms.casting import places, settle
from fungal_assets.forms.quilts import (
    CONE_DEG,
    DISPLAYS,
    MOST_DISPARITY_PX,
    Display,
    cut_quilt,
    disparity_px,
    get_display,
    lay_out_quilt,
    quilt_lenses,
)
from fungal_assets.forms.shooting import photograph_quilts
from fungal_assets.forms.volume import Volume
from fungal_assets_tests.forms.shapes import axes, sphere, toadstool

SMALL = Display(4, 3, 400, 400, 0.75)


def numbered_sphere(size=64):
    """A sphere on which the number of each camera of `SMALL` is written as a grey where that camera faces it."""
    z, y, x = axes(size)
    azimuth_deg = torch.rad2deg(torch.atan2(x, z)).clamp(-40, 40)
    number = (azimuth_deg / CONE_DEG + 0.5) * (SMALL.views - 1)
    return Volume(
        sphere(0.7, size).density, torch.logit((0.2 + 0.05 * number).clamp(0.05, 0.95)).expand(3, -1, -1, -1)
    )


@pytest.fixture(scope="module")
def quilt():
    return next(photograph_quilts(numbered_sphere(), SMALL, 0, [0.0]))


def test_each_view_shows_the_number_of_its_place_from_the_bottom_left_on(quilt):
    """Cameras stand at even shifts, so at uneven angles; half a number is the most that this makes."""
    rows = np.split(quilt, 3)[::-1]
    tiles = [tile for row in rows for tile in np.split(row, 4, axis=1)]
    greys = [tile[62:71, 47:53].mean() / 255 for tile in tiles]
    numbers = (np.array(greys) - 0.2) / 0.05
    assert np.abs(numbers - np.arange(12)).max() < 0.5
    assert (np.diff(numbers) > 0.5).all()


def test_a_quilt_is_cut_into_the_views_that_it_was_laid_out_of():
    views = [np.full((4, 6, 3), index, np.uint8) for index in range(12)]
    quilt = lay_out_quilt(SMALL, views)
    assert quilt.shape == (12, 24, 3)
    assert quilt[-1, 0, 0] == 0 and quilt[-1, -1, 0] == 3 and quilt[0, 0, 0] == 8 and quilt[0, -1, 0] == 11
    assert all(np.array_equal(a, b) for a, b in zip(cut_quilt(SMALL, quilt), views, strict=True))


def test_a_picture_that_is_no_quilt_is_not_cut():
    with pytest.raises(InputError, match="is 25x12 px, which 4x3 views do not fill evenly"):
        cut_quilt(SMALL, np.zeros((12, 25, 3), np.uint8))


@pytest.mark.parametrize(
    ("display", "name"),
    [("portrait", "a_qs8x6a0.75.png"), ("go", "a_qs11x6a0.5625.png"), ("65", "a_qs8x9a1.77778.png")],
)
def test_the_name_tells_the_layout(display, name):
    assert get_display(display).name("a", ".png") == name


def test_a_display_that_is_not_known_is_refused():
    with pytest.raises(InputError, match="display is 'tv'; expected one of portrait, go"):
        get_display("tv")


@pytest.mark.parametrize("name", DISPLAYS)
def test_views_have_even_sides_and_the_shape_of_the_display(name):
    display = DISPLAYS[name]
    for quilt_px in (0, 960, 1500):
        width, height = display.tile_px(quilt_px)
        assert width % 2 == 0 and height % 2 == 0
        assert width * display.columns <= (quilt_px or display.width_px)
        squeeze = display.width_px / display.columns / (display.height_px / display.rows)
        assert width / height == pytest.approx(squeeze, rel=0.04)


@pytest.mark.parametrize("name", DISPLAYS)
@pytest.mark.parametrize("volume", [toadstool(32), sphere(0.7, 24)], ids=["tall", "round"])
def test_neighbours_are_never_further_apart_than_a_display_bears(name, volume):
    settled, front = settle(volume)
    points, display = places(settled), DISPLAYS[name]
    lenses = quilt_lenses(display, points, front)
    assert 1 < disparity_px(lenses, points, display.tile_px(0)[0]) <= MOST_DISPARITY_PX * 1.02
    assert all(float(lens.project(points).abs().max()) <= 1 for lens in lenses)
    assert [lens.shift for lens in lenses] == sorted(lens.shift for lens in lenses)
    assert lenses[0].shift == -lenses[-1].shift


def test_cameras_stand_closer_where_their_views_would_be_too_far_apart():
    settled, front = settle(toadstool(24))
    points, few = places(settled), Display(3, 2, 2400, 1600, 1.0)
    apart = disparity_px(quilt_lenses(few, points, front), points, 800)
    assert 0.8 * MOST_DISPARITY_PX < apart <= 1.02 * MOST_DISPARITY_PX


def test_the_cameras_look_the_same_way():
    settled, front = settle(toadstool(24))
    lenses = quilt_lenses(SMALL, places(settled), front)
    assert len({replace(lens, shift=0.0) for lens in lenses}) == 1
