"""Groups: individuals of different growth stand close and none in another, and their numbers say where."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fungal_assets.forms.groups import Placement, as_json, compose, move, move_back, place_group, stand
from fungal_assets.forms.volume import EMPTY, Camera, Volume, render
from fungal_assets_tests.forms.shapes import FOOT, axes, sphere, toadstool

ALONE = Placement(x=0, z=0, turn_deg=0, scale=1, spread=1, lean=0, lean_deg=0, age=1)
BENT = Placement(x=0.4, z=-0.3, turn_deg=70, scale=0.6, spread=0.8, lean=0.3, lean_deg=200, age=0.4)


@pytest.fixture(scope="module")
def body():
    return stand(toadstool(32))


@pytest.fixture(scope="module")
def group(body):
    return place_group(body, individuals=7, seed=3)


def test_a_form_stands_on_the_ground_one_unit_high_about_its_foot():
    z, y, x = axes(32)
    is_post = ((x - 0.4).abs() < 0.2) & (z.abs() < 0.2) & (y > -0.5) & (y < 0.3)
    aside = Volume(torch.where(is_post, 9.0, EMPTY), torch.zeros(3, 32, 32, 32))
    body = stand(aside)
    low, high = body.volume.bounds
    assert body.height == pytest.approx(0.8, abs=0.07)
    assert -0.15 < low[1] < 0 and 1 < high[1] < 1.15
    assert low[0] == pytest.approx(-high[0], abs=0.05)
    assert 0.25 < body.profile.max() < 0.2 * 2**0.5 / 0.75


def test_moving_back_undoes_moving():
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - torch.tensor([0.5, 0.0, 0.5])
    assert torch.allclose(move_back(move(points, BENT), BENT), points, atol=1e-5)


def test_a_placement_does_what_its_numbers_say():
    """By hand: the foot stands at its place; a point at the top, to the front, is widened, turned by 90 to the right
    (+x), leant by 0.2 towards -x and made half as large."""
    placement = Placement(x=1, z=2, turn_deg=90, scale=0.5, spread=1.5, lean=0.2, lean_deg=270, age=1)
    foot, top = move(torch.tensor([[0.0, 0, 0], [0, 1, 0.4]]), placement)
    assert foot.tolist() == pytest.approx([1, 0, 2], abs=1e-6)
    assert top.tolist() == pytest.approx([1 + 0.5 * (0.6 - 0.2), 0.5, 2], abs=1e-6)


def test_a_stem_leaves_its_foot_aslant_and_ends_upright():
    leaning = Placement(x=0, z=0, turn_deg=0, scale=1, spread=1, lean=0.3, lean_deg=90, age=1)
    height = torch.linspace(0, 1, 11)
    x = move(torch.stack([0 * height, height, 0 * height], -1), leaning)[:, 0]
    assert float(x[1]) > 0.05 and float(x[-1] - x[-2]) < 0.01 and float(x[-1]) == pytest.approx(0.3)


def test_one_alone_is_the_form_itself(body):
    composed = compose(body, [ALONE], finer=2)
    lift = (0.0, FOOT, 0.0)
    bounds = tuple(tuple(corner[i] + lift[i] for i in range(3)) for corner in composed.bounds)
    seen = render(Volume(composed.density, composed.colour, bounds), Camera(20, 10), 48)
    expected = render(toadstool(32), Camera(20, 10), 48)
    assert float((seen.rgb - expected.rgb).abs().mean()) < 0.01


def test_a_small_individual_is_as_opaque_as_a_large_one():
    z, y, x = axes(33)
    glassy = Volume(torch.where((x**2 + y**2 + z**2).sqrt() < 0.6, -2.0, EMPTY), torch.zeros(3, 33, 33, 33))
    body, alphas = stand(glassy), []
    for scale in (1.0, 0.4):
        composed = compose(body, [replace(ALONE, scale=scale)], finer=3)
        low, high = composed.bounds
        middle = [(low[i] + high[i]) / 2 for i in range(3)]
        bounds = tuple(tuple(corner[i] - middle[i] for i in range(3)) for corner in (low, high))
        seen = render(Volume(composed.density, composed.colour, bounds), Camera(0, 0), 33)
        alphas.append(float(seen.alpha[16, 16]))
    assert 0.3 < alphas[0] < 0.95
    assert alphas[1] == pytest.approx(alphas[0], abs=0.06)


def test_the_same_seed_places_the_same_and_another_otherwise(body, group):
    assert place_group(body, individuals=7, seed=3) == group
    assert place_group(body, individuals=7, seed=4) != group


def test_a_group_is_varied_in_size_growth_and_turn(group):
    assert len(group) == 7
    assert [each.age for each in group] == sorted((each.age for each in group), reverse=True)
    scales = [each.scale for each in group]
    assert max(scales) > 2 * min(scales) and len({round(each.turn_deg) for each in group}) > 4
    assert max(each.lean for each in group) > 0.05
    assert group[0].spread > group[-1].spread


@pytest.mark.parametrize("volume", [toadstool(24), sphere(0.6, 24)], ids=["stalked", "ball"])
@pytest.mark.parametrize("seed", range(3))
def test_individuals_stand_close_and_none_in_another(volume, seed):
    """Together they hold nearly as much matter as by themselves, and each is within reach of its neighbour."""
    body = stand(volume)
    group = place_group(body, individuals=5, seed=seed)
    matter = [(compose(body, [each]).cell_alpha() > 0.5).sum().item() for each in group]
    together = (compose(body, group).cell_alpha() > 0.5).numpy()
    assert together.sum() > 0.93 * sum(matter)
    feet = np.array([[each.x, each.z] for each in group])
    widest = 2 * body.profile.max()
    assert all(np.sort(np.hypot(*(feet - foot).T))[1] < 1.6 * widest for foot in feet)


def test_all_stand_on_the_ground(body, group):
    composed = compose(body, group)
    filled = (composed.cell_alpha() > 0.3).any(2).any(0).nonzero()[:, 0]
    lowest = composed.bounds[0][1] + float(filled[0]) * composed.steps[1]
    assert lowest == pytest.approx(0, abs=2 * composed.steps[1])


def test_placements_come_back_from_json(group):
    kept = [Placement(**row) for row in json.loads(json.dumps(as_json(group)))]
    assert kept[2].x == pytest.approx(group[2].x, abs=1e-4)
    assert all(0 <= each.turn_deg <= 360 for each in kept)


def test_one_individual_is_no_group_and_no_error(body):
    assert [(each.x, each.z) for each in place_group(body, individuals=1, seed=0)] == [(0, 0)]


def test_a_form_that_is_empty_is_composed_to_nothing():
    nothing = stand(Volume(torch.full((8, 8, 8), EMPTY), torch.zeros(3, 8, 8, 8)))
    composed = compose(nothing, place_group(nothing, individuals=2, seed=0))
    assert float(composed.cell_alpha().max()) < 1e-6
