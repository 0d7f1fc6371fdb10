import pytest
import torch
import torch.nn.functional as F

from fungal_assets.forms.shading import lamp, lit, mapped, normals
from fungal_assets.forms.volume import Camera, Volume, render
from fungal_assets_tests.forms.shapes import axes, sphere

RIGHT = torch.tensor([1.0, 0.0, 0.0])


def test_normals_of_a_ball_point_away_from_its_middle():
    body = sphere(0.5, 40)
    z, y, x = axes(40)
    outward = F.normalize(torch.stack([x, y, z]), dim=0)
    at_edge = ((x**2 + y**2 + z**2).sqrt() - 0.5).abs() < 0.04
    cosine = (normals(body) * outward).sum(0)[at_edge]
    assert float(cosine.mean()) > 0.98 and float(cosine.min()) > 0.85


def test_normals_are_unit_on_grids_that_are_not_cubes():
    body = sphere(0.4, 32)
    flat = Volume(body.density[:, 8:-8], body.colour[:, :, 8:-8], ((-1, -15 / 31, -1), (1, 15 / 31, 1)))
    z, y, x = axes(32)
    at_edge = ((x**2 + y**2 + z**2).sqrt() - 0.4).abs()[:, 8:-8] < 0.05
    assert float((normals(flat).norm(dim=0)[at_edge] - 1).abs().max()) < 1e-4
    outward = F.normalize(torch.stack([x, y, z]), dim=0)[:, :, 8:-8]
    assert float((normals(flat) * outward).sum(0)[at_edge].mean()) > 0.95


@pytest.mark.parametrize("is_textureless", [False, True])
def test_a_ball_is_bright_towards_the_lamp_and_has_only_the_ambient_light_behind(is_textureless):
    body = sphere(0.5, 40)
    red = body.colour.clone()
    red[0], red[1:] = 4.0, -4.0
    shown = lit(Volume(body.density, red), RIGHT, ambient=0.2, is_textureless=is_textureless)
    view = render(shown, Camera(0, 0), 48)
    bright, dark = view.rgb[:, 24, 31], view.rgb[:, 24, 14]
    assert float(bright[0]) > 0.6 and float(dark[0]) == pytest.approx(0.2, abs=0.06)
    assert (float(bright.std()) < 0.02) == is_textureless


def test_light_reaches_the_shape_with_a_gradient():
    density = sphere(0.5, 24).density.clamp(-3, 3).requires_grad_()
    shown = lit(Volume(density, torch.zeros(3, 24, 24, 24)), RIGHT, ambient=0.1, is_textureless=True)
    shown.colour.sum().backward()
    assert float(density.grad.abs().sum()) > 0


def test_a_lamp_is_on_the_cameras_side():
    camera, generator = Camera(70, 20), torch.Generator().manual_seed(0)
    lamps = torch.stack([lamp(camera, generator) for _ in range(200)])
    behind = lamp(camera, torch.Generator().manual_seed(0))
    assert torch.equal(behind, lamps[0])
    assert torch.allclose(lamps.norm(dim=1), torch.ones(200), atol=1e-5)
    mean = F.normalize(lamps.mean(0), dim=0)
    assert float(mean[0]) > 0.7 and 0.1 < float(mean[1]) < 0.6


def test_a_map_of_normals_is_grey_where_a_face_looks_down_no_axis_and_red_to_the_right():
    view = render(mapped(sphere(0.5, 40)), Camera(0, 0), 48)
    right, middle = (view.rgb[:, 24, column] / view.alpha[24, column] for column in (32, 24))
    assert float(right[0]) > 0.8 and abs(float(middle[0]) - 0.5) < 0.1
    assert float(middle[2]) > 0.85
