import numpy as np
import pytest
import torch

from fungal_assets.errors import InputError
from fungal_assets.forms.priors import alpha_entropy, blob, majority, total_variation, touching_the_box
from fungal_assets.forms.silhouettes import proportions
from fungal_assets.forms.solid import bridge, count_pieces, matter_level, solidity, tidy, whole_share
from fungal_assets.forms.views import orbit
from fungal_assets.forms.volume import EMPTY, Volume
from fungal_assets_tests.forms.shapes import axes, sphere, volume_of


def test_tidying_removes_haze_and_specks_and_keeps_the_body():
    z, y, x = axes(40)
    body = (x**2 + y**2 + z**2).sqrt() - 0.4
    speck = ((x - 0.8) ** 2 + (y - 0.8) ** 2 + z**2).sqrt() - 0.08
    volume = volume_of(torch.minimum(body, speck))
    hazy = Volume(volume.density.clamp(min=-6), volume.colour)
    clean = tidy(hazy)
    assert count_pieces(hazy.cell_alpha().numpy() > 0.5, least_share=0.0) == 2
    assert count_pieces(clean.cell_alpha().numpy() > 0.5, least_share=0.0) == 1
    assert torch.equal(clean.density[body < 0], hazy.density[body < 0].clamp(min=2.5))
    assert bool((clean.density[body > 0.2] == EMPTY).all())


def test_tidying_keeps_a_thin_stem_and_makes_it_opaque():
    z, y, x = axes(48)
    cap = (x**2 + (y - 0.4) ** 2 + z**2).sqrt() - 0.3
    stem = torch.maximum((x**2 + z**2).sqrt() - 0.08, (y + 0.1).abs() - 0.4)
    thin = Volume(torch.where(cap < 0, 3.0, torch.where(stem < 0, -0.4, -7.0)), torch.zeros(3, 48, 48, 48))
    foot = (stem < 0) & (y < 0)
    assert 0.1 < float(thin.cell_alpha()[foot].mean()) < 0.5
    assert float(tidy(thin).cell_alpha()[foot].min()) > 0.6


def _toadstool_without(lowest, highest):
    """A cap on a stem, of which a slice is missing between two heights."""
    z, y, x = axes(48)
    cap = (x**2 + (y - 0.4) ** 2 + z**2).sqrt() - 0.3
    stem = torch.maximum((x**2 + z**2).sqrt() - 0.12, (y + 0.2).abs() - 0.35)
    return volume_of(torch.where((y > lowest) & (y < highest), 1.0, torch.minimum(cap, stem)))


def test_a_body_whose_stem_lies_far_off_does_not_hang_together():
    _, y, _ = axes(48)
    cut = _toadstool_without(-0.2, 0.1)
    assert whole_share(_toadstool_without(9, 9)) == 1.0
    matter = cut.cell_alpha().numpy() > 0.5
    assert whole_share(cut) == pytest.approx((matter & (y > 0).numpy()).sum() / matter.sum(), abs=0.03)
    assert whole_share(cut) < 0.95
    assert whole_share(Volume(torch.full((8, 8, 8), EMPTY), torch.zeros(3, 8, 8, 8))) == 0.0


def test_a_stem_that_just_misses_its_cap_is_joined_to_it_and_stays():
    near, far = _toadstool_without(0.0, 0.1), _toadstool_without(-0.2, 0.1)
    assert count_pieces(near.cell_alpha().numpy() > 0.5) == 2
    joined, lost = tidy(near), tidy(far)
    assert count_pieces(joined.cell_alpha().numpy() > 0.5) == 1
    heights = [proportions((volume.cell_alpha() > 0.5).any(0).numpy()) for volume in (joined, lost)]
    assert heights[0] > 1.9 > 1.1 > heights[1]
    whole = tidy(_toadstool_without(9, 9)).cell_alpha() > 0.5
    assert ((joined.cell_alpha() > 0.5) & ~whole).sum() == 0


def test_only_larger_pieces_are_joined_and_a_single_one_is_left_alone():
    near = np.zeros((40, 40), dtype=bool)
    near[4:20, 4:20] = near[4:20, 22:36] = True
    added = bridge(near) & ~near
    assert added[5:19, 20:22].all() and not added[:4].any() and not added[20:].any() and added.sum() <= 32
    notched = near.copy()
    notched[10:12, 4:8] = False
    assert bridge(notched)[5:19, 20:22].all() and not bridge(notched)[10:12, 4:8].any()
    speck = near.copy()
    speck[4:20, 22:36], speck[10, 22] = False, True
    for alone in (speck, np.zeros((5, 5), dtype=bool), np.ones((5, 5), dtype=bool)):
        assert (bridge(alone) == alone).all()


def test_solidity_tells_a_body_from_a_ghost():
    body = sphere(0.5)
    ghost = Volume(torch.where(body.density > 0, -2.5, EMPTY), body.colour)
    solid, glassy = (solidity(volume, orbit(2)) for volume in (body, ghost))
    assert solid["alpha_entropy"] < 0.08 < 0.1 < glassy["alpha_entropy"]
    assert 0.1 < solid["alpha_coverage"] < 0.3


def test_matter_level_is_half_for_a_body_and_lower_for_a_ghost():
    body = sphere(0.5).cell_alpha().numpy()
    assert matter_level(body) == 0.5
    assert matter_level(body * 0.2) == pytest.approx(0.1, abs=0.01)
    with pytest.raises(InputError, match="the form is empty"):
        matter_level(np.zeros((4, 4, 4), np.float32))


def test_alpha_entropy_is_one_bit_at_one_half_and_nothing_at_the_ends():
    assert float(alpha_entropy(torch.full((4,), 0.5))) == pytest.approx(1)
    assert float(alpha_entropy(torch.tensor([0.0, 1.0]))) < 2e-3


def test_total_variation_of_a_ramp_is_its_slope_squared():
    ramp = torch.arange(8.0).expand(8, 8, 8) * 0.5
    assert float(total_variation(ramp)) == pytest.approx(0.25)


def test_majority_fills_a_hole_and_clears_a_speck():
    filled = torch.ones(7, 7, 7)
    filled[3, 3, 3] = 0.3
    filled.requires_grad_()
    majority(filled).backward()
    assert filled.grad[3, 3, 3] < 0
    clear = torch.zeros(7, 7, 7)
    clear[3, 3, 3] = 0.7
    clear.requires_grad_()
    majority(clear).backward()
    assert clear.grad[3, 3, 3] > 0


def test_touching_the_box_counts_only_the_outer_layers():
    cells = torch.zeros(10, 10, 10)
    cells[2:-2, 2:-2, 2:-2] = 1
    assert float(touching_the_box(cells)) == 0
    cells[1] = 1
    assert float(touching_the_box(cells)) > 0.1


def test_blob_is_the_same_for_its_seed_and_stays_clear_of_the_box():
    first, again = (blob(24, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.density, again.density) and torch.equal(first.colour, again.colour)
    assert float(touching_the_box(first.cell_alpha())) < 0.02
    assert 0.3 < float(first.cell_alpha().max()) < 1
