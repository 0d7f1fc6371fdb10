"""Sphere tracing of a form, its normals, soft shadow and ambient occlusion (Hart 1996; Quilez's soft shadow).

Rays are marched in the form's own space on a shrinking set of live rays. Torch kernel module.
"""

from __future__ import annotations

import torch

from fungal_assets.pocket.fungarium.scene import Placement
from fungal_assets.pocket.fungarium.shapes import Form


def span_in_sphere(
    origins: torch.Tensor, directions: torch.Tensor, center: torch.Tensor, radius: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cuts rays with a sphere; returns entry and exit, each (N,), and whether they meet, bool (N,)."""
    offset = origins - center
    b = (directions * offset).sum(-1)
    c = (offset * offset).sum(-1) - radius * radius
    inside = b * b - c
    root = inside.clamp_min(0).sqrt()
    return (-b - root).clamp_min(0), -b + root, (inside > 0) & (-b + root > 0)


def march(
    form: Form,
    origins: torch.Tensor,
    directions: torch.Tensor,
    start: torch.Tensor,
    end: torch.Tensor,
    *,
    cone: float,
    steps: int = 44,
) -> torch.Tensor:
    """Steps rays (N, 3) along until they touch; returns the depth, float32 (N,), infinite where they miss.

    `cone` is the width of a pixel at unit depth: nearer than half of it counts as touching.
    """
    depth = torch.full_like(start, torch.inf)
    index, o, d, t, far = torch.arange(len(start), device=start.device), origins, directions, start, end
    if form.relief is not None:  # first up to the relief's upper bound, which costs no texture
        for _ in range(steps // 2):
            gap = form.distance(o + d * t[:, None], rough=False)
            t = t + gap.clamp_min(0)
            live = t < far
            if not bool(live.all()):
                index, o, d, t, far, gap = (x[live] for x in (index, o, d, t, far, gap))
            if len(t) == 0 or float(gap.max()) < 0.004:
                break
    for _ in range(steps):
        if len(t) == 0:
            break
        gap = form.distance(o + d * t[:, None])
        near = gap < (0.5 * cone * t).clamp_min(0.0008) * form.damping
        depth[index[near]] = t[near]
        t = t + gap
        live = ~near & (t < far)
        index, o, d, t, far = (x[live] for x in (index, o, d, t, far))
    return depth


def surface_normals(form: Form, points: torch.Tensor, *, step: float) -> torch.Tensor:
    """Returns unit normals at surface points (N, 3) from four distances at the corners of a tetrahedron."""
    corners = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    samples = (points[None] + corners[:, None] * step).reshape(-1, 3)
    values = form.distance(samples).view(4, -1)
    normal = values.T @ corners
    return normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def self_occlusion(form: Form, points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """Returns how open the surface is along its normal, float32 (N,), 0 shut to 1 open, from three taps."""
    shut = torch.zeros_like(points[:, 0])
    for reach, weight in ((0.03, 0.3), (0.1, 0.32), (0.24, 0.38)):
        gap = form.distance(points + normals * reach) / form.damping
        shut = shut + weight * (1 - gap / reach).clamp(0, 1)
    return 1 - 0.85 * shut


def sun_reaches(
    form: Form,
    place: Placement,
    points: torch.Tensor,
    sun: torch.Tensor,
    *,
    steps: int = 12,
    hardness: float = 9.0,
) -> torch.Tensor:
    """Returns how much of the sun reaches world points (N, 3) past one fruiting body, float32 (N,), 0 to 1."""
    light = torch.ones_like(points[:, 0])
    local = place.to_form(points)
    toward = (sun @ place.turn).expand_as(local)
    center = local.new_tensor([0.0, form.middle, 0.0])
    start, end, meets = span_in_sphere(local, toward, center, form.reach)
    index = meets.nonzero()[:, 0]
    if len(index) == 0:
        return light
    o, d, t, far = local[index], toward[index], start[index].clamp_min(0.02), end[index]
    lit = torch.ones_like(t)
    for _ in range(steps):
        gap = form.distance(o + d * t[:, None], rough=True) / form.damping
        lit = torch.where(
            t < far, torch.minimum(lit, hardness * gap / t.clamp_min(0.05) + 0.1 * (gap > 0)), lit
        )
        t = t + (gap * form.damping).clamp(0.025, 0.25)
    light[index] = lit.clamp(0, 1)
    return light
