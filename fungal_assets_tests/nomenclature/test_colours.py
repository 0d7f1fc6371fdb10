import numpy as np
import pytest

from fungal_assets.nomenclature.colours import COLOUR_TERMS, colour_shares, main_colours, to_lab

FOCAL = {
    "black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "red": (200, 20, 20),
    "orange": (240, 140, 30), "yellow": (245, 215, 50), "green": (60, 140, 50), "blue": (40, 80, 190),
    "purple": (120, 50, 150), "pink": (240, 160, 185), "brown": (110, 66, 34),
}  # fmt: skip


@pytest.mark.parametrize("term", COLOUR_TERMS)
def test_a_focal_colour_has_its_basic_term(term):
    lab = to_lab(np.full((1, 4, 3), FOCAL[term], np.uint8))[0]
    assert colour_shares(lab)[term] == 1.0


def test_shares_sum_to_one_and_follow_the_areas():
    pixels = np.array([FOCAL["red"]] * 3 + [FOCAL["green"]], np.uint8)
    shares = colour_shares(to_lab(pixels[None])[0])
    assert sum(shares.values()) == pytest.approx(1.0)
    assert (shares["red"], shares["green"]) == (0.75, 0.25)


def test_grey_beside_enough_white_is_white_in_the_shade():
    pixels = np.array([FOCAL["white"]] * 2 + [FOCAL["grey"]] * 3, np.uint8)
    assert colour_shares(to_lab(pixels[None])[0])["white"] == 1.0


@pytest.mark.parametrize(("orange", "brown", "named"), [(3, 4, "orange"), (1, 4, "brown")])
def test_brown_beside_enough_of_a_warm_colour_is_its_shade(orange, brown, named):
    pixels = np.array([FOCAL["orange"]] * orange + [FOCAL["brown"]] * brown, np.uint8)
    shares = colour_shares(to_lab(pixels[None])[0])
    assert max(shares, key=lambda term: shares[term]) == named
    assert sum(shares.values()) == pytest.approx(1.0)


def test_main_colours_leave_a_small_share_out():
    assert main_colours({"red": 0.7, "white": 0.25, "blue": 0.05}, least_share=0.25) == ("red", "white")
    assert main_colours({"red": 0.2, "white": 0.1}, least_share=0.25) == ("red",)
