"""Changes of what the discriminator sees: closed forms, gradients, and one change for real and drawn."""

import pytest
import torch

from fungal_assets.ancestors.dcgan_augment import Change, draw_change
from fungal_assets.ancestors.dcgan_images import generator_of
from fungal_assets.ancestors.dcgan_presets import AUGMENTATIONS

ALL = ",".join(AUGMENTATIONS)
SIDE = 16


def images(count=3, side=SIDE):
    return torch.rand(count, 3, side, side, generator=generator_of(0, "images", 0), dtype=torch.float64) - 0.5


def change(kinds=ALL, count=3, step=0):
    return draw_change(kinds, count, SIDE, generator_of(0, "change", step))


def test_gradients_are_those_of_differences():
    drawn = draw_change(ALL, 2, 8, generator_of(0, "change", 0))
    batch = images(2, 8).requires_grad_()
    assert torch.autograd.gradcheck(drawn.apply, batch, eps=1e-6, atol=1e-6)


def test_no_kind_changes_nothing():
    assert torch.equal(change("").apply(images()), images())


def test_a_shift_moves_the_picture_and_lets_grey_in():
    moved = Change(None, torch.tensor([[2], [-1]]), None).apply(images(1))
    assert torch.equal(moved[:, :, 2:, :-1], images(1)[:, :, :-2, 1:])
    assert not moved[:, :, :2].any() and not moved[:, :, :, -1].any()


def test_a_cut_leaves_out_one_square_of_half_the_side():
    cut = Change(None, None, torch.tensor([[3], [5]])).apply(images(1))
    assert not cut[:, :, 3:11, 5:13].any()
    assert (cut != 0).sum() == 3 * (SIDE**2 - 8**2)


def test_light_is_added_and_saturation_and_contrast_keep_the_mean():
    batch = images(1)
    lit = Change(torch.tensor([[0.25], [1.0], [1.0]], dtype=torch.float64), None, None).apply(batch)
    assert torch.allclose(lit, batch + 0.25)
    grey = Change(torch.tensor([[0.0], [0.0], [1.0]], dtype=torch.float64), None, None).apply(batch)
    assert torch.allclose(grey, batch.mean(dim=1, keepdim=True).expand_as(batch))
    flat = Change(torch.tensor([[0.0], [1.0], [0.5]], dtype=torch.float64), None, None).apply(batch)
    assert torch.allclose(flat.mean(), batch.mean()) and torch.allclose(flat.std(), batch.std() / 2)


def test_pictures_are_changed_each_in_its_own_way_and_within_the_papers_bounds():
    many = change(count=4000)
    assert many.shift.abs().max() == SIDE // 8 and len(many.shift.T.unique(dim=0)) == 25
    lows, highs = many.colour.amin(dim=1), many.colour.amax(dim=1)
    assert torch.allclose(lows, torch.tensor([-0.5, 0.0, 0.5]), atol=0.01)
    assert torch.allclose(highs, torch.tensor([0.5, 2.0, 1.5]), atol=0.01)


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_each_kind_can_stand_alone(kind):
    drawn = change(kind)
    assert sum(each is not None for each in (drawn.colour, drawn.shift, drawn.cut)) == 1
    assert not torch.equal(drawn.apply(images()), images())
