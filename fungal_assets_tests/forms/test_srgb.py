import numpy as np
import pytest
import torch

from fungal_assets.forms.srgb import to_linear, to_srgb
from fungal_assets.pocket.fungarium import palette


def test_half_a_screens_light_is_188_of_255():
    assert np.round(255 * to_srgb(np.array([0.0, 0.5, 1.0]))).tolist() == [0, 188, 255]


def test_there_and_back_is_the_same_and_what_is_beyond_is_cut_off():
    values = np.linspace(0, 1, 257)
    assert np.abs(to_linear(to_srgb(values)) - values).max() < 1e-6
    for convert in (to_srgb, to_linear):
        assert convert(np.array([-0.1, 1.1])) == pytest.approx([0, 1])


@pytest.mark.parametrize("name", ["to_linear", "to_srgb"])
def test_it_is_that_of_the_fungarium(name):
    values = np.linspace(0, 1, 257, dtype=np.float32)
    own = {"to_linear": to_linear, "to_srgb": to_srgb}[name](values)
    assert np.abs(own - getattr(palette, name)(torch.from_numpy(values)).numpy()).max() < 1e-5
