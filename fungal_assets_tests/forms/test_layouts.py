"""Layouts: what is seen in the glass of a pyramid is the form, the right way round, from each of its four sides."""

import numpy as np
import pytest

from fungal_assets.forms.layouts import fit_tile, lay_on_black, lay_out_pyramid, screen_px, tile_px
from fungal_assets.forms.shooting import turn
from fungal_assets_tests.forms.shapes import SIDES, lettered, reads_as_f

FOOT = 0.25
"""Half the side of the foot, in tiles; the canvas reaches 1.25 from its middle."""


@pytest.fixture(scope="module")
def views():
    """A block with an F on each side, from its four sides."""
    return list(turn(lettered(), 4, 64, 64, elevation_deg=0.0))


def look_into(canvas, azimuth_deg, screen, size_px=64):
    """What an eye far away at that azimuth sees in the pyramid's face before it, by reflecting its rays.

    The world's axes are the forms': y up, z to the south. The screen lies in y = 0, its bottom edge to the south.
    """
    azimuth, up = np.deg2rad(azimuth_deg), 1 if screen == "below" else -1
    outward = np.array([np.sin(azimuth), 0, np.cos(azimuth)])
    right = np.array([np.cos(azimuth), 0, -np.sin(azimuth)])
    normal = (np.array([0, up, 0]) - outward) / np.sqrt(2)
    seen = np.zeros((size_px, size_px, 3), np.uint8)
    for row in range(size_px):
        below_top = (row + 0.5) / size_px
        height = 1 - below_top if screen == "below" else -below_top
        for column in range(size_px):
            aside = (column + 0.5) / size_px - 0.5
            if abs(aside) > FOOT + abs(height):
                continue  # beside the face
            hit = outward * (FOOT + abs(height)) + right * aside + np.array([0, height, 0])
            ray = -outward - 2 * (-outward @ normal) * normal
            spot = hit + ray * (-hit[1] / ray[1])
            x = spot[0] if screen == "below" else -spot[0]
            place = ((np.array([spot[2], x]) + 1.25) / 2.5 * len(canvas)).astype(int)
            seen[row, column] = canvas[tuple(place)]
    return seen


def test_the_letters_read_right_on_the_block_itself(views):
    for view, colour in zip(views, SIDES.values(), strict=True):
        assert reads_as_f(view)
        brightest = view.reshape(-1, 3)[view.reshape(-1, 3).max(1) > 150].mean(0) / 255
        assert np.abs(brightest - colour).max() < 0.15
    assert not any(reads_as_f(view[:, ::-1]) or reads_as_f(view[::-1]) for view in views)


@pytest.mark.parametrize("screen", ["below", "above"])
@pytest.mark.parametrize("quarter", range(4))
def test_from_each_side_the_glass_shows_what_stands_there(views, screen, quarter):
    seen = look_into(lay_out_pyramid(views, screen=screen), 90 * quarter, screen)
    assert reads_as_f(seen)
    assert np.abs(seen.astype(int) - views[quarter]).mean() < 1


@pytest.mark.parametrize("screen", ["below", "above"])
def test_a_flip_left_out_reads_wrong(views, screen):
    unflipped = [view[::-1] if screen == "below" else view[:, ::-1] for view in views]
    canvas = lay_out_pyramid(unflipped, screen=screen)
    assert not any(reads_as_f(look_into(canvas, 90 * quarter, screen)) for quarter in range(4))


def test_a_film_for_a_screen_below_reads_wrong_under_a_screen_above(views):
    canvas = lay_out_pyramid(views, screen="below")
    assert not reads_as_f(look_into(canvas, 0, "above"))


def test_the_foot_and_what_is_outside_the_faces_are_black():
    canvas = lay_out_pyramid([np.full((32, 32, 3), value, np.uint8) for value in (50, 100, 150, 200)])
    assert canvas.shape == (80, 80, 3)
    assert canvas[32:48, 32:48].max() == 0 and canvas[0, 0].max() == 0


@pytest.mark.parametrize("screen", ["below", "above"])
def test_a_form_too_wide_for_the_foot_is_made_smaller_until_nothing_is_cut(screen):
    view = np.zeros((64, 64, 3), np.uint8)
    view[4:60, 2:62] = 200
    scale = fit_tile([view], screen)
    assert 0.5 < scale < 1
    canvas = lay_out_pyramid([view] * 4, screen=screen, scale=scale)
    lit = (canvas.max(2) > 100).sum()
    assert lit == pytest.approx(4 * 56 * 60 * scale**2, rel=0.04)
    assert (lay_out_pyramid([view] * 4, screen=screen).max(2) > 100).sum() < 4 * 56 * 60 - 300


def test_a_slender_form_is_not_made_smaller_and_none_at_all_is_no_error():
    view = np.zeros((64, 64, 3), np.uint8)
    assert fit_tile([view]) == 1
    view[4:60, 24:40] = 200
    assert fit_tile([view]) == 1


def test_a_view_lies_in_the_middle_of_a_black_frame():
    frame = lay_on_black(np.full((32, 32, 3), 9, np.uint8), *screen_px(32, is_portrait=False))
    assert frame.shape == (32, 56, 3)
    assert frame[:, :12].max() == frame[:, 44:].max() == 0 and frame[:, 12:44].min() == 9


@pytest.mark.parametrize(("size_px", "expected"), [(1080, (1920, 1080)), (256, (456, 256)), (64, (114, 64))])
def test_screens_are_16_to_9_and_even(size_px, expected):
    assert screen_px(size_px, is_portrait=False) == expected
    assert screen_px(size_px, is_portrait=True) == expected[::-1]


@pytest.mark.parametrize(("size_px", "expected"), [(256, 256), (1080, 864), (72, 72)])
def test_a_pyramid_has_2160_pixels_at_most(size_px, expected):
    assert tile_px(size_px) == expected
