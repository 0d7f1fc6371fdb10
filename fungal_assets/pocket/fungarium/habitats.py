"""The eight habitats: paint of the floor and the wood, and the blurred world behind.

Belongs here: colour as a function of world place and of direction. Where floor and wood lie stands in
`scene`, light in `rendering`. Torch kernel module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fungal_assets.pocket.fungarium.noise import fractal, solid, solid_blend
from fungal_assets.pocket.fungarium.palette import rgb


@dataclass(frozen=True)
class Air:
    """What lies behind a habitat: sRGB colours of 0 to 255, and how much foliage stands there.

    Attributes:
        zenith: colour above; `horizon`: at eye level; `foliage`: of blurred leaves; `trunk`: of blurred trees.
        leaves: share of foliage, 0 to 1; `trees`: share of dark upright bands.
        sky_light: strength of the light from above; `sun_light`: of the sun.
    """

    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    foliage: tuple[float, float, float]
    trunk: tuple[float, float, float]
    leaves: float
    trees: float
    sky_light: float
    sun_light: float


AIR: dict[str, Air] = {
    "field": Air((120, 170, 220), (196, 214, 190), (120, 150, 70), (60, 80, 45), 0.55, 0.15, 0.45, 0.85),
    "moss": Air((86, 112, 60), (120, 140, 80), (44, 66, 30), (34, 36, 24), 0.8, 0.5, 0.5, 0.75),
    "leaf_litter": Air((120, 116, 76), (150, 124, 82), (84, 66, 36), (42, 32, 24), 0.7, 0.6, 0.5, 0.75),
    "log": Air((96, 116, 70), (110, 122, 82), (50, 62, 34), (40, 34, 26), 0.8, 0.5, 0.5, 0.75),
    "tree_trunk": Air((130, 150, 100), (120, 130, 84), (60, 78, 40), (44, 40, 30), 0.8, 0.4, 0.5, 0.75),
    "sand": Air((110, 160, 214), (222, 214, 196), (200, 180, 140), (150, 130, 100), 0.15, 0.0, 0.5, 0.9),
    "snow": Air((170, 190, 214), (214, 222, 232), (150, 164, 180), (96, 104, 118), 0.35, 0.5, 0.55, 0.7),
    "dark_room": Air((0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), 0.0, 0.0, 0.45, 0.85),
}


def _mix(a: torch.Tensor, b: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    return a + (b - a) * share[:, None]


def paint_air(habitat: str, directions: torch.Tensor, *, offset: float) -> torch.Tensor:
    """Returns the blurred background along unit directions (N, 3): linear light, float32, shape (N, 3)."""
    air = AIR[habitat]
    device = directions.device
    zenith, horizon, foliage, trunk = (
        rgb(*c).to(device) for c in (air.zenith, air.horizon, air.foliage, air.trunk)
    )
    up = directions[:, 1]
    color = _mix(horizon.expand(len(up), 3), zenith, (up.clamp(0, 1) * 2.2).clamp(0, 1))
    if air.leaves:
        blotch = fractal(directions, cell=0.3, octaves=3, offset=offset)
        share = ((blotch - 0.5) * 4.5 + 0.5 - 0.6 * up.clamp(-0.3, 1)).clamp(0, 1)
        color = _mix(color, foliage, share * air.leaves)
    if air.trees:
        flat = directions[:, [0, 2]]
        flat = flat / flat.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        band = solid(torch.stack([flat[:, 0], up * 0.06, flat[:, 1]], -1), cell=0.22, offset=offset + 2)[0]
        color = _mix(color, trunk, ((band - 0.56) * 9).clamp(0, 1) * air.trees)
    if air.leaves > 0.5:
        _, first, _, name = solid(directions, cell=0.13, offset=offset + 4)
        disc = ((0.42 - first) / 0.14).clamp(0, 1) * ((name - 0.6) * 2.5).clamp(0, 1)
        color = (
            color + disc[:, None] * (horizon * 0.5 + zenith * 0.3) * ((up + 0.35) * 1.6).clamp(0, 1)[:, None]
        )
    haze = torch.exp(-((up.clamp_min(0) / 0.07) ** 2)) * (up > -0.3)
    return _mix(color, horizon, haze)


def _leaves(points: torch.Tensor, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    tones = torch.stack(
        [rgb(150, 94, 46), rgb(112, 66, 34), rgb(180, 128, 70), rgb(86, 54, 32), rgb(132, 74, 36)]
    )
    tones = tones.to(points.device)
    color, height = (
        torch.zeros_like(points) + rgb(52, 36, 24).to(points.device),
        torch.zeros_like(points[:, 0]),
    )
    for layer, cell in enumerate((0.2, 0.3, 0.42)):
        turn = 0.9 * layer + 0.4
        x = points[:, 0] * torch.cos(torch.tensor(turn)) - points[:, 2] * torch.sin(torch.tensor(turn))
        z = points[:, 0] * torch.sin(torch.tensor(turn)) + points[:, 2] * torch.cos(torch.tensor(turn))
        warp = fractal(points, cell=0.12, offset=offset + layer)
        flat = torch.stack([x * 1.7, torch.full_like(x, 0.1 * layer), z + 0.06 * warp], -1)
        _, first, border, name = solid(flat, cell=cell, offset=offset + 5 * layer)
        tone = tones[(name * 4.999).long().clamp(0, 4)]
        inside = ((border - 0.07) / 0.06).clamp(0, 1) * (name > 0.25 + 0.18 * layer)
        vein = 1 - 0.25 * torch.exp(-(((x * 1.7 + first) * 14).sin() ** 2) * 4)
        shadow = 1 - 0.45 * ((0.22 - border) / 0.2).clamp(0, 1) * (name > 0.25 + 0.18 * layer)
        color = _mix(color * shadow[:, None], tone * (vein * (0.75 + 0.5 * warp))[:, None], inside)
        height = height + inside * 0.3
    return color, height


def _moss(points: torch.Tensor, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    mound = fractal(points, cell=0.45, offset=offset, octaves=2)
    tuft = solid(points, cell=0.045, offset=offset + 2)[1]
    fine = solid(points, cell=0.02, offset=offset + 3)[1]
    height = 0.55 * mound + 0.3 * (1 - tuft) + 0.15 * (1 - fine)
    dark, light = rgb(36, 52, 18).to(points.device), rgb(150, 172, 62).to(points.device)
    return _mix(dark.expand_as(points), light, ((height - 0.3) * 1.7).clamp(0, 1)), height


def _grass(points: torch.Tensor, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    drift = fractal(points, cell=0.5, offset=offset, octaves=2)
    height = torch.zeros_like(drift)
    for number, turn in enumerate((0.3, 1.4, 2.4)):
        c, s = math.cos(turn), math.sin(turn)
        along, across = points[:, 0] * c + points[:, 2] * s, points[:, 2] * c - points[:, 0] * s
        place = torch.stack([along * 0.2, torch.zeros_like(along), across + 0.16 * drift], -1)
        blade = solid_blend(place, (0.3, 0.0, 1.0, -0.1), cell=0.032, offset=offset + number)
        height = torch.maximum(height, blade * (0.75 + 0.12 * number))
    height = height.clamp(0, 1)
    dark, light = rgb(38, 54, 20).to(points.device), rgb(134, 164, 66).to(points.device)
    straw = rgb(170, 156, 88).to(points.device)
    color = _mix(dark.expand_as(points), light, (height * 1.3).clamp(0, 1))
    return _mix(color, straw, ((drift - 0.55) * 2.5).clamp(0, 0.6)), height


def _sand(points: torch.Tensor, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    wander = fractal(points, cell=0.8, offset=offset, octaves=2)
    ripple = 0.5 + 0.5 * torch.sin(points[:, 0] * 14 + points[:, 2] * 8 + wander * 12)
    grain = fractal(points, cell=0.03, octaves=2, offset=offset)
    height = 0.6 * ripple + 0.4 * wander
    color = _mix(
        rgb(176, 146, 102).to(points.device).expand_as(points), rgb(232, 208, 164).to(points.device), height
    )
    return color * (0.86 + 0.28 * grain)[:, None], height


def _snow(points: torch.Tensor, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    height = fractal(points, cell=0.7, offset=offset, octaves=3)
    grain = fractal(points, cell=0.04, octaves=2, offset=offset)
    color = _mix(
        rgb(186, 202, 226).to(points.device).expand_as(points),
        rgb(250, 251, 253).to(points.device),
        (height * 1.4).clamp(0, 1),
    )
    return color * (0.92 + 0.14 * grain)[:, None], height


def paint_floor(habitat: str, points: torch.Tensor, *, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Paints the floor.

    Args:
        habitat: one of `HABITATS`.
        points: world points on the floor, float32, shape (N, 3).
        offset: shifts the textures.

    Returns:
        Paint as linear light, float32 (N, 3), and relief height, float32 (N,), about 0 to 1.
    """
    flat = points * points.new_tensor([1.0, 0.0, 1.0])
    if habitat == "dark_room":
        return torch.full_like(points, 0.012), torch.zeros_like(points[:, 0])
    painters = {"field": _grass, "moss": _moss, "sand": _sand, "snow": _snow}
    return painters.get(habitat, _leaves)(flat, offset)


