"""Draws traits by chance, the same for the same seed.

Belongs here: the order of the draws and the choice of camera. What a morphotype may look like stands in
`morphotypes`. A trait that is asked for takes the place of its draw and moves no other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fungal_assets.errors import InputError
from fungal_assets.pocket.fungarium.morphotypes import HABITATS, MORPHOTYPE_TABLE, MORPHOTYPES, Morphotype
from fungal_assets.pocket.fungarium.palette import COLORS
from fungal_assets.pocket.fungarium.traits import Traits

VIEWS = ("side view", "front view", "back view", "seen from above", "seen from below")
ONE_COLORED = ("chanterelle", "jelly_ear", "tooth_fungus", "puffball", "coral")


def _draw(rng: np.random.Generator, weights: dict[str, float] | tuple[str, ...]) -> str:
    names = list(weights)
    shares = np.array(list(weights.values()) if isinstance(weights, dict) else [1.0] * len(names), float)
    return names[int(np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(), side="right"))]


def _is_on_wall(kind: Morphotype, habitat: str) -> bool:
    return kind.is_shelf or habitat == "tree_trunk"


def _elevation_deg(kind: Morphotype, habitat: str, view: str | None, chance: float, where: float) -> float:
    top = 80.0
    if _is_on_wall(kind, habitat):
        top = 62.0
    if view == "seen from above":
        return 52.0 + where * (top - 52.0)
    if view == "seen from below":
        return -14.0 + 9.0 * where
    if view is not None:
        return 3.0 + 14.0 * where
    below = 0.1 if kind.has_underside else 0.0
    if chance < below:
        return -14.0 + 9.0 * where
    if chance < 0.55:
        return 3.0 + 16.0 * where
    if chance < 0.8:
        return 20.0 + 28.0 * where
    return 52.0 + where * (top - 52.0)


def _azimuth_deg(kind: Morphotype, habitat: str, view: str | None, where: float, side: bool) -> float:
    if view == "back view":
        return 180.0 + 50.0 * (where - 0.5)
    if not _is_on_wall(kind, habitat):
        return 360.0 * where - 180.0
    if view == "front view":
        return 44.0 * (where - 0.5)
    if view == "side view":
        return (55.0 + 20.0 * where) * (1 if side else -1)
    return 120.0 * (where - 0.5)


def name_view(traits: Traits) -> str | None:
    """Returns the view words that the camera of these traits makes true, or None."""
    kind = MORPHOTYPE_TABLE[traits.morphotype]
    turn = (traits.azimuth_deg + 180.0) % 360.0 - 180.0
    if traits.elevation_deg > 50:
        return "seen from above"
    if traits.elevation_deg < 0:
        return "seen from below" if kind.has_underside else "side view"
    if traits.elevation_deg >= 20:
        return None
    if kind.is_shelf and abs(turn) <= 25:
        return "front view"
    if kind.is_shelf and abs(turn) >= 150:
        return "back view"
    if kind.is_shelf and abs(turn) < 45:
        return None
    return "side view"


def views_of(morphotype: str) -> tuple[str, ...]:
    """Those of `VIEWS` that there are of a morphotype: only a shelf has a front, not all have an underside."""
    kind = MORPHOTYPE_TABLE[morphotype]
    there = {"front view": kind.is_shelf, "back view": kind.is_shelf, "seen from below": kind.has_underside}
    return tuple(view for view in VIEWS if there.get(view, True))


def _check(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")


def sample_traits(
    seed: int,
    *,
    morphotype: str | None = None,
    habitat: str | None = None,
    cap_color: str | None = None,
    stem_color: str | None = None,
    view: str | None = None,
    closeness: str | None = None,
    count: int | None = None,
    spots: bool | None = None,
    cap_shape: str | None = None,
) -> Traits:
    """Draws the traits of one picture.

    Args:
        seed: the same seed and requests give the same traits.
        morphotype: one of `MORPHOTYPES`, or None to draw it.
        habitat: one of `HABITATS`, or None to draw one that suits.
        cap_color: colour word of the cap, or None to draw it.
        stem_color: colour word of the stem, or None to draw it.
        view: one of `VIEWS`, or None for any camera.
        closeness: 'up close', 'from afar', or None to draw.
        count: 1 to 5, or None.
        spots: whether there are warts, or None.
        cap_shape: 'convex', 'conical', 'flat', 'funnel', or None.

    Raises:
        InputError: a request is not a known word, or no such view exists of the morphotype.
    """
    _check("morphotype", morphotype, MORPHOTYPES)
    _check("habitat", habitat, HABITATS)
    _check("cap_color", cap_color, tuple(COLORS))
    _check("stem_color", stem_color, tuple(COLORS))
    _check("view", view, VIEWS)
    _check("closeness", closeness, ("up close", "from afar"))
    _check("cap_shape", cap_shape, ("convex", "conical", "flat", "funnel"))
    rng = np.random.default_rng(seed)
    drawn = MORPHOTYPES[int(rng.integers(len(MORPHOTYPES)))]
    name = morphotype or drawn
    kind = MORPHOTYPE_TABLE[name]
    if view is not None and view not in views_of(name):
        lacks = "nothing to see from below" if view == "seen from below" else "no front"
        raise InputError(f"view is {view!r}, but {name!r} has {lacks}; ask for 'side view'.")
    if view == "back view" and habitat not in (None, "dark_room"):
        raise InputError(
            f"view is 'back view', but the wood of {habitat!r} hides it; ask for habitat 'dark_room'."
        )
    if count is not None and not 1 <= count <= 5:
        raise InputError(f"count is {count}; give 1 to 5.")
    drawn = _draw(rng, kind.habitats)
    place = habitat or ("dark_room" if view == "back view" else drawn)
    drawn_cap, drawn_stem, gill = (
        _draw(rng, c) for c in (kind.cap_colors, kind.stem_colors, kind.gill_colors)
    )
    cap = cap_color or drawn_cap
    stem = stem_color or (cap if name in ONE_COLORED else drawn_stem)
    gill = cap if name in ONE_COLORED else gill
    chances = rng.random(24)
    drawn_closeness = "up close" if chances[0] < 0.25 else "from afar" if chances[0] > 0.82 else None
    near = closeness or drawn_closeness
    fill = {"up close": 0.98 + 0.2 * chances[1], "from afar": 0.48 + 0.08 * chances[1]}.get(
        near or "", 0.64 + 0.2 * chances[1]
    )
    counts = np.array(kind.counts) / sum(kind.counts)
    drawn_count = 1 + int(np.searchsorted(np.cumsum(counts), chances[2] * 0.999999, side="right"))
    slack = max(0.0, 0.96 - fill) * 0.35
    drawn_shape = kind.cap_shapes[int(chances[21] * len(kind.cap_shapes))]
    traits = Traits(
        seed=seed,
        morphotype=name,
        habitat=place,
        cap_color=cap,
        stem_color=stem,
        gill_color=gill,
        spots=bool(chances[3] < kind.spots_chance) if spots is None else spots,
        texture=kind.textures[int(chances[4] * len(kind.textures))],
        cap_shape=cap_shape or drawn_shape,
        has_ring=bool(chances[5] < kind.ring_chance),
        count=count or drawn_count,
        closeness=near,
        view=None,
        azimuth_deg=_azimuth_deg(kind, place, view, float(chances[6]), bool(chances[7] < 0.5)),
        elevation_deg=_elevation_deg(kind, place, view, float(chances[8]), float(chances[9])),
        fov_deg=float(24 + 22 * chances[10]),
        frame_fill=float(fill),
        shift_x=float(slack * (2 * chances[11] - 1)),
        shift_y=float(slack * (2 * chances[12] - 1)),
        width=float(0.82 + 0.4 * chances[13]),
        height=float(0.8 + 0.4 * chances[14]),
        stout=float(0.8 + 0.5 * chances[15]),
        bend=float(0.24 * (2 * chances[16] - 1)),
        ruffle=float(chances[17]),
        shade=float(0.88 + 0.24 * chances[18]),
        sun_azimuth_deg=float(100 * (2 * chances[19] - 1)),
        sun_elevation_deg=float(38 + 27 * chances[20]),
    )
    return replace(traits, view=name_view(traits))


def sample_portrait(seed: int, *, morphotype: str | None = None, view: str | None = None) -> Traits:
    """Draws the traits of a fungus as a field guide shows it: alone, whole, in the middle, in its `portrait_view`.

    Args:
        seed: the same seed gives the same traits; they share the morphotype and colours of `sample_traits(seed)`.
        morphotype: one of `MORPHOTYPES`, or None to draw it.
        view: another of the `views_of` the morphotype.
    """
    morphotype = morphotype or sample_traits(seed).morphotype
    kind = MORPHOTYPE_TABLE[morphotype]
    usual = "front view" if kind.is_shelf else "side view"
    traits = sample_traits(seed, morphotype=morphotype, view=view or usual, count=1)
    chances = np.random.default_rng([seed, 1]).random(2)
    lift_deg = 22.0 + 6.0 * chances[0] if kind.is_hollow and view is None else 0.0
    portrait = replace(
        traits,
        closeness=None,
        frame_fill=float(0.76 + 0.08 * chances[1]),
        shift_x=0.2 * traits.shift_x,
        shift_y=0.2 * traits.shift_y,
        bend=0.6 * traits.bend,
        elevation_deg=traits.elevation_deg + lift_deg,
    )
    return replace(portrait, view=name_view(portrait))
