"""Skins: the paint of a form at each point, with warts, scales, zones, gills, pores and fibres.

Belongs here: colour as a function of place on a form. The shape of the form stands in `bodies`, light in
`rendering`. Torch kernel module.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fungal_assets.pocket.fungarium.noise import fractal, solid
from fungal_assets.pocket.fungarium.palette import paint
from fungal_assets.pocket.fungarium.shapes import BASE, CAP, HYMENIUM, RING, STEM, Form, Turned


@dataclass(frozen=True)
class Skin:
    """The paint of a form.

    Attributes:
        colors: linear light, float32, shape (5, 3): one for each part.
        marks: linear light, shape (3,): the colour of warts, scales or ridges.
        pattern: 'plain', 'warts', 'scales', 'pits', 'zones', 'inky', 'rays' or 'tips'.
        under: 'gills', 'pores' or 'plain': what the hymenium shows.
        radius: radius of the cap; patterns are measured in it.
        gloss: strength of the highlight, 0 to 1.
        glow: share of light that passes through thin flesh, 0 to 1.
        low: height of the rim, where an inky cap turns black.
    """

    colors: torch.Tensor
    marks: torch.Tensor
    pattern: str = "plain"
    under: str = "gills"
    radius: float = 0.4
    gloss: float = 0.15
    glow: float = 0.15
    low: float = 0.0


def _mix(base: torch.Tensor, other: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    return base + (other - base) * share[:, None]


def _cap_pattern(
    skin: Skin, form: Form, points: torch.Tensor, u: torch.Tensor, color: torch.Tensor
) -> torch.Tensor:
    mottle = fractal(points, cell=0.16, offset=form.offset)
    color = color * (0.86 + 0.28 * mottle)[:, None]
    relief = form.relief.mask(points, form.offset) if form.relief is not None else torch.zeros_like(u)
    if skin.pattern == "warts":
        return _mix(color * (0.9 + 0.2 * u)[:, None], skin.marks, relief.clamp(0, 1))
    if skin.pattern == "scales":
        return _mix(
            color, skin.marks, (relief * (0.35 + 0.5 * (1 - u)) + (0.2 - u).clamp(0, 0.2) * 4).clamp(0, 1)
        )
    if skin.pattern == "pits":
        return _mix(color * 0.42, skin.marks, relief.clamp(0, 1))
    if skin.pattern == "zones":
        wobble = u + 0.07 * (fractal(points, cell=0.3, offset=form.offset + 3) - 0.5)
        band = (0.5 + 0.5 * torch.sin(wobble * 30)) * (0.5 + 0.5 * torch.sin(wobble * 11 + 1))
        color = color * (0.62 + 0.55 * band)[:, None]
        return _mix(color, skin.marks, ((wobble - 0.84) / 0.1).clamp(0, 1) * 0.85)
    if skin.pattern == "inky":
        stripe = 0.5 + 0.5 * torch.cos(44 * torch.atan2(points[:, 2], points[:, 0]))
        top = ((points[:, 1] - skin.low - 0.4) / 0.1).clamp(0, 1)
        color = _mix(
            color * (1 - 0.18 * stripe * (1 - top))[:, None], skin.marks, (relief * 0.75).clamp(0, 1)
        )
        color = _mix(color, skin.marks, top * 0.6)
        inked = ((skin.low + 0.09 + 0.08 * mottle - points[:, 1]) / 0.1).clamp(0, 1)
        return _mix(color, torch.full_like(color, 0.012), inked * 0.9)
    return color * (0.9 + 0.14 * u)[:, None]


def _under_pattern(skin: Skin, form: Form, points: torch.Tensor, color: torch.Tensor) -> torch.Tensor:
    if skin.under == "gills" and isinstance(form, Turned) and form.gills:
        _, _, angle = form.unfold(points)
        groove = 0.5 + 0.5 * torch.cos(form.gills * angle)
        return color * (1 - 0.5 * groove**2)[:, None]
    if skin.under == "pores":
        first = solid(points, cell=0.03, offset=form.offset)[1]
        return color * (0.62 + 0.6 * first.clamp(0, 0.7))[:, None]
    return color * (0.9 + 0.2 * fractal(points, cell=0.1, offset=form.offset))[:, None]


def _stem_pattern(form: Form, points: torch.Tensor, color: torch.Tensor) -> torch.Tensor:
    stretched = points * points.new_tensor([1.0, 0.12, 1.0])
    fibre = fractal(stretched, cell=0.05, offset=form.offset + 5, octaves=2)
    soil = ((0.1 - points[:, 1]) / 0.2).clamp(0, 1) * 0.5
    return _mix(color * (0.8 + 0.36 * fibre)[:, None], color * 0.5, soil)


def paint_skin(skin: Skin, form: Form, points: torch.Tensor) -> torch.Tensor:
    """Returns the paint at surface points (N, 3) of a form: linear light, float32, shape (N, 3)."""
    owners = form.parts(points)
    u = (points[:, 0] ** 2 + points[:, 2] ** 2).sqrt() / skin.radius
    colors = skin.colors.to(points.device)
    ones = torch.ones_like(points)
    stem = _stem_pattern(form, points, ones * colors[STEM])
    total = owners[CAP][:, None] * _cap_pattern(skin, form, points, u.clamp(0, 1.2), ones * colors[CAP])
    total = total + owners[HYMENIUM][:, None] * _under_pattern(skin, form, points, ones * colors[HYMENIUM])
    total = total + owners[STEM][:, None] * stem + owners[RING][:, None] * colors[RING]
    return total + owners[BASE][:, None] * _stem_pattern(form, points, ones * colors[BASE])


def colors_of(cap: str, under: str, stem: str, *, shade: float, ring: str = "white") -> torch.Tensor:
    """Returns the paints of cap, hymenium, stem, ring and base as linear light, float32, shape (5, 3)."""
    return (
        torch.stack([paint(cap), paint(under) * 0.92, paint(stem), paint(ring) * 0.95, paint(stem) * 0.8])
        * shade
    )
