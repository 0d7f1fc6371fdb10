import numpy as np
import pytest
import torch

from fungal_assets.forms.known import HALF_SIDE, known_volume
from fungal_assets.forms.solid import largest_piece
from fungal_assets.pocket.fungarium import sample_portrait
from fungal_assets.pocket.fungarium.palette import paint, to_srgb


@pytest.mark.parametrize("morphotype", ["bolete", "fly_agaric", "bracket", "coral"])
def test_a_known_form_is_one_body_in_the_middle_as_large_as_it_should_be(morphotype):
    """Thin edges and tips are less than a cell, so they are not opaque, but they are there."""
    is_body = (known_volume(sample_portrait(3, morphotype=morphotype), 48).cell_alpha() > 0.02).numpy()
    assert largest_piece(is_body).sum() > 0.9 * is_body.sum()
    spans = [np.flatnonzero(is_body.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    longest = max(span[-1] - span[0] for span in spans) * 2 / 47
    assert longest == pytest.approx(2 * HALF_SIDE, abs=0.2)
    middles = [(span[0] + span[-1]) / 2 for span in spans]
    assert max(abs(middle - 23.5) for middle in middles) <= 3


def test_its_cap_has_the_colour_of_its_traits_and_is_on_top():
    traits = sample_portrait(3, morphotype="bolete")
    volume = known_volume(traits, 48)
    is_body = volume.cell_alpha() > 0.5
    top = is_body.any(2).any(0).nonzero()[-1, 0]
    shown = volume.rgb()[:, is_body & (torch.arange(48) >= top - 3)[None, :, None]].mean(1)
    expected = to_srgb(paint(traits.cap_color) * traits.shade)
    assert float((shown - expected).abs().max()) < 0.15