def paint_wood(
    habitat: str, points: torch.Tensor, normals: torch.Tensor, *, axis: str, offset: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Paints bark, with moss or snow where it faces up; arguments and results as `paint_floor`."""
    along = points.new_tensor([0.16, 1.0, 1.0] if axis == "x" else [1.0, 0.16, 1.0])
    warp = fractal(points, cell=0.3, offset=offset)[:, None] * 0.12
    smooth, _, border, name = solid(points * along + warp, cell=0.11, offset=offset)
    fine = fractal(points * along, cell=0.03, offset=offset + 1, octaves=2)
    height = (border * 1.6).clamp(0, 1) * 0.7 + 0.3 * fine
    dark, light = rgb(44, 32, 24).to(points.device), rgb(150, 124, 98).to(points.device)
    color = _mix(
        dark.expand_as(points), light, (height * (0.7 + 0.4 * name) + 0.2 * (smooth - 0.5)).clamp(0, 1)
    )
    patch = fractal(points, cell=0.35, offset=offset + 2)
    if habitat in ("moss", "log", "tree_trunk", "field"):
        green, tall = _moss(points, offset)
        share = ((patch - 0.56 + 0.22 * normals[:, 1]) * 7).clamp(0, 1)
        color, height = _mix(color, green, share), height + (tall - height) * share
    if habitat == "snow":
        share = ((patch - 0.75 + 0.6 * normals[:, 1]) * 6).clamp(0, 1)
        color = _mix(color, rgb(244, 247, 252).to(points.device), share)
    return color, height
