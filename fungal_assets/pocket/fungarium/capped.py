"""The six morphotypes of cap and stem: their forms and skins.

What they share stands in `outlines`; the other ten in `bodies`. Torch kernel module.
"""

from __future__ import annotations

from fungal_assets.pocket.fungarium.outlines import (
    Body,
    capped_outline,
    cut_for_ring,
    stem_side,
    steps_for,
    turn_outline,
)
from fungal_assets.pocket.fungarium.palette import paint, rgb
from fungal_assets.pocket.fungarium.shapes import CAP, HYMENIUM, RING, STEM, Relief, outline
from fungal_assets.pocket.fungarium.skins import Skin, colors_of
from fungal_assets.pocket.fungarium.traits import Traits


def build_agaric(t: Traits, columns: int) -> Body:
    """Builds the cap-and-stem morphotype of this name."""
    radius, tall, girth = 0.42 * t.width, 0.68 * t.height, 0.058 * t.stout
    rise = {"convex": 0.3, "conical": 0.42, "flat": 0.2, "funnel": 0.22}[t.cap_shape] * t.width
    lift = {"convex": 0.08, "conical": 0.14, "flat": 0.0, "funnel": -0.16}[t.cap_shape]
    under = [(radius * 0.6, tall + 0.55 * lift - 0.03), (radius * 0.3, tall + lift * 0.9 - 0.03)]
    stem = stem_side(tall + lift - 0.03, girth, girth * 1.3, start=0.0)
    shape = capped_outline(
        t.cap_shape,
        radius=radius,
        rise=rise,
        rim_y=tall,
        thick=0.035,
        under=under,
        stem=stem,
        steps=steps_for(columns),
        ring=(tall * 0.68, 0.06) if t.has_ring else None,
    )
    relief = {
        "smooth": None,
        "scaly": Relief("scales", 0.085, 0.008),
        "wrinkled": Relief("wrinkles", 0.07, 0.02),
    }[t.texture]
    if t.spots:
        relief = Relief("warts", 0.1, 0.013)
    form = turn_outline(shape, t, columns, relief=relief, bend=t.bend, ruffle=0.03 * t.ruffle, gills=56)
    pattern = "warts" if t.spots else "scales" if t.texture == "scaly" else "plain"
    marks = rgb(240, 232, 214) if t.spots else paint(t.cap_color) * 0.4
    return form, Skin(
        colors_of(t.cap_color, t.gill_color, t.stem_color, shade=t.shade),
        marks,
        pattern,
        "gills",
        radius,
        gloss=0.22 if t.texture == "smooth" else 0.08,
    )


def build_bolete(t: Traits, columns: int) -> Body:
    """Builds the cap-and-stem morphotype of this name."""
    radius, tall, girth = 0.46 * t.width, 0.5 * t.height, 0.12 * t.stout
    under = [(radius * 0.8, tall - 0.075), (radius * 0.5, tall - 0.085), (girth * 1.4, tall - 0.05)]
    stem = stem_side(tall - 0.03, girth, girth * 1.35, start=0.0, bulb=0.03)
    shape = capped_outline(
        "convex",
        radius=radius,
        rise=0.34,
        rim_y=tall,
        thick=0.05,
        under=under,
        stem=stem,
        steps=steps_for(columns),
    )
    relief = Relief("wrinkles", 0.1, 0.02) if t.texture == "wrinkled" else None
    form = turn_outline(shape, t, columns, relief=relief, bend=0.5 * t.bend, ruffle=0.02 * t.ruffle)
    skin = Skin(
        colors_of(t.cap_color, t.gill_color, t.stem_color, shade=t.shade),
        paint(t.cap_color),
        "plain",
        "pores",
        radius,
        gloss=0.3,
    )
    return form, skin


def build_chanterelle(t: Traits, columns: int) -> Body:
    """Builds the cap-and-stem morphotype of this name."""
    radius, tall, girth = 0.4 * t.width, 0.62 * t.height, 0.075 * t.stout
    under = [(radius * 0.72, tall - 0.13), (radius * 0.42, tall - 0.27), (girth * 1.35, tall - 0.4)]
    stem = [(girth, tall - 0.5), (girth * 0.85, 0.06), (girth * 0.7, -0.06), (0.0, -0.1)]
    top = [
        (0.0, tall - 0.2),
        (radius * 0.2, tall - 0.17),
        (radius * 0.5, tall - 0.06),
        (radius * 0.8, tall + 0.02),
        (radius, tall),
    ]
    rim = [(radius, tall), (radius * 1.01, tall - 0.02), (radius * 0.96, tall - 0.045)]
    shape = outline(
        (CAP, top), (CAP, rim), (HYMENIUM, [rim[-1], *under, stem[0]]), (STEM, stem), steps=steps_for(columns)
    )
    form = turn_outline(
        shape,
        t,
        columns,
        bend=0.6 * t.bend,
        ruffle=0.05 + 0.06 * t.ruffle,
        lobes=0.08 + 0.08 * t.ruffle,
        gills=30,
    )
    colors = colors_of(t.cap_color, t.cap_color, t.cap_color, shade=t.shade)
    colors[HYMENIUM] *= 1.05
    colors[STEM] = 0.88 * colors[STEM] + 0.12 * paint("white")
    return form, Skin(colors, paint(t.cap_color), "plain", "gills", radius, gloss=0.1, glow=0.3)


