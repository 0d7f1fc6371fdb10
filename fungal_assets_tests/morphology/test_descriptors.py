from __future__ import annotations

import numpy as np
import pytest

from fungal_assets.morphology.descriptors import (
    COLOUR_NAMES,
    COLOURS,
    describe_colour,
    describe_shape,
    entropy_of,
    mix_cluster_colours,
    name_cluster_colours,
    share_explained,
)


def _plain(colour):
    return np.full((64, 64, 3), colour, np.uint8)


def _subject(colour, ground=(90, 120, 60)):
    pixels = _plain(ground)
    pixels[18:46, 18:46] = colour
    return pixels


def test_labels_that_are_the_trait_explain_it_all():
    kinds = np.repeat([0, 1, 2], 10)
    assert share_explained(np.eye(3)[kinds], kinds, 0) == pytest.approx(1)


def test_labels_that_have_nothing_to_do_with_the_trait_explain_nothing():
    rng = np.random.default_rng(0)
    assert abs(share_explained(rng.normal(size=(2000, 5)), rng.integers(0, 4, 2000), 0)) < 0.01


def test_labels_that_are_half_the_trait_explain_half():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 20_000)
    signal = (2 * labels - 1) + rng.normal(size=20_000)
    assert share_explained(signal[:, None], labels, 0) == pytest.approx(0.5, abs=0.02)


def test_a_trait_that_does_not_vary_is_not_explained():
    assert share_explained(np.ones((10, 3)), np.arange(10) % 2, 0) == 0


def test_colour_knows_no_place_and_shape_no_colour():
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
    assert np.allclose(describe_colour(noise), describe_colour(noise[::-1]))
    assert np.linalg.norm(describe_colour(_plain((200, 30, 30)))) == pytest.approx(1)
    bright, dark = _subject((200, 200, 200), (100, 100, 100)), _subject((100, 100, 100), (50, 50, 50))
    assert np.allclose(describe_shape(bright), describe_shape(dark), atol=0.02)


def test_a_cluster_is_named_for_its_subjects_and_not_their_ground():
    pictures = [_subject((168, 34, 34))] * 3 + [_subject((58, 98, 172))] * 3 + [_subject((244, 241, 234))] * 3
    assert name_cluster_colours(pictures, np.repeat([0, 1, 2], 3), 3) == ["red", "blue", "white"]


@pytest.mark.parametrize("name, shade", COLOURS, ids=[f"{name}-{shade}" for name, shade in COLOURS])
def test_every_shade_has_its_own_name(name, shade):
    others = [_subject((58, 98, 172) if name != "blue" else (168, 34, 34))] * 2
    assert name_cluster_colours([_subject(shade, (255, 0, 255)), *others], np.array([0, 1, 1]), 2)[0] == name


def test_the_colours_of_a_cluster_are_those_of_its_whole_pictures():
    """Half red and half white by area; one colour has no entropy, all equal have the most."""
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:, :32], halves[:, 32:] = (168, 34, 34), (244, 241, 234)
    plain = np.full((64, 64, 3), (92, 132, 58), np.uint8)
    mixes = mix_cluster_colours([halves, plain, halves], np.array([0, 1, 0]), 2)
    assert mixes[0][COLOUR_NAMES.index("red")] == mixes[0][COLOUR_NAMES.index("white")] == 0.5
    assert mixes[1][COLOUR_NAMES.index("green")] == 1
    assert entropy_of(mixes[1]) == 0
    assert entropy_of(mixes[0]) == pytest.approx(np.log(2) / np.log(11))
    assert entropy_of(np.full(11, 1 / 11)) == pytest.approx(1)
