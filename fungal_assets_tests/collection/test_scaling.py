"""torch scales squares as Pillow does, on the thread that asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fungal_assets.collection.scaling import scale_by_pillow, scale_by_torch, single_thread


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
        found = scale_by_torch(image, box, size_px)
    expected = image.crop(box).resize((size_px, size_px), Image.Resampling.LANCZOS)
    apart = np.abs(np.asarray(found, int) - np.asarray(expected, int))
    assert (found.mode, found.size) == ("RGB", (size_px, size_px))
    assert apart.max() <= 2
    assert apart.mean() < 0.02


def test_what_is_scaled_down_far_is_left_to_pillow(image):
    assert scale_by_torch(image, BOXES["left"], 40) == scale_by_pillow(image, BOXES["left"], 40)


def test_threads_inside_have_one_thread_of_torch_each_and_all_are_back_afterwards():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with single_thread(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)
