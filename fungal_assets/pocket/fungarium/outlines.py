"""Outlines and bundles of limbs that several morphotypes share, turned into forms.

Measures are in units of about one fruiting body's height, the foot at the origin, y up. Torch kernel module.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from fungal_assets.pocket.fungarium.shapes import (
    CAP,
    HYMENIUM,
    RING,
    STEM,
    Form,
    Limbs,
    Outline,
    Relief,
    Turned,
    bake_limbs,
    bake_outline,
    limbs_reach,
    outline,
)
from fungal_assets.pocket.fungarium.skins import Skin
from fungal_assets.pocket.fungarium.traits import Traits

Body = tuple[Form, Skin]
Points = list[tuple[float, float]]


def turn_outline(shape: Outline, traits: Traits, columns: int, **settings: object) -> Turned:
    """Turns an outline into a form, with a damping that its waves, bend and relief call for."""
    relief = settings.get("relief")
    on = relief.on if isinstance(relief, Relief) else ()
    table, owners, bounds = bake_outline(shape, relief_on=on, columns=columns)
    ruffle, lobes, waves = (float(settings.get(k, d)) for k, d in (("ruffle", 0), ("lobes", 0), ("waves", 5)))  # type: ignore[arg-type]
    rim = max(r for r, _ in shape.points)
    low, high = min(y for _, y in shape.points), max(y for _, y in shape.points)
    bend, shear = float(settings.get("bend", 0)), float(settings.get("shear", 0))  # type: ignore[arg-type]
    slope = 2 * abs(bend) * high + shear + ruffle * (2 + waves) / rim * 0.9 + lobes * (waves * 0.5 + 1.5)
    if isinstance(relief, Relief):
        slope += relief.height / relief.cell * (6.0 if relief.kind == "warts" else 3.0)
    drift = abs(bend) * high * high + shear * max(0.0, float(settings.get("shear_from", 0)) - low)  # type: ignore[arg-type]
    wide = rim * (1 + lobes) + drift + 0.05
    return Turned(
        reach=math.hypot(wide, (high - low) / 2 + ruffle + 0.03),
        middle=(high + low) / 2,
        offset=(traits.seed % 9973) * 0.137,
        damping=1 / (1 + 0.55 * slope),
        table=table,
        owners=owners,
        bounds=bounds,
        phase=traits.seed % 628 / 100,
        rim=rim,
        grain=bounds[0] / columns,
        **settings,  # type: ignore[arg-type]
    )


def melt_limbs(
    limbs: list[list[float]],
    owners: list[int],
    t: Traits,
    columns: int,
    *,
    melt: float,
    relief: Relief | None = None,
) -> Limbs:
    """Bakes limbs, each (start xyz, end xyz, start radius, end radius), into a form."""
    table, box = bake_limbs(torch.tensor(limbs), torch.tensor(owners), melt=melt, cells=round(columns * 0.5))
    reach, middle = limbs_reach(box)
    slope = relief.height / relief.cell * 3.0 if relief else 0.0
    return Limbs(
        reach=reach,
        middle=middle,
        offset=(t.seed % 9973) * 0.137,
        relief=relief,
        table=table,
        box=box,
        damping=1 / (1.1 + 0.55 * slope),
        grain=2 * box[0] / (columns * 0.5),
    )


def steps_for(columns: int) -> int:
    """Finer grids earn finer outlines."""
    return 6 if columns < 140 else 12


def cap_top(shape: str, radius: float, rise: float, rim_y: float) -> Points:
    """Returns the upper side of a cap from the axis to the rim."""
    shapes: dict[str, Callable[[float], float]] = {
        "convex": lambda u: (1 - u**2.1) ** 0.62,
        "conical": lambda u: 0.93 * (1 - u) + 0.07 * (1 - u**4),
        "flat": lambda u: 0.45 * (1 - u**4) ** 0.8 + 0.06 * math.exp(-((u / 0.25) ** 2)),
        "funnel": lambda u: -0.55 * (1 - u**1.7) + 0.1 * (1 - u**8),
    }
    return [
        (u * radius, rim_y + rise * shapes[shape](u)) for u in (0, 0.08, 0.2, 0.4, 0.6, 0.78, 0.9, 0.97, 1.0)
    ]


def stem_side(
    top: float, top_radius: float, foot_radius: float, *, start: float, bulb: float = 0.0
) -> Points:
    """Returns the side of a stem from `top` down to the axis at the foot."""
    return [
        (top_radius, top),
        (top_radius, start + 0.72 * (top - start)),
        (0.5 * (top_radius + foot_radius), start + 0.4 * (top - start)),
        (foot_radius + bulb, start + 0.08),
        (foot_radius + 0.4 * bulb, start - 0.06),
        (0.0, start - 0.1),
    ]


def cut_for_ring(stem: Points, y: float, radius: float, spread: float) -> tuple[Points, Points, Points]:
    """Cuts a stem at height `y` for a ring; returns the stem above, the skirt and the stem below."""
    above = [(stem[0][0], stem[0][1]), (radius, y + 0.035)]
    skirt = [
        (radius, y + 0.035),
        (radius + 0.5 * spread, y),
        (radius + spread, y - 0.06),
        (radius + 0.8 * spread, y - 0.065),
        (radius, y - 0.02),
    ]
    return above, skirt, [(radius, y - 0.02), *[p for p in stem[2:]]]


def capped_outline(
    shape: str,
    *,
    radius: float,
    rise: float,
    rim_y: float,
    thick: float,
    under: Points,
    stem: Points,
    steps: int,
    ring: tuple[float, float] | None = None,
) -> Outline:
    """Outlines a cap on a stem; `under` runs from the rim to the stem, `ring` is (height, spread)."""
    top = cap_top(shape, radius, rise, rim_y)
    rim: Points = [(radius, rim_y), (radius * 1.005, rim_y - 0.5 * thick), (radius * 0.97, rim_y - thick)]
    pieces: list[tuple[int, Points]] = [(CAP, top), (CAP, rim), (HYMENIUM, [rim[-1], *under, stem[0]])]
    if ring is None:
        return outline(*pieces, (STEM, stem), steps=steps)
    above, skirt, below = cut_for_ring(stem, ring[0], stem[1][0], ring[1])
    return outline(*pieces, (STEM, above), (RING, skirt), (STEM, below), steps=steps)


def bowl_outline(
    radius: float, depth: float, wall: float, foot: float, *, curl: float, steps: int
) -> Outline:
    """Outlines a bowl on a short foot, open upwards."""
    inner = [
        (0.0, foot + wall),
        (radius * 0.45, foot + wall + depth * 0.1),
        (radius * 0.8, foot + wall + depth * 0.48),
        (radius * (1 - curl), foot + depth),
    ]
    rim = [
        inner[-1],
        (radius * (1 - curl) + wall * 0.5, foot + depth + wall * 0.4),
        (radius * (1 - curl) + wall, foot + depth - 0.01),
    ]
    outer = [
        rim[-1],
        (radius * 0.86 + wall, foot + depth * 0.42),
        (radius * 0.5, foot + 0.01),
        (0.11, foot - 0.03),
    ]
    stem = [outer[-1], (0.085, foot * 0.4), (0.09, -0.05), (0.0, -0.08)]
    return outline((CAP, inner), (CAP, rim), (HYMENIUM, outer), (STEM, stem), steps=steps)
