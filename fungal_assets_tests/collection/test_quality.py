"""The measures say which picture is blurred, blocky or pixelated, and by how much."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fungal_assets.collection.quality import _blockiness, _pixelation, measure_quality
from fungal_assets.pocket import SPECIMENS_DIR


@pytest.fixture(scope="module")
def specimens():
    """Twelve specimens as luma, spread over all."""
    paths = sorted(SPECIMENS_DIR.glob("specimen-*.webp"))[::13]
    return [Image.open(path).convert("L") for path in paths]


def enlarged(image, times, how):
    small = image.resize((image.width // times, image.height // times), Image.Resampling.BOX)
    return small.resize(image.size, how)


def saved(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


def blurred(levels):
    """Every fifth pixel of the plain blur: down one axis after the other, each rounded to whole levels."""
    weights = 5 - np.abs(np.arange(-4, 5))
    for _ in range(2):
        padded = np.pad(levels.astype(float), ((0, 0), (2, 2)))
        count = np.pad(np.ones(levels.shape), ((0, 0), (2, 2)))
        places = range(0, levels.shape[1] // 5 * 5, 5)
        sums = [padded[:, left : left + 9] @ weights for left in places]
        totals = [count[:, left : left + 9] @ weights for left in places]
        levels = np.floor(np.array(sums) / np.array(totals) + 0.5)  # turned: the other axis is next
    return levels


@pytest.mark.parametrize("size_px", [(35, 35), (95, 100), (510, 515), (1020, 700)])
def test_the_measures_are_those_of_the_plain_formula(size_px):
    """Which takes more memory than ours; blocks and pixels not one bit may differ, since looks are compared."""
    rng = np.random.default_rng(size_px[0])
    for top in (2, 40, 256):
        luma = Image.fromarray(rng.integers(0, top, size_px, np.uint8))
        grey = np.asarray(luma, np.float32)
        sharpness = np.square(grey[2::5, 2::5] - blurred(grey)).mean() / max(float(grey.var()), 1e-3)
        steps = [np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis) for axis in (0, 1)]
        found = measure_quality(luma)
        assert found.sharpness == pytest.approx(sharpness, rel=1e-5)
        assert found.blockiness == min(map(_blockiness, steps))
        assert found.pixelation == min(map(_pixelation, steps))


def test_pixels_over_the_fifth_do_not_count_for_sharpness():
    levels = np.random.default_rng(3).integers(0, 256, (64, 64), np.uint8)
    assert measure_quality(Image.fromarray(levels)).sharpness == pytest.approx(1, rel=0.3)


def test_sharpness_falls_with_blur_and_not_with_contrast(specimens):
    for image in specimens:
        sharp = measure_quality(image).sharpness
        blurred = [
            measure_quality(image.filter(ImageFilter.GaussianBlur(px))).sharpness for px in (1, 2, 4, 8)
        ]
        assert all(later < earlier for earlier, later in zip([sharp, *blurred], blurred, strict=False))
        flat = Image.fromarray((np.asarray(image) * 0.5 + 60).astype(np.uint8))
        assert measure_quality(flat).sharpness == pytest.approx(sharp, rel=0.1)


def test_blockiness_is_one_without_blocks_and_rises_with_compression(specimens):
    for image in specimens:
        values = [
            measure_quality(one).blockiness
            for one in (image, saved(image, 40), saved(image, 10), saved(image, 3))
        ]
        assert values[0] < 1.4
        assert values[0] < values[2] < values[3]


@pytest.mark.parametrize("times", [2, 3, 4, 5, 8, 16])
def test_squares_of_any_size_are_pixelation_and_a_smooth_enlargement_is_not(specimens, times):
    for image in specimens:
        squares = measure_quality(enlarged(image, times, Image.Resampling.NEAREST)).pixelation
        smooth = measure_quality(enlarged(image, times, Image.Resampling.BICUBIC)).pixelation
        assert squares > 0.9
        assert smooth < 0.6


def test_a_drawing_on_a_plain_ground_is_not_pixelated():
    canvas = Image.new("L", (512, 512), 255)
    disc = Image.effect_noise((120, 120), 40)
    canvas.paste(disc, (40, 300))
    assert measure_quality(canvas).pixelation < 0.6


def test_a_blank_picture_has_no_quality_to_speak_of():
    quality = measure_quality(Image.new("L", (64, 64), 128))
    assert (quality.sharpness, quality.pixelation) == (0, 0)
    assert quality.blockiness == pytest.approx(1)
