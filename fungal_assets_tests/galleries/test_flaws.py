import io

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageEnhance

from fungal_assets.galleries.flaws import MAX_SHARED_GRID, find_flaws, grid_excess, shared_grid, silent_share
from fungal_assets_tests.galleries.conftest import draw


def pixelate(image, factor):
    small = image.resize(tuple(round(side / factor) for side in image.size), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


def smooth_noise(seed):
    """A picture full of gentle gradients, as a photograph out of focus."""
    cells = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return Image.fromarray(cells).resize((128, 128), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("picture", [draw, smooth_noise], ids=["flat-art", "gradients"])
def test_clean_pictures_have_no_flaw(picture, seed):
    found = find_flaws(picture(seed))
    assert not found.is_blank
    assert not found.is_pixelated


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("picture", [draw, smooth_noise], ids=["flat-art", "gradients"])
def test_enlarged_pixels_are_found_at_any_size(picture, factor):
    assert find_flaws(pixelate(picture(1), factor)).is_pixelated


def test_enlarged_pixels_are_found_under_noise_and_under_jpeg():
    blocky = np.asarray(pixelate(smooth_noise(2), 4)).astype(float)
    noisy = blocky + np.random.default_rng(0).normal(0, 2, blocky.shape)
    assert find_flaws(Image.fromarray(noisy.clip(0, 255).astype(np.uint8))).is_pixelated
    buffer = io.BytesIO()
    pixelate(smooth_noise(2), 4).save(buffer, "JPEG", quality=90)
    assert find_flaws(Image.open(buffer).convert("RGB")).is_pixelated


def test_flat_art_is_as_flat_as_pixelated_pictures_so_flatness_decides_nothing():
    flat, blocky = find_flaws(draw(3)), find_flaws(pixelate(smooth_noise(3), 4))
    assert flat.flat_share > 0.5
    assert blocky.flat_share > 0.5
    assert (flat.is_pixelated, blocky.is_pixelated) == (False, True)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_colour_is_blank_and_not_pixelated(level):
    found = find_flaws(Image.new("RGB", (64, 64), (level,) * 3))
    assert found.is_blank
    assert not found.is_pixelated


def test_the_measures_have_their_closed_forms():
    comb = np.zeros(24)
    comb[3::4] = 1.0
    assert grid_excess(comb, 4) == 1.0
    assert grid_excess(np.ones(24), 4) == 0.0
    assert grid_excess(comb, 3) == 0.0
    assert silent_share(comb) == pytest.approx(15 / 21)
    assert silent_share(np.ones(24)) == silent_share(np.zeros(24)) == 0.0


def soft_blocks(seed):
    """Enlarged pixels as an autoencoder gives them back: every edge of a block smoothed over five lines."""
    from PIL import ImageFilter

    return pixelate(smooth_noise(seed), 8).filter(ImageFilter.BoxBlur(2))


def test_softened_blocks_are_seen_in_no_picture_alone_but_in_many_together():
    blocky, clean = ([picture(seed) for seed in range(12)] for picture in (soft_blocks, smooth_noise))
    assert not any(find_flaws(image).is_pixelated for image in blocky)
    assert shared_grid(blocky) > MAX_SHARED_GRID
    assert shared_grid(clean) < MAX_SHARED_GRID / 2
    assert shared_grid(draw(seed) for seed in range(12)) < MAX_SHARED_GRID


def test_pictures_with_grids_at_other_places_share_none():
    shifted = [ImageChops.offset(soft_blocks(seed), seed % 8, seed % 8) for seed in range(16)]
    assert shared_grid(shifted) < MAX_SHARED_GRID < shared_grid(soft_blocks(seed) for seed in range(16))


def test_each_picture_weighs_the_same_whatever_its_contrast():
    pale = [ImageEnhance.Contrast(smooth_noise(seed)).enhance(0.05) for seed in range(15)]
    loud = pixelate(smooth_noise(15), 8)
    assert shared_grid([*pale, loud]) < 2 / 16


def test_too_few_pictures_share_nothing():
    assert shared_grid([soft_blocks(seed) for seed in range(7)]) is None
