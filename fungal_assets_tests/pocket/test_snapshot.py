"""Snapshots: the fungus of the traits amid the clutter of its place, and words that always say so."""

from __future__ import annotations

import numpy as np
import pytest

from fungal_assets.pocket.fungarium import (
    HABITATS,
    describe,
    render_picture,
    render_snapshot,
    sample_portrait,
    sample_traits,
)
from fungal_assets.pocket.fungarium.snapshot import paint_clutter

GROUNDS = tuple(place for place in HABITATS if place != "dark_room")


def clutter_of(place: str) -> np.ndarray:
    return np.mean(
        [paint_clutter(place, np.random.default_rng(seed)).mean((0, 1)) for seed in range(6)], axis=0
    )


def test_a_seed_gives_the_same_snapshot_and_another_seed_another():
    first, second = sample_portrait(4), sample_portrait(5)
    picture = render_snapshot(first, size_px=64)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, render_snapshot(first, size_px=64))
    assert np.abs(picture.astype(int) - render_snapshot(second, size_px=64)).mean() > 5


def test_the_fungus_keeps_its_form_and_its_surroundings_are_rougher_than_a_render():
    """Brightness inside the mask follows the render's; outside it is another place, and neighbours differ more."""
    likeness, likeness_outside, roughness = [], [], []
    for seed in range(12):
        traits = sample_traits(seed, morphotype="agaric", habitat="leaf_litter", view="side view", count=1)
        render, snapshot = render_picture(traits, size_px=96), render_snapshot(traits, size_px=96) / 255
        clean, inside = render.image.numpy(), render.mask.numpy() > 0.99
        likeness.append(np.corrcoef(clean.mean(-1)[inside], snapshot.mean(-1)[inside])[0, 1])
        around = render.mask.numpy() == 0
        likeness_outside.append(np.corrcoef(clean.mean(-1)[around], snapshot.mean(-1)[around])[0, 1])
        outside = ~inside[:, 1:]
        steps = [np.abs(np.diff(image.mean(-1), axis=1))[outside].mean() for image in (clean, snapshot)]
        roughness.append(steps[1] / steps[0])
    assert np.median(likeness) > 0.8
    assert np.median(likeness_outside) < 0.3
    assert np.mean(np.array(roughness) > 1) > 0.75


def test_each_place_has_its_colours():
    tones = {place: clutter_of(place) for place in GROUNDS}
    assert all(tones[place].argmax() == 1 for place in ("field", "moss"))
    assert all(tones[place].argmax() == 0 for place in ("leaf_litter", "sand", "log"))
    assert max(tones, key=lambda place: tones[place].mean()) == "snow"


@pytest.mark.parametrize("place", GROUNDS)
def test_clutter_has_the_spectrum_of_natural_scenes(place: str):
    """Amplitude falls with frequency as a power between a half and two (Field 1987: about one)."""
    spectra = []
    for seed in range(4):
        grey = paint_clutter(place, np.random.default_rng(seed)).mean(-1)
        amplitude = np.abs(np.fft.fft2(grey - grey.mean()))
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
        spectra.append(
            [amplitude[(frequency >= f) & (frequency < 1.4 * f)].mean() for f in (0.02, 0.04, 0.08, 0.16)]
        )
    slope = np.polyfit(np.log([0.02, 0.04, 0.08, 0.16]), np.log(np.mean(spectra, axis=0)), 1)[0]
    assert -2 < slope < -0.5


def test_a_snapshot_is_always_called_one_and_lies_on_a_table_where_a_render_is_in_the_dark():
    for seed in range(40):
        traits = sample_traits(seed, habitat="dark_room" if seed % 2 else None)
        caption = describe(traits, rng_seed=seed, is_snapshot=True)
        assert "snapshot of" in caption
        assert "black background" not in caption
        assert "dark room" not in caption
        assert "snapshot" not in describe(traits, rng_seed=seed)
