"""Volumes of known shape, and a ray-traced sphere on a stalk, for the tests of forms."""

import numpy as np
import torch

from fungal_assets.forms.volume import EMPTY, Volume, rays

CAP, STALK = (0.85, 0.15, 0.1), (0.9, 0.85, 0.7)
CAP_HEIGHT, CAP_RADIUS, STALK_RADIUS, FOOT = 0.35, 0.42, 0.14, -0.75


def axes(size):
    """z, y, x of a grid of that size, each (size, size, size)."""
    line = torch.linspace(-1, 1, size)
    return torch.meshgrid(line, line, line, indexing="ij")


def volume_of(distance, hard=200.0):
    """A volume whose matter is where a signed distance is below 0."""
    return Volume((-distance * hard).clamp(EMPTY, 30), torch.zeros(3, *distance.shape))


def sphere(radius=0.5, size=48, centre=(0.0, 0.0, 0.0)):
    z, y, x = axes(size)
    return volume_of(((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2).sqrt() - radius)


def toadstool(size=48):
    """A sphere on a stalk, in the colours of `trace_toadstool`."""
    z, y, x = axes(size)
    cap = (x**2 + (y - CAP_HEIGHT) ** 2 + z**2).sqrt() - CAP_RADIUS
    stalk = torch.maximum((x**2 + z**2).sqrt() - STALK_RADIUS, torch.maximum(FOOT - y, y - CAP_HEIGHT))
    rgb = torch.where(
        cap < stalk, torch.tensor(CAP)[:, None, None, None], torch.tensor(STALK)[:, None, None, None]
    )
    body = volume_of(torch.minimum(cap, stalk))
    return Volume(body.density, torch.logit(rgb))


def trace_toadstool(camera, size_px, supersampling=4):
    """The same shape by exact intersections, anti-aliased: rgb on black (3, H, W) and alpha (H, W)."""
    origin, directions = rays(camera, size_px * supersampling)
    cap = _hit_ball(origin, directions)
    stalk = _hit_stalk(origin, directions)
    rgb = torch.where((cap < stalk)[..., None], torch.tensor(CAP), torch.tensor(STALK))
    alpha = torch.isfinite(torch.minimum(cap, stalk)).float()
    picture = torch.cat([(rgb * alpha[..., None]).movedim(-1, 0), alpha[None]])
    small = torch.nn.functional.avg_pool2d(picture[None], supersampling)[0]
    return small[:3], small[3]


def _hit_ball(origin, directions):
    centre = torch.tensor([0.0, CAP_HEIGHT, 0.0])
    along = ((centre - origin) * directions).sum(-1)
    reach = CAP_RADIUS**2 - ((centre - origin) ** 2).sum() + along**2
    return torch.where(reach > 0, along - reach.clamp(min=0).sqrt(), torch.inf)


def _hit_stalk(origin, directions):
    a = directions[..., 0] ** 2 + directions[..., 2] ** 2
    b = origin[0] * directions[..., 0] + origin[2] * directions[..., 2]
    c = origin[0] ** 2 + origin[2] ** 2 - STALK_RADIUS**2
    reach = b**2 - a * c
    side = (-b - reach.clamp(min=0).sqrt()) / a
    height = origin[1] + side * directions[..., 1]
    on_side = (reach > 0) & (height >= FOOT) & (height <= CAP_HEIGHT)
    down = (FOOT - origin[1]) / directions[..., 1]
    place = origin + down[..., None] * directions
    on_foot = (down > 0) & (place[..., 0] ** 2 + place[..., 2] ** 2 <= STALK_RADIUS**2)
    return torch.minimum(torch.where(on_side, side, torch.inf), torch.where(on_foot, down, torch.inf))


RED, BEIGE = (200, 30, 20), (190, 150, 110)


def mushroom(*, ground=(4, 4, 4), lean=0, at=64):
    """A picture: a red half disc on a beige stem, uint8 (128, 128, 3), drawn with plain numpy."""
    y, x = np.mgrid[:128, :128]
    picture = np.full((128, 128, 3), ground, dtype=np.uint8)
    picture[(np.abs(x - at - lean * (y - 58) / 54) < 8) & (y >= 54) & (y < 112)] = BEIGE
    picture[(np.hypot(x - at, y - 58) < 40) & (y <= 58)] = RED
    return picture


SIDES = {0: (0.9, 0.1, 0.1), 90: (0.1, 0.8, 0.1), 180: (0.15, 0.2, 0.9), 270: (0.8, 0.7, 0.1)}
"""Colour of the letter by the azimuth that it is read from."""


def lettered(size=49):
    """A dark block with an F on each of its four sides, each in a colour of its own, that reads right from outside."""
    z, y, x = axes(size)
    block = volume_of(torch.stack([x.abs() - 0.5, y.abs() - 0.6, z.abs() - 0.5]).amax(0))
    rgb = torch.full((3, size, size, size), 0.12)
    for azimuth_deg, colour in SIDES.items():
        azimuth = torch.deg2rad(torch.tensor(float(azimuth_deg)))
        outward, right = (
            x * azimuth.sin() + z * azimuth.cos(),
            x * azimuth.cos() - z * azimuth.sin(),
        )
        stem = (right > -0.3) & (right < -0.1) & (y.abs() < 0.45)
        bars = (right > -0.3) & (
            ((right < 0.32) & (y > 0.25) & (y < 0.45)) | ((right < 0.15) & (y.abs() < 0.1))
        )
        is_ink = (outward > 0.3) & (stem | bars)
        rgb = torch.where(is_ink, torch.tensor(colour)[:, None, None, None], rgb)
    return Volume(block.density, torch.logit(rgb))


def reads_as_f(picture):
    """Whether the bright part of a picture is an F the right way round: a stem on its left, a longer bar on its top."""
    rows, columns = np.nonzero(picture.max(2) > 110)
    place = np.zeros((8, 6))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    np.add.at(place, ((rows - rows.min()) * 8 // height, (columns - columns.min()) * 6 // width), 1)
    place /= height * width / 48
    right = place[:, 4:].mean(1)
    return bool(place[:, 0].min() > 0.5 and right[0] > 0.6 and right[5:].max() < 0.2)
