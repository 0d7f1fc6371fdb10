import numpy as np
import pytest
from PIL import Image

from fungal_assets.nomenclature.attributes import measure
from fungal_assets.nomenclature.hints import Hint
from fungal_assets_tests.nomenclature.growths import GROUNDS, KINDS, picture


def hint(group_chance, view="side view", view_chance=0.5):
    """What a feature vector hints at, or None."""
    return None if group_chance is None else Hint(group_chance, view, view_chance)


@pytest.mark.parametrize(("colour", "paint", "ground"), KINDS)
def test_the_colour_of_a_disc_is_its_first_colour_word(colour, paint, ground):
    assert measure(picture(paint, GROUNDS[ground])).colour_names[0] == colour


@pytest.mark.parametrize(
    ("ground", "words"), [("snow", "in snow"), ("moss", "in moss"), ("dark", "on a black background")]
)
def test_an_even_ground_has_its_habitat(ground, words):
    assert measure(picture((200, 30, 24), GROUNDS[ground])).habitat == words


def test_a_ground_of_no_habitat_is_left_unsaid():
    assert measure(picture((200, 30, 24), (90, 60, 200))).habitat is None


@pytest.mark.parametrize(
    ("radius_px", "size", "closeness"),
    [(10, "small", "from afar"), (24, None, None), (56, "large", "up close")],
)
def test_size_and_closeness_follow_the_radius(radius_px, size, closeness):
    found = measure(picture((200, 30, 24), GROUNDS["snow"], radius_px=radius_px))
    assert (found.size_in_frame, found.closeness) == (size, closeness)


def test_three_separate_discs_are_a_group():
    tile = np.asarray(picture((200, 30, 24), GROUNDS["snow"], radius_px=16, side_px=44))
    assert measure(Image.fromarray(np.concatenate([tile] * 3, axis=1))).count is None
    row = Image.new("RGB", (160, 160), GROUNDS["snow"])
    for left in (5, 58, 111):
        row.paste(Image.fromarray(tile), (left, 58))
    assert measure(row).count == "a group"


@pytest.mark.parametrize(("ground", "light"), [("snow", "in bright light"), ("dark", "in dim light")])
def test_light_follows_the_mean_lightness(ground, light):
    assert measure(picture((120, 74, 40), GROUNDS[ground])).light == light


def test_a_rough_ground_is_clutter_and_an_even_one_is_not():
    calm = picture((200, 30, 24), GROUNDS["moss"])
    assert not measure(calm).is_cluttered
    pixels = np.asarray(calm).copy()
    litter = np.random.default_rng(0).integers(0, 200, (64, 64, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    around = np.abs(np.asarray(calm).astype(int) - GROUNDS["moss"]).max(-1) < 10
    pixels[around] = litter[around]
    assert measure(Image.fromarray(pixels)).is_cluttered


@pytest.mark.parametrize(
    ("chance", "count"), [(0.9, "a group"), (0.5, None), (0.1, None), (None, None)], ids=str
)
def test_a_likely_group_is_said_though_it_is_one_part(chance, count):
    assert measure(picture((200, 30, 24), GROUNDS["snow"]), hint=hint(chance)).count == count


@pytest.mark.parametrize(("chance", "count"), [(0.5, "a group"), (0.1, None)])
def test_parts_that_are_surely_no_group_are_a_mask_in_pieces(chance, count):
    row = Image.new("RGB", (160, 160), GROUNDS["snow"])
    for left in (5, 58, 111):
        row.paste(picture((200, 30, 24), GROUNDS["snow"], radius_px=16, side_px=44), (left, 58))
    assert measure(row, hint=hint(chance)).count == count


@pytest.mark.parametrize(
    ("chance", "view"),
    [(0.97, "seen from below"), (0.6, None), (None, None)],
    ids=["sure", "unsure", "unknown"],
)
def test_a_view_is_said_where_the_vector_is_sure(chance, view):
    told = None if chance is None else hint(0.1, "seen from below", chance)
    assert measure(picture((200, 30, 24), GROUNDS["snow"]), hint=told).view == view


@pytest.mark.parametrize(
    ("ground", "noise", "words"),
    [
        pytest.param((226, 230, 240), 3, "in snow", id="snow"),
        pytest.param((238, 234, 228), 3, None, id="white table"),
        pytest.param((6, 6, 6), 3, "on a black background", id="black"),
        pytest.param((6, 6, 6), 30, None, id="dim litter"),
    ],
)
def test_what_only_looks_like_a_habitat_is_not_said(ground, noise, words):
    pixels = np.asarray(picture((200, 30, 24), ground)).astype(int)
    around = np.abs(pixels - ground).max(-1) < 10
    grain = np.random.default_rng(0).integers(-noise, noise + 1, (*pixels.shape[:2], 1))
    shown = np.where(around[..., None], pixels + grain, pixels).clip(0, 255).astype(np.uint8)
    assert measure(Image.fromarray(shown)).habitat == words
