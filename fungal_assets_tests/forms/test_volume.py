import math

import pytest
import torch
import torch.nn.functional as F

from fungal_assets.forms.volume import (
    DENSITY_SCALE,
    EMPTY,
    Camera,
    Volume,
    crop,
    rays,
    render,
    upsample,
)


def _axes(size):
    line = torch.linspace(-1, 1, size)
    return torch.meshgrid(line, line, line, indexing="ij")  # z, y, x


def _smooth_volume(size=48):
    z, y, x = _axes(size)
    shape = 2 - 14 * ((x - 0.1) ** 2 + (y * 0.8) ** 2 + (z + 0.15) ** 2) - 3 * torch.cos(3 * x + y)
    colour = torch.stack([2 * x + y, torch.sin(3 * z), 1.5 * y - x])
    return Volume(shape, colour)


def _sphere(radius, size=64, hard=400.0):
    z, y, x = _axes(size)
    distance = (x**2 + y**2 + z**2).sqrt()
    return Volume(((radius - distance) * hard).clamp(EMPTY, 30), torch.zeros(3, size, size, size))


def _march(volume, camera, size_px, samples=400):
    origin, directions = rays(camera, size_px)
    step = 4.0 / samples
    distance = camera.radius - 2 + step * (torch.arange(samples) + 0.5)
    points = origin + distance[:, None, None, None] * directions
    fields = torch.cat([volume.density[None], volume.colour])[None]
    values = F.grid_sample(fields, points[None], align_corners=True)[0]
    inside = (points.abs() <= 1).all(-1)
    opacity = 1 - torch.exp(-F.softplus(values[0]) * DENSITY_SCALE * step * inside)
    passed = torch.cumprod(torch.cat([torch.ones_like(opacity[:1]), 1 - opacity]), 0)[:-1]
    weights = opacity * passed
    return (weights * torch.sigmoid(values[1:])).sum(1), weights.sum(0)


def _psnr(found, truth):
    return -10 * math.log10(float(((found - truth) ** 2).mean()))


@pytest.mark.parametrize("azimuth_deg", [0, 30, 95, 180, 260, 330])
@pytest.mark.parametrize("elevation_deg", [-20, 15, 70])
def test_sweep_agrees_with_a_brute_force_march(azimuth_deg, elevation_deg):
    camera, volume = Camera(azimuth_deg, elevation_deg), _smooth_volume()
    view, (rgb, alpha) = render(volume, camera, 32), _march(volume, camera, 32)
    assert _psnr(view.rgb, rgb) >= 40
    assert _psnr(view.alpha, alpha) >= 40


def test_sphere_has_the_silhouette_and_depth_of_a_sphere():
    radius, camera, size_px = 0.6, Camera(35, 20), 96
    view = render(_sphere(radius), camera, size_px)
    spread = math.tan(math.asin(radius / camera.radius)) / math.tan(math.radians(camera.fov_deg / 2))
    assert float(view.alpha.sum()) == pytest.approx(math.pi * (spread * size_px / 2) ** 2, rel=0.03)
    assert float(view.depth[48, 48]) == pytest.approx(camera.radius - radius, abs=0.04)
    assert float(view.alpha[48, 48]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("axis", "sign", "camera", "side"),
    [
        (0, 1, Camera(0, 0), "right"),
        (0, 1, Camera(180, 0), "left"),
        (2, 1, Camera(90, 0), "left"),
        (2, 1, Camera(270, 0), "right"),
        (1, 1, Camera(0, 0), "top"),
        (1, -1, Camera(120, 0), "bottom"),
        (2, 1, Camera(0, 60), "bottom"),
        (2, 1, Camera(0, -60), "top"),
    ],
)
def test_matter_off_the_axis_appears_on_its_side_of_the_picture(axis, sign, camera, side):
    place = _axes(32)[2 - axis] * sign
    density = torch.where(place > 0.4, 20.0, EMPTY)
    alpha = render(Volume(density, torch.zeros(3, 32, 32, 32)), camera, 24).alpha
    halves = {"left": alpha[:, :12], "right": alpha[:, 12:], "top": alpha[:12], "bottom": alpha[12:]}
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    assert float(halves[side].sum()) > 1.2 * float(halves[opposite[side]].sum())


def test_nearer_matter_hides_what_is_behind():
    z = _axes(32)[0]
    colour = torch.zeros(3, 32, 32, 32)
    colour[0], colour[2] = z.sign() * 20, -z.sign() * 20
    block = Volume(torch.full((32, 32, 32), 20.0), colour)
    front, back = (render(block, Camera(azimuth, 0), 9).rgb[:, 4, 4] for azimuth in (0, 180))
    assert front[0] > 0.99 > 0.01 > front[2]
    assert back[2] > 0.99 > 0.01 > back[0]


def test_ground_is_exactly_black_where_nothing_is():
    view = render(_sphere(0.3), Camera(20, 10), 48)
    assert view.rgb[:, :8].abs().max() == 0
    assert view.alpha[:, :8].abs().max() == 0
    assert torch.equal(view.over(torch.zeros(3)), view.rgb)


def test_gradients_reach_density_and_colour():
    volume = _smooth_volume(20)
    density, colour = volume.density.requires_grad_(), volume.colour.requires_grad_()
    view = render(Volume(density, colour), Camera(50, 10), 16)
    (view.rgb.sum() + view.alpha.sum()).backward()
    assert density.grad.isfinite().all() and float(density.grad.abs().sum()) > 0
    assert colour.grad.isfinite().all() and float(colour.grad.abs().sum()) > 0


def test_gradient_of_alpha_agrees_with_finite_differences():
    volume = _smooth_volume(12)
    density = volume.density.double().requires_grad_()

    def total(field):
        return render(Volume(field.float(), volume.colour), Camera(10, 5), 12).alpha.double().sum()

    total(density).backward()
    place = (6, 6, 4)
    shifted = [density.detach().clone() for _ in range(2)]
    shifted[0][place] += 0.05
    shifted[1][place] -= 0.05
    slope = float(total(shifted[0]) - total(shifted[1])) / 0.1
    assert float(density.grad[place]) == pytest.approx(slope, rel=0.03)


def test_upsampling_keeps_the_samples_and_the_picture():
    volume = _smooth_volume(24)
    finer = upsample(volume, (47, 47, 47))
    assert torch.allclose(finer.density[::2, ::2, ::2], volume.density, atol=1e-4)
    assert _psnr(render(finer, Camera(20, 10), 32).rgb, render(volume, Camera(20, 10), 32).rgb) > 38


def test_cropping_changes_no_picture():
    z, y, x = _axes(48)
    density = torch.where((x - 0.2) ** 2 + (y + 0.3) ** 2 + z**2 < 0.1, 12.0, EMPTY)
    volume = Volume(density, torch.stack([x, y, z]) * 3)
    small = crop(volume)
    assert small.density.numel() < volume.density.numel() / 10
    for camera in (Camera(0, 0), Camera(70, 20), Camera(200, 60)):
        assert torch.allclose(render(small, camera, 32).rgb, render(volume, camera, 32).rgb, atol=1e-5)


def test_blending_axes_removes_the_jump_at_45_degrees():
    volume = _smooth_volume(24)
    jumps = []
    for blend_deg in (0.0, 5.0):
        before, after = (render(volume, Camera(a, 0), 24, blend_deg=blend_deg).rgb for a in (44.99, 45.01))
        jumps.append(float((before - after).abs().max()))
    assert jumps[1] < 0.1 * jumps[0]