def build_fly_agaric(t: Traits, columns: int) -> Body:
    """Builds the cap-and-stem morphotype of this name."""
    radius, tall, girth = 0.44 * t.width, 0.66 * t.height, 0.066 * t.stout
    rise = 0.32 if t.cap_shape == "convex" else 0.24
    lift = 0.07 if t.cap_shape == "convex" else 0.0
    under = [(radius * 0.6, tall + 0.5 * lift - 0.03), (radius * 0.3, tall + lift - 0.03)]
    stem = stem_side(tall + lift - 0.02, girth, girth * 1.2, start=0.0, bulb=0.055)
    shape = capped_outline(
        t.cap_shape,
        radius=radius,
        rise=rise,
        rim_y=tall,
        thick=0.035,
        under=under,
        stem=stem,
        steps=steps_for(columns),
        ring=(tall * 0.74, 0.085) if t.has_ring else None,
    )
    relief = Relief("warts", 0.125, 0.016, share=0.38) if t.spots else None
    form = turn_outline(shape, t, columns, relief=relief, bend=0.6 * t.bend, gills=64)
    colors = colors_of(t.cap_color, "white", t.stem_color, shade=t.shade)
    return form, Skin(colors, rgb(246, 238, 218), "warts" if t.spots else "plain", "gills", radius, gloss=0.4)


def build_ink_cap(t: Traits, columns: int) -> Body:
    """Builds the cap-and-stem morphotype of this name."""
    radius, tall, girth = 0.2 * t.width, 0.42 * t.height, 0.045 * t.stout
    top = [
        (0.0, tall + 0.56),
        (radius * 0.35, tall + 0.53),
        (radius * 0.72, tall + 0.4),
        (radius * 0.93, tall + 0.2),
        (radius * 1.0, tall + 0.06),
        (radius * 1.08, tall),
    ]
    rim = [(radius * 1.08, tall), (radius * 1.06, tall - 0.02), (radius * 0.98, tall - 0.005)]
    under = [(radius * 0.8, tall + 0.15), (radius * 0.5, tall + 0.25)]
    stem = stem_side(tall + 0.26, girth, girth * 1.35, start=0.0)
    shape = outline(
        (CAP, top),
        (HYMENIUM, rim),
        (HYMENIUM, [rim[-1], *under, stem[0]]),
        (STEM, stem),
        steps=steps_for(columns),
    )
    scaly = t.texture == "scaly"
    relief = Relief("warts", 0.062, 0.008, share=0.42) if scaly else Relief("wrinkles", 0.05, 0.012)
    form = turn_outline(shape, t, columns, relief=relief, bend=0.5 * t.bend, ruffle=0.015)
    marks = rgb(150, 116, 84) if scaly else paint(t.cap_color) * 0.75
    colors = colors_of(t.cap_color, "black", t.stem_color, shade=t.shade)
    return form, Skin(colors, marks, "inky", "plain", radius * 1.1, gloss=0.08, low=tall)


def build_parasol(t: Traits, columns: int) -> Body:
    """Builds the cap-and-stem morphotype of this name."""
    radius, tall, girth = 0.48 * t.width, 0.9 * t.height, 0.036 * t.stout
    rise = 0.2
    top = [
        (0.0, tall + rise + 0.05),
        (radius * 0.07, tall + rise + 0.045),
        (radius * 0.17, tall + rise - 0.005),
        (radius * 0.5, tall + 0.7 * rise),
        (radius * 0.82, tall + 0.33 * rise),
        (radius, tall - 0.02),
    ]
    rim = [(radius, tall - 0.02), (radius * 1.005, tall - 0.04), (radius * 0.97, tall - 0.04)]
    stem = stem_side(tall + 0.08, girth, girth * 1.3, start=0.0, bulb=0.02)
    above, skirt, below = cut_for_ring(stem, tall * 0.7, girth, 0.06)
    shape = outline(
        (CAP, top),
        (CAP, rim),
        (HYMENIUM, [rim[-1], (radius * 0.6, tall + 0.03), (radius * 0.25, tall + 0.07), stem[0]]),
        (STEM, above),
        (RING, skirt),
        (STEM, below),
        steps=steps_for(columns),
    )
    form = turn_outline(shape, t, columns, relief=Relief("scales", 0.075, 0.012), bend=0.3 * t.bend, gills=70)
    colors = colors_of(t.cap_color, "white", t.stem_color, shade=t.shade)
    if t.cap_color != "white":
        colors[CAP] = 0.55 * colors[CAP] + 0.45 * rgb(214, 190, 156)
    marks = paint("brown" if t.cap_color in ("white", "brown") else t.cap_color) * 0.55
    return form, Skin(colors, marks, "scales", "gills", radius, gloss=0.06)
