import numpy as np
import pytest
import torch

from fungal_assets.forms.checks import LEAST_LIKENESS
from fungal_assets.forms.known import known_volume
from fungal_assets.forms.silhouettes import (
    SIDE_PX,
    draw_known,
    known_outlines,
    likeness,
    outlines,
    proportions,
    proportions_kept,
    settle,
)
from fungal_assets.forms.volume import EMPTY, Volume
from fungal_assets.pocket.fungarium import sample_portrait


@pytest.fixture(scope="module")
def known():
    return known_outlines()


def test_a_mask_is_brought_to_its_box_and_stands_in_the_middle_of_the_lowest_row():
    mask = np.zeros((50, 80), dtype=bool)
    mask[5:45, 60:70] = True
    settled = settle(mask)
    assert settled.shape == (SIDE_PX, SIDE_PX)
    assert settled[:, 12:20].all() and settled.sum() == SIDE_PX * 8
    assert settle(mask.T)[-8:].all() and settle(mask.T).sum() == SIDE_PX * 8
    assert not settle(np.zeros((9, 9), dtype=bool)).any()


def test_a_form_as_tall_as_its_picture_keeps_all_proportions_and_a_flatter_one_a_part():
    mask = np.zeros((50, 80), dtype=bool)
    mask[5:45, 60:70] = True
    assert proportions(mask) == 4.0 and proportions(mask.T) == 0.25
    density = torch.full((20, 20, 20), EMPTY)
    density[5:15, 2:18, 6:14] = 9.0
    form = Volume(density, torch.zeros(3, 20, 20, 20))
    assert [proportions_kept(form, picture) for picture in (2.0, 4.0, 1.0)] == [1.0, 0.5, 0.5]
    glassy = Volume(torch.where(density > 0, -1.0, EMPTY), form.colour)
    assert float(glassy.cell_alpha().max()) < 0.5 and proportions_kept(glassy, 2.0) == 1.0


def test_likeness_is_the_best_overlap_with_any_known_one_or_its_mirror_image():
    shape, half = np.zeros((1, 32, 32), dtype=bool), np.zeros((2, 32, 32), dtype=bool)
    shape[0, :, :16] = True
    half[0, :8, :8] = True
    half[1, :, 24:] = True
    assert likeness(shape, half).tolist() == [0.5]


def test_the_outlines_that_ship_are_those_of_the_fungarium(known):
    shapes, number = known
    for form in (1, 6):
        fresh = draw_known([form])
        assert np.mean(fresh == shapes[number == form]) > 0.999


def test_a_known_form_is_like_others_from_every_side(known):
    shapes, number = known
    for form in range(0, 192, 7):
        assert likeness(shapes[number == form], shapes[number != form]).min() >= LEAST_LIKENESS


@pytest.mark.parametrize("morphotype", ["bolete", "fly_agaric", "agaric"])
def test_two_fungi_side_by_side_are_like_no_fungus_from_the_front(known, morphotype):
    one = known_volume(sample_portrait(7, morphotype=morphotype), 48)
    both = torch.maximum(one.density.roll(10, 2), one.density.roll(-10, 2))
    assert likeness(outlines(one, 4), known[0]).min() >= LEAST_LIKENESS
    assert likeness(outlines(Volume(both, one.colour), 4), known[0]).min() < LEAST_LIKENESS


def test_nothing_at_all_is_like_no_fungus(known):
    nothing = Volume(torch.full((16, 16, 16), -30.0), torch.zeros(3, 16, 16, 16))
    assert likeness(outlines(nothing, 2), known[0]).tolist() == [0, 0]
