"""Lifting: what the network is shown, how its answer lies in the box, and what the one that ships knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fungal_assets.forms.lifting import (
    GRID,
    LOOK_PX,
    REACH,
    Lifted,
    Lifter,
    _joined,
    as_volume,
    best_lifted,
    load_lifter,
    look,
    save_lifter,
    window_about,
)
from fungal_assets.forms.revolving import PX_PER_UNIT, find_silhouette
from fungal_assets.forms.solid import whole_share
from fungal_assets.forms.volume import Camera, render
from fungal_assets.pocket import LIFTER_PATH
from fungal_assets_tests.forms.shapes import mushroom

RED, BLUE = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])


def _lifted_block(half_px=40.0):
    """A block low on the right and near the camera: red in front, blue behind."""
    occupied = torch.full((GRID, GRID, GRID), -6.0)
    occupied[16:28, 4:12, 18:30] = 6.0
    colours = torch.empty(3, GRID, GRID, GRID)
    colours[:, :22], colours[:, 22:] = (torch.logit(tint)[:, None, None, None] for tint in (BLUE, RED))
    return Lifted(occupied, colours, half_px, 1.0)


def test_a_window_is_a_square_about_the_subject():
    mask = np.zeros((128, 128), dtype=bool)
    mask[20:80, 50:70] = True
    window = window_about(mask)
    assert window.middle == (60.0, 50.0) and window.half_px == pytest.approx(30 * REACH)


def test_the_network_sees_the_subject_in_the_middle_at_one_size_and_nothing_of_its_ground():
    picture, mask = torch.rand(1, 3, 128, 128), torch.zeros(1, 1, 128, 128)
    picture[:, :, 20:80, 50:70] = torch.tensor([1.0, 0.5, 0.0])[None, :, None, None]
    mask[:, :, 20:80, 50:70] = 1
    window = window_about(mask[0, 0].numpy() > 0)
    seen = look(picture, mask, torch.tensor([[*window.middle, window.half_px]]))[0]
    tall = round(LOOK_PX / REACH)
    assert (
        seen.shape == (4, LOOK_PX, LOOK_PX) and abs(int((seen[3, :, LOOK_PX // 2] > 0.5).sum()) - tall) <= 1
    )
    assert torch.allclose(seen[:3, LOOK_PX // 2, LOOK_PX // 2], torch.tensor([1.0, 0.0, -1.0]), atol=1e-5)
    assert not seen[:, seen[3] == 0].any()


def test_a_lifted_body_stands_in_the_middle_as_large_as_in_its_picture_and_faces_the_camera():
    volume = as_volume(_lifted_block(), 64)
    body = (volume.density > 0).nonzero() / 63 * 2 - 1
    low, high = body.amin(0), body.amax(0)
    assert torch.allclose(low + high, torch.zeros(3), atol=0.06)
    cell = 2 * 40.0 / PX_PER_UNIT / (GRID - 1)
    assert torch.allclose(high - low, cell * torch.tensor([11.0, 7.0, 11.0]), atol=0.09)
    front, back = (render(volume, Camera(azimuth, 0), 48).rgb[:, 24, 24] for azimuth in (0, 180))
    assert torch.allclose(front, RED, atol=0.05) and torch.allclose(back, BLUE, atol=0.05)


def _redness(azimuth_deg, elevation_deg, picture):
    """Red of what a camera sees of a grey block, left and right of its middle, where a picture is laid on it."""
    block = _lifted_block()
    grey = replace(block, colours=torch.zeros_like(block.colours), picture=picture)
    return render(as_volume(grey, 64), Camera(azimuth_deg, elevation_deg, fov_deg=29), 48).rgb[
        0, 24, [20, 27]
    ]


@pytest.mark.parametrize(("azimuth_deg", "is_red_left"), [(0, True), (180, False), (90, False), (270, True)])
def test_a_picture_is_laid_on_front_and_back_and_turned_by_a_right_angle_on_the_sides(
    azimuth_deg, is_red_left
):
    picture = torch.empty(3, LOOK_PX, LOOK_PX)
    middle = LOOK_PX * 24 // GRID
    picture[:, :, :middle], picture[:, :, middle:] = RED[:, None, None], BLUE[:, None, None]
    left, right = _redness(azimuth_deg, 0, picture)
    red, blue = (left, right) if is_red_left else (right, left)
    assert red > 0.7 and blue < 0.3


def test_what_faces_up_keeps_the_colours_of_the_network():
    white = torch.full((3, LOOK_PX, LOOK_PX), 0.97)
    assert (_redness(0, 85, white) < 0.7).all() and (_redness(0, 0, white) > 0.75).all()


def test_what_is_deeper_than_the_box_is_made_to_fit():
    lifted = _lifted_block(half_px=60.0)
    lifted.occupied[:, 8:12, 8:12] = 6.0
    alpha = as_volume(lifted, 48).cell_alpha()
    assert max(alpha[side].max() for side in (0, -1)) < 0.01 < alpha[2:-2].max()


def test_a_lifter_comes_back_from_its_file_within_half_a_step_of_each_row(tmp_path):
    lifter = Lifter()
    save_lifter(tmp_path / "lifter.safetensors", lifter)
    kept = load_lifter(tmp_path / "lifter.safetensors")
    for one, two in zip(lifter.parameters(), kept.parameters(), strict=True):
        steps = one.abs().flatten(1).amax(1) / 127 if one.dim() > 1 else torch.zeros(len(one))
        apart = (one - two).abs().reshape(len(one), -1).amax(1)
        assert (apart <= 0.51 * steps + 1e-3 * one.abs().max()).all() and not two.requires_grad
    assert (tmp_path / "lifter.safetensors").stat().st_size < 1.1 * sum(
        one.numel() for one in kept.parameters()
    )


def test_the_shipped_lifter_makes_a_cap_on_a_stem_of_a_cap_on_a_stem_from_all_sides():
    lifted = load_lifter(LIFTER_PATH).lift(find_silhouette(mushroom()))
    assert lifted.agreement > 0.8
    volume = as_volume(lifted, 48)
    for azimuth in (0, 90, 180, 270):
        view = render(volume, Camera(azimuth, 0, fov_deg=29), 128)
        rows = (view.alpha.numpy() > 0.5).sum(1)
        filled = np.flatnonzero(rows)
        top, bottom = filled[0], filled[-1]
        cap = rows[top : top + (bottom - top) // 3].max()
        assert cap > 2 * np.median(rows[bottom - (bottom - top) // 3 : bottom]) > 0, azimuth


class Answers(Lifter):
    """A lifter whose network says always the same."""

    def __init__(self, occupied):
        super().__init__()
        self.occupied = occupied

    def forward(self, seen):
        return self.occupied[None], torch.zeros(1, 3, GRID, GRID, GRID)


def _cap_and_stem(*, gap):
    """Logits of a cap and, so far below it, a stem: where `mushroom` has them."""
    occupied = torch.full((GRID, GRID, GRID), -9.0)
    occupied[8:24, 19:29, 6:26] = 6.0
    occupied[14:18, 3 : 19 - gap, 14:18] = 6.0
    return occupied


@pytest.mark.parametrize("gap", [1, 4, 8])
def test_a_stem_that_the_network_left_apart_is_tied_to_its_cap_by_no_more_than_a_stem(gap):
    shape = find_silhouette(mushroom())
    whole, tied = (Answers(_cap_and_stem(gap=each)).lift(shape) for each in (0, gap))
    body = tied.occupied > 0
    assert body[:, 4].any() and tied.agreement == pytest.approx(whole.agreement, abs=0.05)
    assert (body & ~(whole.occupied > 0)).sum() <= 0.01 * body.sum()
    assert whole_share(as_volume(tied, 48)) == 1.0


def test_what_the_outline_does_not_tie_stays_apart():
    occupied, shown = _cap_and_stem(gap=4), torch.ones(GRID, GRID, dtype=torch.bool)
    shown[16] = False
    assert torch.equal(_joined(occupied, shown), occupied)
    assert not torch.equal(_joined(occupied, torch.ones_like(shown)), occupied)


def _says(*merits):
    """What finds so much in the volumes that it is shown one after the other."""
    told = iter(merits)
    return lambda volume: next(told)


def test_the_subject_that_is_lifted_best_and_most_alike_is_chosen_and_without_one_none_is():
    lifter, plain = load_lifter(LIFTER_PATH), np.full((128, 128, 3), 9, dtype=np.uint8)
    torn = mushroom()
    torn[62:72] = 4
    shape, *_ = best_lifted(lifter, [plain, torn, mushroom()], _says(1.0, 1.0), grid_size=32)
    assert (shape.picture == mushroom()).all()
    shape, *_ = best_lifted(lifter, [plain, torn, mushroom()], _says(1.0, 0.1), grid_size=32)
    assert (shape.picture == torn).all()
    assert best_lifted(lifter, [plain], _says(), grid_size=32) is None


class CutsOne:
    """A lifter of blocks, in two pieces of one size where the subject is a certain picture."""

    def __init__(self, cut):
        self.cut = cut

    def lift(self, shape):
        block = _lifted_block()
        if (shape.picture == self.cut).all():
            block.occupied[16:28, 22:30, 18:30] = 6.0
        return block


@pytest.mark.parametrize(("likeness", "is_cut"), [((1.0, 0.8), False), ((1.0, 0.4), True)], ids=str)
def test_what_hangs_together_is_chosen_unless_it_is_much_less_alike(likeness, is_cut):
    first, second = mushroom(), np.ascontiguousarray(mushroom()[:, ::-1])
    shape, lifted, volume = best_lifted(CutsOne(first), [first, second], _says(*likeness), grid_size=48)
    assert (shape.picture == (first if is_cut else second)).all()
    assert whole_share(volume) == pytest.approx(0.5 if is_cut else 1.0, abs=0.02)
    assert torch.equal(volume.density, as_volume(lifted, 48).density)
