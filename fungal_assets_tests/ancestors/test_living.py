"""Viability falls where a form could not live, and novelty is distance to the nearest others."""

import numpy as np
import pytest
import torch

from fungal_assets.ancestors.describing import describe_form
from fungal_assets.ancestors.living import Kin, measure_viability, overlap
from fungal_assets.ancestors.novelty import choose_apart, describe, novelty, variety

N = 24
LINE = torch.linspace(-1, 1, N)
Z, Y, X = torch.meshgrid(LINE, LINE, LINE, indexing="ij")


def column(radius=0.3, low=-0.7, high=0.7, x=0.0):
    return ((X - x) ** 2 + Z**2 < radius**2) & (low <= Y) & (high >= Y)


STRAIGHT = column()
GALLOWS = column(0.12, x=-0.5) | ((X > -0.6) & (X < 0.8) & (Z.abs() < 0.25) & (Y > 0.2) & (Y < 0.7))
FORMS = {
    "itself": (STRAIGHT, None),
    "in two pieces": (STRAIGHT & (Y.abs() > 0.2), "wholeness"),
    "leaning over": (GALLOWS, "standing"),
    "four times as much": (column(radius=0.75), "volume"),
    "hardly there": (column(radius=0.12, high=-0.3), "volume"),
    "through the floor": (column(low=-1.0), "air"),
    "a spray": (STRAIGHT & ((torch.arange(N)[:, None, None] + torch.arange(N)[:, None] + torch.arange(N)) % 2 == 0),
                "texture"),
    "elsewhere": (torch.roll(STRAIGHT, 7, dims=2), "kinship"),
    "nothing": (torch.zeros_like(STRAIGHT), "standing"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_viable_where_it_could_live(name):
    matter, fault = FORMS[name]
    found, overlaps, _ = measure_viability(matter[None], Kin.of(STRAIGHT[None]))
    if fault is None:
        assert found[0].product == 1 and overlaps[0, 0] == 1
    else:
        assert getattr(found[0], fault) < 0.6 and found[0].product < 0.6


def test_only_the_largest_piece_counts_as_the_form():
    crumb = STRAIGHT.clone()
    crumb[2, 2, 2] = True
    found, _, pieces = measure_viability(crumb[None], Kin.of(STRAIGHT[None]))
    assert torch.equal(pieces[0], STRAIGHT) and found[0].wholeness == 1


def test_overlap_is_intersection_over_union():
    left, right = X < 0, X < 0.5
    found = overlap(torch.stack([left, right]), torch.stack([left]))
    assert found[0, 0] == 1 and found[1, 0] == pytest.approx(float(left.sum() / right.sum()))


def test_what_is_unlike_all_others_is_newest():
    described = np.zeros((10, 4), np.float32)
    described[:, 0] = np.arange(10) * 0.01
    described[7, 1] = 3
    assert novelty(described, np.zeros((0, 0), np.float32)).argmax() == 7
    memory = np.tile(described[7], (9, 1))
    assert novelty(described, memory)[7] == 0


def test_novelty_is_the_mean_distance_to_others_and_not_to_oneself():
    described = np.array([[0.0], [1.0], [3.0]], np.float32)
    assert novelty(described, np.zeros((0, 0), np.float32)).tolist() == [2, 1.5, 2.5]
    assert novelty(described, np.array([[0.0]], np.float32)).tolist() == pytest.approx([4 / 3, 4 / 3, 8 / 3])


def test_description_tells_place_and_colour_apart():
    grey = torch.zeros(1, 3, N, N, N)
    red = grey.clone()
    red[:, 0] = 3
    plain, moved, painted = (
        describe(matter[None], colour)[0]
        for matter, colour in ((STRAIGHT, grey), (torch.roll(STRAIGHT, 5, dims=2), grey), (STRAIGHT, red))
    )
    assert np.abs(plain - moved).sum() > 1 and np.abs(plain - painted).sum() > 0.1
    assert (plain[:216] == painted[:216]).all()


def test_a_form_of_one_colour_has_no_variety():
    plain = torch.zeros(1, 3, N, N, N)
    banded = plain + torch.where(Y > 0, 2.0, -2.0)
    found = [float(variety(describe(STRAIGHT[None], colour))[0]) for colour in (plain, banded)]
    assert found[0] < 0.01 and found[1] == 1


def test_the_chosen_are_far_from_each_other_and_alive():
    described = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    assert choose_apart(described, np.array([1, 0.5, 0.5, 0.5, 0.0]), 2) == [0, 3]
    assert 4 not in choose_apart(described, np.array([1, 1, 1, 1, 0.0]), 5)
    assert choose_apart(described, np.zeros(5), 2) == []


def test_a_form_is_told_in_words():
    red = torch.logit(torch.tensor([0.8, 0.1, 0.08]))[:, None, None, None].expand(3, N, N, N)
    assert describe_form(STRAIGHT.numpy(), red) == "red, tall, balanced"
    assert describe_form(GALLOWS.numpy(), red).startswith("red, even, top-heavy")
    assert describe_form(torch.zeros_like(STRAIGHT).numpy(), red) == "nothing"
