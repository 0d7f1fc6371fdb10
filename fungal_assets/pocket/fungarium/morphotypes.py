"""The sixteen morphotypes: their words and the distributions of their traits.

Belongs here: what may be true of each kind of fungus, as a table. How it is shaped stands in `bodies`; how
traits are drawn from the table in `sampling`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Morphotype:
    """One kind of fungus.

    Attributes:
        words: nouns for captions, the plainest first.
        cap_colors: colour words and weights; `stem_colors`, `gill_colors` likewise.
        cap_shapes: shapes of the cap, or ('none',).
        textures: surface textures.
        spots_chance: chance of warts; `ring_chance`, of a ring.
        counts: weights of 1 to 5 fruiting bodies.
        habitats: habitats that it likes; others stay possible on request.
        is_shelf: whether it grows sideways out of wood and so has a front.
        has_underside: whether something is to be seen from below.
        is_hollow: whether it opens upwards and so tells most from above its rim.
    """

    words: tuple[str, ...]
    cap_colors: dict[str, float]
    stem_colors: dict[str, float]
    gill_colors: dict[str, float]
    cap_shapes: tuple[str, ...] = ("none",)
    textures: tuple[str, ...] = ("smooth",)
    spots_chance: float = 0.0
    ring_chance: float = 0.0
    counts: tuple[float, ...] = (5, 2, 1, 1, 1)
    habitats: tuple[str, ...] = ("field", "moss", "leaf_litter", "log", "sand", "snow", "dark_room")
    is_shelf: bool = False
    has_underside: bool = False
    is_hollow: bool = False


_PALE = {"white": 4.0, "grey": 1.0, "yellow": 1.0, "brown": 1.0}
_ANY = {
    "brown": 3,
    "red": 2,
    "white": 2,
    "yellow": 2,
    "orange": 2,
    "grey": 1,
    "purple": 2,
    "blue": 1.5,
    "green": 1.2,
    "pink": 1.5,
    "black": 0.8,
}
_WOOD = ("tree_trunk", "tree_trunk", "tree_trunk", "log", "log", "dark_room", "snow", "field", "moss")

MORPHOTYPE_TABLE: dict[str, Morphotype] = {
    "agaric": Morphotype(
        ("mushroom", "gilled mushroom", "agaric"), _ANY, _PALE, {"white": 3, "brown": 2, "pink": 1, "grey": 1},
        ("convex", "convex", "conical", "flat"), ("smooth", "smooth", "scaly", "wrinkled"), 0.1, 0.3,
        has_underside=True,
    ),
    "bolete": Morphotype(
        ("bolete mushroom", "bolete"), {"brown": 6, "red": 2, "orange": 1, "yellow": 1, "black": 0.5, "pink": 0.5},
        {"white": 2, "yellow": 2, "brown": 1, "red": 1, "orange": 0.5}, {"yellow": 4, "white": 1, "orange": 0.6},
        ("convex",), ("smooth", "smooth", "wrinkled"), counts=(6, 2, 1, 0.3, 0.2), has_underside=True,
    ),
    "chanterelle": Morphotype(
        ("chanterelle mushroom", "chanterelle"), {"yellow": 4, "orange": 4, "white": 0.5, "black": 0.7, "purple": 0.6},
        {"yellow": 1}, {"yellow": 1}, ("funnel",), counts=(2, 2, 2, 2, 2), has_underside=True,
        habitats=("moss", "moss", "leaf_litter", "leaf_litter", "field", "log", "sand", "snow", "dark_room"),
    ),
    "fly_agaric": Morphotype(
        ("fly agaric mushroom", "fly agaric", "toadstool"), {"red": 8, "orange": 2, "yellow": 1.5},
        {"white": 1}, {"white": 1}, ("convex", "convex", "flat"), spots_chance=0.97, ring_chance=0.9,
        has_underside=True,
    ),
    "ink_cap": Morphotype(
        ("ink cap mushroom", "ink cap"), {"white": 4, "grey": 4, "brown": 2}, {"white": 1}, {"black": 1},
        ("conical",), ("scaly", "scaly", "smooth"), ring_chance=0.2, counts=(2, 2, 2, 2, 2),
        habitats=("field", "field", "moss", "leaf_litter", "log", "sand", "snow", "dark_room"),
    ),
    "parasol": Morphotype(
        ("parasol mushroom",), {"brown": 5, "white": 2, "grey": 1}, {"white": 2, "brown": 2}, {"white": 1},
        ("flat",), ("scaly",), ring_chance=1.0, counts=(6, 2, 1, 0.3, 0.2), has_underside=True,
        habitats=("field", "field", "field", "moss", "leaf_litter", "log", "sand", "snow", "dark_room"),
    ),
    "puffball": Morphotype(
        ("puffball mushroom", "puffball"), {"white": 5, "brown": 2, "yellow": 0.7, "purple": 0.5, "grey": 1},
        {"white": 1}, {"white": 1}, textures=("smooth", "scaly", "scaly"), counts=(3, 2, 2, 1, 1),
    ),
    "earthstar": Morphotype(
        ("earthstar fungus", "earthstar"), {"brown": 4, "grey": 2, "white": 1, "pink": 0.4, "red": 0.4},
        {"brown": 3, "white": 1, "grey": 1}, {"brown": 1}, counts=(5, 2, 1, 0.3, 0.2),
        habitats=("leaf_litter", "leaf_litter", "moss", "sand", "field", "log", "snow", "dark_room"), is_hollow=True,
    ),
    "morel": Morphotype(
        ("morel mushroom", "morel"), {"brown": 5, "yellow": 2, "grey": 1.5, "black": 1.5}, {"white": 3, "yellow": 1},
        {"brown": 1}, ("conical",), ("wrinkled",), counts=(5, 2, 1.5, 0.5, 0.5),
    ),
    "coral": Morphotype(
        ("coral fungus", "coral mushroom"),
        {"yellow": 3, "orange": 3, "white": 2, "pink": 2, "purple": 2, "red": 1, "blue": 0.5}, {"white": 1},
        {"white": 1}, counts=(7, 2, 0.5, 0, 0),
    ),
    "bracket": Morphotype(
        ("bracket fungus", "shelf fungus", "polypore"),
        {"brown": 5, "orange": 3, "red": 1.5, "grey": 2, "white": 1, "yellow": 1.5, "blue": 0.5, "black": 0.5},
        {"brown": 1}, {"white": 2, "yellow": 1, "brown": 1}, textures=("smooth", "wrinkled"),
        counts=(2, 2, 3, 2, 2), habitats=_WOOD, is_shelf=True, has_underside=True,
    ),
    "cup": Morphotype(
        ("cup fungus", "elf cup"),
        {"red": 4, "orange": 4, "yellow": 1, "brown": 2, "purple": 1, "blue": 0.7, "green": 0.7, "black": 0.5},
        {"white": 1}, {"white": 1}, ("none",), counts=(2, 2, 3, 2, 2), is_hollow=True,
    ),
    "jelly_ear": Morphotype(
        ("jelly ear fungus", "jelly ear"), {"brown": 5, "orange": 2, "purple": 1.5, "pink": 1, "black": 1, "yellow": 1},
        {"brown": 1}, {"brown": 1}, textures=("wrinkled", "smooth"), counts=(1, 1, 3, 2, 2), habitats=_WOOD,
        is_shelf=True,
    ),
    "stinkhorn": Morphotype(
        ("stinkhorn fungus", "stinkhorn"), {"green": 4, "black": 2, "brown": 2, "red": 1, "orange": 1},
        {"white": 6, "pink": 1}, {"white": 1}, ("conical",), ("wrinkled",), counts=(6, 2, 1, 0.2, 0.1),
        habitats=("leaf_litter", "moss", "field", "log", "sand", "snow", "dark_room"),
    ),
    "oyster": Morphotype(
        ("oyster mushroom",), {"grey": 4, "white": 3, "brown": 2, "blue": 1.5, "pink": 2, "yellow": 2}, {"white": 1},
        {"white": 1}, ("none",), counts=(0.5, 1, 2, 3, 4), habitats=_WOOD, is_shelf=True, has_underside=True,
    ),
    "tooth_fungus": Morphotype(
        ("tooth fungus", "lion's mane mushroom", "bearded tooth fungus"),
        {"white": 6, "yellow": 1.5, "pink": 1, "orange": 0.7}, {"white": 1}, {"white": 1},
        counts=(6, 2, 1, 0, 0), habitats=_WOOD, is_shelf=True,
    ),
}  # fmt: skip
MORPHOTYPES: tuple[str, ...] = tuple(MORPHOTYPE_TABLE)
HABITATS: tuple[str, ...] = ("field", "moss", "leaf_litter", "log", "tree_trunk", "sand", "snow", "dark_room")
ANGLED_VIEW = "three-quarter view"


def portrait_view(morphotype: str) -> str:
    """The view of a morphotype that a caption need not name: its side, the front of a shelf, a cup at an angle."""
    kind = MORPHOTYPE_TABLE[morphotype]
    return "front view" if kind.is_shelf else ANGLED_VIEW if kind.is_hollow else "side view"
