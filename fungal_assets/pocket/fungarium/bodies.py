"""Bodies: the form and the skin of each of the sixteen morphotypes.

Belongs here: the ten without a plain cap and stem, and the table of all. Shelf fungi grow towards +z out of
the plane z = 0. The capped ones stand in `capped`. Torch kernel module.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fungal_assets.pocket.fungarium.capped import (
    build_agaric,
    build_bolete,
    build_chanterelle,
    build_fly_agaric,
    build_ink_cap,
    build_parasol,
)
from fungal_assets.pocket.fungarium.outlines import Body, bowl_outline, melt_limbs, steps_for, turn_outline
from fungal_assets.pocket.fungarium.palette import paint, rgb
from fungal_assets.pocket.fungarium.shapes import BASE, CAP, HYMENIUM, STEM, Relief, outline
from fungal_assets.pocket.fungarium.skins import Skin, colors_of
from fungal_assets.pocket.fungarium.traits import Traits


def _puffball(t: Traits, columns: int) -> Body:
    radius, squat = 0.42 * t.width, 0.85 + 0.35 * (t.height - 1)
    points = [
        (0.0, 0.05 + 2 * radius * squat),
        (radius * 0.5, 0.05 + 1.9 * radius * squat),
        (radius * 0.95, 0.05 + 1.35 * radius * squat),
        (radius, 0.05 + 0.95 * radius * squat),
        (radius * 0.75, 0.05 + 0.4 * radius * squat),
    ]
    foot = [points[-1], (radius * 0.5, 0.02), (radius * 0.42, -0.06), (0.0, -0.1)]
    relief = (
        Relief("warts", 0.045, 0.006, on=(CAP,), share=0.38)
        if t.texture == "scaly"
        else Relief("wrinkles", 0.2, 0.03)
    )
    form = turn_outline(
        outline((CAP, points), (CAP, foot), steps=steps_for(columns)), t, columns, relief=relief, lobes=0.05
    )
    colors = colors_of(t.cap_color, t.cap_color, t.cap_color, shade=t.shade)
    pattern = "warts" if t.texture == "scaly" else "plain"
    return form, Skin(colors, paint(t.cap_color) * 0.7 + 0.08, pattern, "plain", radius, gloss=0.05, glow=0.2)


def _earthstar(t: Traits, columns: int) -> Body:
    rng = np.random.default_rng(t.seed)
    rays, ball, length = int(rng.integers(5, 9)), 0.25 * t.stout**0.4, 0.62 * t.width
    limbs, owners = [], []
    for i in range(rays):
        angle = 2 * math.pi * (i + 0.18 * rng.random()) / rays
        reach, droop = length * (0.9 + 0.25 * rng.random()), 0.1 + 0.12 * rng.random()
        c, s = math.cos(angle), math.sin(angle)
        width = math.tan(math.pi / rays) * 0.34 * length * 1.15
        for side in (-1.0, -0.5, 0.0, 0.5, 1.0):  # ribs from a broad base to one tip make a flat pointed ray
            knots = [
                (0.06, 0.12, 0.3),
                (0.34 * length, 0.17, 1.0),
                (0.72 * reach, 0.12, 0.55),
                (reach, 0.12 - droop, 0.04),
            ]
            for (a, ya, wa), (b, yb, wb) in zip(knots, knots[1:], strict=False):
                wa, wb = side * wa * width, side * wb * width
                thin = 0.026 if b < reach else 0.012
                limbs.append(
                    [a * c - wa * s, ya, a * s + wa * c, b * c - wb * s, yb, b * s + wb * c, 0.03, thin]
                )
                owners.append(STEM)
    up = 0.16 + ball
    limbs += [
        [0, up, 0, 0, up + 0.02, 0, ball, ball * 0.97],
        [0, up + ball, 0, 0, up + ball + 0.07, 0, 0.055, 0.022],
    ]
    owners += [CAP, CAP]
    form = melt_limbs(limbs, owners, t, columns, melt=0.008, relief=Relief("wrinkles", 0.12, 0.015))
    colors = colors_of(t.cap_color, t.cap_color, t.stem_color, shade=t.shade)
    return form, Skin(colors, paint(t.cap_color) * 0.6, "plain", "plain", ball * 1.3, gloss=0.04)


def _morel(t: Traits, columns: int) -> Body:
    radius, tall, girth = 0.25 * t.width, 0.36 * t.height, 0.12 * t.stout
    high = 0.6
    top = [
        (0.0, tall + high),
        (radius * 0.4, tall + high * 0.93),
        (radius * 0.82, tall + high * 0.62),
        (radius, tall + high * 0.28),
        (radius * 0.92, tall + 0.03),
        (radius * 0.6, tall - 0.01),
        (girth, tall - 0.005),
    ]
    stem = [
        (girth, tall - 0.005),
        (girth * 0.95, tall * 0.5),
        (girth * 1.25, 0.05),
        (girth * 1.1, -0.06),
        (0.0, -0.1),
    ]
    relief = Relief("pits", 0.125, 0.05)
    form = turn_outline(
        outline((CAP, top), (STEM, stem), steps=steps_for(columns)),
        t,
        columns,
        relief=relief,
        bend=0.4 * t.bend,
    )
    colors = colors_of(t.cap_color, t.cap_color, t.stem_color, shade=t.shade)
    marks = (paint(t.cap_color) * 1.35 + 0.03).clamp(0, 1)
    return form, Skin(colors, marks, "pits", "plain", radius, gloss=0.05)


def _coral(t: Traits, columns: int) -> Body:
    rng = np.random.default_rng(t.seed)
    limbs: list[list[float]] = [[0, -0.08, 0, 0, 0.14, 0, 0.16 * t.stout**0.5, 0.13]]
    owners = [STEM]

    def grow(start: np.ndarray, toward: np.ndarray, length: float, radius: float, level: int) -> None:
        end = start + toward * length
        tip = radius * (0.74 if level < 3 else 0.5)
        limbs.append([*start.tolist(), *end.tolist(), radius, tip])
        owners.append(STEM if level == 0 else CAP if level < 3 else HYMENIUM)
        if level == 3:
            return
        for i in range(2 if level else 2):
            side = rng.normal(size=3) * 0.42
            side += np.array([math.cos(i * math.pi + level), 0, math.sin(i * math.pi + level)]) * 0.3
            heading = toward * 0.75 + side + np.array([0, 0.5, 0])
            grow(
                end, heading / np.linalg.norm(heading), length * (0.85 + 0.25 * rng.random()), tip, level + 1
            )

    branches = 6
    for i in range(branches):
        angle = 2 * math.pi * (i + 0.4 * rng.random()) / branches
        lean = 0.75 if i % 2 else 0.4
        toward = np.array([math.cos(angle) * lean, 1.0, math.sin(angle) * lean])
        start = np.array([math.cos(angle) * 0.07, 0.1, math.sin(angle) * 0.07])
        grow(start, toward / np.linalg.norm(toward), 0.2 * t.height, 0.06, 0)
    form = melt_limbs(limbs, owners, t, columns, melt=0.012)
    colors = colors_of(t.cap_color, t.cap_color, t.cap_color, shade=t.shade)
    colors[HYMENIUM] = (colors[CAP] * 1.15 + 0.05).clamp(0, 1)
    colors[STEM] = 0.5 * colors[STEM] + 0.5 * paint("white")
    return form, Skin(colors, colors[HYMENIUM], "plain", "plain", 0.6, gloss=0.12, glow=0.3)


def _bracket(t: Traits, columns: int) -> Body:
    radius, thick = 0.52 * t.width, 0.16 * t.stout
    top = [
        (0.0, thick),
        (radius * 0.3, thick * 0.92),
        (radius * 0.65, thick * 0.6),
        (radius * 0.93, thick * 0.22),
        (radius, 0.03),
    ]
    rim = [(radius, 0.03), (radius * 1.0, -0.01), (radius * 0.95, -0.03)]
    under = [rim[-1], (radius * 0.6, -0.06), (radius * 0.25, -0.12 * t.stout), (0.0, -0.18 * t.stout)]
    relief = Relief("wrinkles", 0.14, 0.03, on=(CAP,)) if t.texture == "wrinkled" else None
    shape = outline((CAP, top), (CAP, rim), (HYMENIUM, under), steps=steps_for(columns))
    form = turn_outline(
        shape, t, columns, relief=relief, ruffle=0.01 + 0.02 * t.ruffle, lobes=0.08, waves=6, cut=True
    )
    colors = colors_of(t.cap_color, t.gill_color, t.cap_color, shade=t.shade)
    marks = 0.6 * paint("white") + 0.4 * paint(t.cap_color)
    return form, Skin(colors, marks, "zones", "pores", radius, gloss=0.12)


def _cup(t: Traits, columns: int) -> Body:
    radius = 0.46 * t.width
    shape = bowl_outline(radius, 0.36 * t.height, 0.045, 0.1, curl=0.04, steps=steps_for(columns))
    form = turn_outline(
        shape, t, columns, ruffle=0.02 + 0.05 * t.ruffle, lobes=0.05 + 0.07 * t.ruffle, waves=4
    )
    colors = colors_of(t.cap_color, t.cap_color, "white", shade=t.shade)
    colors[HYMENIUM] = 0.5 * colors[HYMENIUM] + 0.5 * rgb(226, 206, 178)
    return form, Skin(colors, paint(t.cap_color), "plain", "plain", radius, gloss=0.3, glow=0.3)


def _jelly_ear(t: Traits, columns: int) -> Body:
    radius = 0.44 * t.width
    shape = bowl_outline(radius, 0.26 * t.height, 0.05, 0.12, curl=0.1, steps=steps_for(columns))
    relief = Relief("wrinkles", 0.17, 0.06, on=(CAP, HYMENIUM))
    form = turn_outline(shape, t, columns, relief=relief, ruffle=0.05, lobes=0.16, waves=3)
    colors = colors_of(t.cap_color, t.cap_color, t.cap_color, shade=t.shade)
    colors[HYMENIUM] = 0.75 * colors[HYMENIUM] + 0.06
    return form, Skin(colors, paint(t.cap_color), "plain", "plain", radius, gloss=0.55, glow=0.5)


def _stinkhorn(t: Traits, columns: int) -> Body:
    tall, girth = 0.85 * t.height, 0.085 * t.stout
    cap = [
        (0.0, tall + 0.2),
        (0.035, tall + 0.205),
        (0.06, tall + 0.17),
        (0.12, tall + 0.05),
        (0.15, tall - 0.08),
        (0.13, tall - 0.11),
        (girth, tall - 0.07),
    ]
    stem = [
        (girth, tall - 0.07),
        (girth * 1.12, tall * 0.6),
        (girth * 1.15, tall * 0.35),
        (girth * 1.05, 0.2),
    ]
    egg = [(girth * 1.05, 0.2), (girth + 0.05, 0.235), (0.19, 0.15), (0.2, 0.04), (0.14, -0.06), (0.0, -0.1)]
    relief = Relief("pits", 0.05, 0.016, on=(CAP, STEM))
    form = turn_outline(
        outline((CAP, cap), (STEM, stem), (BASE, egg), steps=steps_for(columns)),
        t,
        columns,
        relief=relief,
        bend=0.5 * t.bend,
    )
    colors = colors_of(t.cap_color, t.cap_color, t.stem_color, shade=t.shade)
    colors[BASE] = rgb(226, 210, 190)
    colors[CAP] *= 0.8
    return form, Skin(colors, colors[CAP] * 1.2, "pits", "plain", 0.15, gloss=0.5)


def _oyster(t: Traits, columns: int) -> Body:
    radius, girth = 0.44 * t.width, 0.1 * t.stout
    top = [
        (0.0, 0.02),
        (radius * 0.25, 0.045),
        (radius * 0.55, 0.06),
        (radius * 0.82, 0.02),
        (radius * 0.96, -0.05),
        (radius, -0.09),
    ]
    rim = [(radius, -0.09), (radius * 0.985, -0.105), (radius * 0.95, -0.1)]
    under = [rim[-1], (radius * 0.65, -0.07), (radius * 0.42, -0.14), (girth * 1.2, -0.28)]
    stem = [under[-1], (girth, -0.38), (girth * 1.1, -0.5), (0.0, -0.54)]
    shape = outline((CAP, top), (CAP, rim), (HYMENIUM, under), (STEM, stem), steps=steps_for(columns))
    form = turn_outline(
        shape,
        t,
        columns,
        shear=1.0,
        shear_from=-0.12,
        ruffle=0.02 + 0.025 * t.ruffle,
        lobes=0.1 + 0.05 * t.ruffle,
        waves=4,
        gills=52,
    )
    colors = colors_of(t.cap_color, "white", "white", shade=t.shade)
    colors[HYMENIUM] = 0.8 * colors[HYMENIUM] + 0.2 * colors[CAP]
    return form, Skin(colors, paint(t.cap_color), "plain", "gills", radius, gloss=0.2, glow=0.3)


def _tooth_fungus(t: Traits, columns: int) -> Body:
    rng = np.random.default_rng(t.seed)
    body = 0.3 * t.width
    limbs: list[list[float]] = [
        [0, 0.0, 0.05, 0, 0.05, body * 0.55, body * 0.7, body * 0.85],
        [0, 0.02, -0.15, 0, 0.0, 0.1, 0.16, 0.2],
    ]
    owners = [CAP, CAP]
    number = 110
    for i in range(number):
        # a sunflower pattern on the sphere leaves no bald patch
        y = 0.75 - 1.7 * (i + 0.5) / number
        angle = i * 2.39996 + 0.3 * rng.random()
        flat = math.sqrt(max(0.0, 1 - y * y))
        x, z = flat * math.cos(angle), flat * math.sin(angle)
        start = [body * 0.82 * x, 0.03 + body * 0.82 * y, body * 0.5 + body * 0.82 * z]
        length = (0.16 + 0.2 * (0.75 - y) / 1.7 + 0.06 * rng.random()) * t.height
        out = 0.1 + 0.12 * max(0.0, y)
        end = [start[0] + x * out, start[1] - length + 0.1 * max(0.0, y), start[2] + z * out]
        limbs.append([*start, *end, 0.034, 0.008])
        owners.append(HYMENIUM)
    form = melt_limbs(limbs, owners, t, round(columns * 1.15), melt=0.0)
    colors = colors_of(t.cap_color, t.cap_color, t.cap_color, shade=t.shade)
    return form, Skin(colors, colors[CAP], "plain", "plain", 0.5, gloss=0.08, glow=0.35)


_BUILDERS: dict[str, Callable[[Traits, int], Body]] = {
    "agaric": build_agaric,
    "bolete": build_bolete,
    "chanterelle": build_chanterelle,
    "fly_agaric": build_fly_agaric,
    "ink_cap": build_ink_cap,
    "parasol": build_parasol,
    "puffball": _puffball,
    "earthstar": _earthstar,
    "morel": _morel,
    "coral": _coral,
    "bracket": _bracket,
    "cup": _cup,
    "jelly_ear": _jelly_ear,
    "stinkhorn": _stinkhorn,
    "oyster": _oyster,
    "tooth_fungus": _tooth_fungus,
}


def build_body(traits: Traits, *, columns: int) -> Body:
    """Builds the form and the skin of these traits.

    Args:
        traits: what to build.
        columns: grid columns of the baked form; more are finer and slower (96 for 128 px, 240 for 512 px).
    """
    return _BUILDERS[traits.morphotype](traits, columns)
