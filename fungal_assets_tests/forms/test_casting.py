"""Final renders: the picture of the plain renderer, whole and centred from all round, with no pop where axes change."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fungal_assets.forms.casting import Caster, Lens, places, settle
from fungal_assets.forms.shooting import turn
from fungal_assets.forms.volume import EMPTY, Camera, Volume, render
from fungal_assets_tests.forms.shapes import axes, sphere, toadstool


def _lens_of(camera):
    half = camera.radius * math.tan(math.radians(camera.fov_deg) / 2)
    return Lens(camera.azimuth_deg, camera.elevation_deg, camera.radius, half)


@pytest.mark.parametrize("azimuth_deg", [0, 44, 45.2, 130, 200, 315])
@pytest.mark.parametrize("elevation_deg", [-10, 12, 60])
def test_a_final_render_is_the_plain_one(azimuth_deg, elevation_deg):
    volume, camera = toadstool(32), Camera(azimuth_deg, elevation_deg)
    rgb, alpha = Caster(volume, finer=1).look(_lens_of(camera), 40, 40)
    expected = render(volume, camera, 40, blend_deg=5.0)
    assert float((rgb - expected.rgb).abs().max()) < 1 / 255
    assert float((alpha - expected.alpha).abs().max()) < 1 / 255


def test_a_haze_is_seen_as_by_the_plain_renderer():
    z, y, x = axes(24)
    fog = Volume(torch.where(x.abs() < 0.5, -3.0 + y, EMPTY), torch.stack([z, y, x]))
    rgb, alpha = Caster(fog, finer=1).look(_lens_of(Camera(20, 5)), 24, 24)
    expected = render(fog, Camera(20, 5), 24)
    assert 0.2 < float(alpha.max()) < 0.97
    assert float((rgb - expected.rgb).abs().max()) < 2 / 255


def test_nothing_is_black():
    rgb, alpha = Caster(Volume(torch.full((8, 8, 8), EMPTY), torch.zeros(3, 8, 8, 8))).look(Lens(0, 0), 8, 8)
    assert float(rgb.max()) == 0 and float(alpha.max()) == 0


@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.7])
def test_a_point_is_seen_in_the_pixel_that_its_ray_leaves(shift):
    lens = Lens(30, 12, half_height=0.8, aspect=0.75, shift=shift)
    origin, directions = lens.rays(30, 40)
    for row, column, far in ((3, 5, 3.2), (20, 14, 3.6), (39, 29, 4.0)):
        seen = lens.project((origin + far * directions[row, column])[None])[0]
        assert seen.tolist() == pytest.approx([(column + 0.5) / 15 - 1, 1 - (row + 0.5) / 20], abs=1e-4)


def test_a_shifted_camera_looks_the_same_way_and_leaves_the_window_in_place():
    """Parallel cameras: a point of the window stays in its pixel; toe-in would tilt the window's far corners."""
    still, moved = Lens(0, 0, half_height=1.0), Lens(0, 0, half_height=1.0, shift=1.2)
    window = torch.tensor([[0.9, 0.9, 0.0], [-0.9, 0.9, 0.0], [0.3, -0.7, 0.0]])
    assert torch.allclose(still.project(window), moved.project(window), atol=1e-5)
    near, far = torch.tensor([[0.0, 0.0, 0.5]]), torch.tensor([[0.0, 0.0, -0.5]])
    assert float(moved.project(near)[0, 0]) < 0 < float(moved.project(far)[0, 0])
    assert float(moved.project(near)[0, 1]) == 0


@pytest.mark.parametrize(
    "volume",
    [sphere(0.2, centre=(0.5, 0.4, -0.3)), toadstool(32), sphere(0.9, 24)],
    ids=["aside", "tall", "large"],
)
@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.8])
def test_a_form_fills_the_picture_from_all_round_and_stays_inside(volume, aspect):
    settled, front = settle(volume, aspect=aspect)
    height = 60
    width, lit = round(height * aspect), []
    for azimuth_deg in (0, 50, 200):
        _, alpha = Caster(settled, finer=1).look(replace(front, azimuth_deg=azimuth_deg), width, height)
        lit.append((alpha > 0.1).numpy())
    rows, columns = np.nonzero(np.any(lit, 0))
    assert max(np.ptp(rows) / height, np.ptp(columns) / width) > 0.7
    assert min(rows.min(), columns.min()) > 0 and rows.max() < height - 1 and columns.max() < width - 1
    assert abs(rows.min() + rows.max() + 1 - height) <= 4


@pytest.mark.parametrize("elevation_deg", [0, 12, 40])
def test_a_form_is_as_far_from_the_upper_edge_as_from_the_lower(elevation_deg):
    settled, front = settle(toadstool(24), elevation_deg=elevation_deg)
    ring = [replace(front, azimuth_deg=azimuth_deg) for azimuth_deg in range(0, 360, 30)]
    heights = torch.cat([lens.project(places(settled))[:, 1] for lens in ring])
    assert abs(float(heights.max() + heights.min())) < 0.03


def test_an_empty_form_is_settled_too():
    settled, front = settle(Volume(torch.full((8, 8, 8), EMPTY), torch.zeros(3, 8, 8, 8)))
    assert places(settled).shape == (1, 3) and front.distance >= 0


def _circle(volume, frames, size_px):
    """A turn with its last frame before the first and its first after the last."""
    turned = [frame.astype(int) for frame in turn(volume, frames, size_px, size_px)]
    return [turned[-1], *turned, turned[0]]


def test_the_last_frame_leads_into_the_first_as_any_frame_into_the_next():
    z, y, x = axes(24)
    density = torch.where((x > -0.2) & (z.abs() < 0.25) & (y.abs() < 0.25), 20.0, EMPTY)
    around = _circle(Volume(density, torch.stack([4 * x, y, -4 * x])), 60, 32)
    steps = [np.abs(b - a).mean() for a, b in zip(around, around[1:], strict=False)]
    assert steps[-1] == steps[0] <= 1.2 * max(steps[1], steps[-2])
    assert min(steps) > 0


def test_nothing_pops_where_the_swept_axis_changes():
    """A body that is the same all round shows nothing but the renderer's own changes; without blending 1.8 times."""
    around = _circle(toadstool(24), 120, 48)
    jerks = [np.abs(a - 2 * b + c).mean() for a, b, c in zip(around, around[1:], around[2:], strict=False)]
    assert max(jerks) <= 1.5 * np.median(jerks)
