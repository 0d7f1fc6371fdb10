"""The wide world: whatever else the styles draw, by the names that their icons share.

A judge has to know one thing in many hands, and a hundred things are too few to learn what a hand may change. Here no
icon is looked at and no word chosen, so nothing is painted or scored by these names.
Belongs here: which icons these are. How they are drawn does not (`pictures`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from fungal_assets.pocket.world.art import Art
from fungal_assets.pocket.world.concepts import WORLD_CONCEPTS, Concept
from fungal_assets.pocket.world.styles import TRAINING_STYLES
from fungal_assets.words import article_of

_UNWANTED = re.compile(
    r"mushroom|skin-tone|^flag|^family|^keycap|^input|button$|^\d+$|^[a-z]$|^(woman|man|person)-.*-facing-right"
)


def wide_concepts(
    art: Art, *, styles: Sequence[str] = TRAINING_STYLES, least_styles: int = 3
) -> tuple[Concept, ...]:
    """What at least `least_styles` of the styles draw under one icon name, and no concept of the world uses.

    Skin tones, flags, families, keys of a keyboard and mushrooms are left out.

    Args:
        art: Icons by style.
        styles: Which of them.
        least_styles: How many have to draw a thing.
    """
    used = {icon.replace("-", "") for one in WORLD_CONCEPTS for icons in one.icons.values() for icon in icons}
    hands: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    spelt: dict[str, str] = {}
    for style in styles:
        for icon in art[style].table["icons"]:
            plain = icon.replace("-", "")
            hands[plain][style] = (icon,)
            if len(icon) > len(spelt.get(plain, "")):
                spelt[plain] = icon
    return tuple(
        Concept(spelt[plain].replace("-", " "), "other", hands[plain], article_of(plain))
        for plain in sorted(hands)
        if len(hands[plain]) >= least_styles and plain not in used and not _UNWANTED.search(spelt[plain])
    )
