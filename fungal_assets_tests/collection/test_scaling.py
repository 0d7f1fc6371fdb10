"""torch scales squares as Pillow does, on the thread that asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fungal_assets.collection.scaling import (
    REDUCING_GAP,
    scale_by_pillow,
    scale_by_torch,
    single_thread,
)


@pytest.fixture(scope="module")
def image():
    """Noise over slopes: what rings is seen."""
    rng = np.random.default_rng(5)
    slopes = np.linspace(0, 200, 300)[None, :, None] + np.zeros((220, 1, 3))
    return Image.fromarray((slopes + rng.integers(0, 55, slopes.shape)).astype(np.uint8))


BOXES = {"left": (0, 0, 220, 220), "middle": (40, 0, 260, 220), "inside": (31, 17, 231, 217)}


@pytest.mark.parametrize("size_px", [56, 64, 150, 219, 256, 512])
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_both_ways_of_scaling_are_one(image, box, size_px):
    with single_thread():
        found = scale_by_torch(image, box, (size_px, size_px))
    expected = image.crop(box).resize((size_px, size_px), Image.Resampling.LANCZOS)
    apart = np.abs(np.asarray(found, int) - np.asarray(expected, int))
    assert (found.mode, found.size) == ("RGB", (size_px, size_px))
    assert apart.max() <= 2
    assert apart.mean() < 0.02


def weigh(length_px, size_px):
    """The weights of the formula, of shape (size_px, length_px)."""
    scale = length_px / size_px
    middles = (np.arange(size_px)[:, None] + 0.5) * scale - 0.5
    apart = (np.arange(length_px) - middles) / max(scale, 1)
    weights = np.where(np.abs(apart) < 3, np.sinc(apart) * np.sinc(apart / 3), 0)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("size_px", [64, 150, 256])
@pytest.mark.parametrize("scale", [scale_by_pillow, scale_by_torch])
def test_a_square_is_that_of_the_formula(image, scale, size_px):
    """But for the outermost pixels, into which Pillow lets what lies next to the square."""
    left, upper, right, lower = BOXES["inside"]
    assert right - left < 2 * REDUCING_GAP * size_px, "not reduced before"
    square = np.asarray(image, float)[upper:lower, left:right]
    weights = weigh(right - left, size_px)
    expected = np.clip(np.einsum("yj,xk,jkc->yxc", weights, weights, square), 0, 255)
    with single_thread():
        found = np.asarray(scale(image, BOXES["inside"], (size_px, size_px)), float)
    apart = np.abs(found - expected)[4:-4, 4:-4]
    assert apart.max() <= 2 and apart.mean() < 0.4


def test_what_is_scaled_down_far_is_left_to_pillow(image):
    assert scale_by_torch(image, BOXES["left"], (40, 40)) == scale_by_pillow(image, BOXES["left"], (40, 40))


def test_threads_inside_have_one_thread_of_torch_each_and_all_are_back_afterwards():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with single_thread(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)
