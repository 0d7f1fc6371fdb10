"""What a source says of where a fungus grew, in the words of captions.

Collectors note a habitat ("deciduous forest") and a substrate ("rotting log") in their own words. The substrate is
nearer to what a picture shows and goes first. Nothing of such a text is said as it stands: it may hold a person's
name, a remark, another language. A noun of the vocabulary is found in it and the words for that one are said; a text
without any tells nothing, and what was measured stands. A noun counts where it ends its phrase, as in "moss on a log"
and not in "field trip". Belongs here: from such texts to words. Guessing a habitat from pixels (`habitats`) does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fungal_assets.nomenclature.habitats import HABITAT_WORDS

_NOUNS: Mapping[str, str] = {
    HABITAT_WORDS["log"]: r"logs?|(?:fallen|felled) (?:tree|trunk)s?",
    "on a stump": r"(?:tree )?stumps?",
    HABITAT_WORDS["tree_trunk"]: r"(?:tree )?trunks?|bark|(?:living|standing) trees?",
    "on wood chips": r"wood ?-?chips?|bark chip(?:ping)?s|(?:bark |wood )?mulch",
    "on dead wood": r"(?:dead|rotten|rotting|decaying|decayed|buried) ?-?(?:hard|soft)?wood|woody debris",
    "on a branch": r"branch(?:es)?|twigs?|sticks?",
    "on dung": r"dung|droppings|manure",
    "on a cone": r"(?:pine|spruce|fir) ?cones?|cones?",
    HABITAT_WORDS["leaf_litter"]: r"leaf[ -]?litter|(?:fallen|dead) leaves|leaves|leaf mou?ld",
    "among needles": r"(?:needle|conifer|pine|spruce) litter|needles",
    HABITAT_WORDS["moss"]: r"moss(?:es)?|sphagnum",
    HABITAT_WORDS["snow"]: r"snow",
    HABITAT_WORDS["sand"]: r"sand|(?:sand )?dunes?|beach(?:es)?",
    "on soil": r"soils?|bare (?:earth|ground)|humus|clay",
    "in a garden": r"gardens?|flower ?-?beds?",
    "in a park": r"(?<!car )parks?",
    HABITAT_WORDS["field"]: r"grass(?:es)?|grasslands?|lawns?|meadows?|fields?|pastures?",
    "on a roadside": r"roadsides?|(?:road )?verges?",
    "in a bog": r"(?:peat ?)?bogs?|mires?|fens?|peatlands?",
    "in a marsh": r"marsh(?:es)?|swamps?|wetlands?",
    "on a heath": r"heaths?|heathlands?|moors?|moorlands?",
    "in woodland": r"woods|woodlands?|copses?|groves?",
    "in a forest": r"forests?|rainforests?",
}
"""Nouns by the words that are said, in the order in which they are looked for: what stands on a mossy log stands on a
log, and what stands on soil in a forest on soil."""
_OF_SUBSTRATES: Mapping[str, str] = {"on wood": r"(?:hard|soft)?wood"}
"""As a habitat "wood" is another thing."""
_ENDS_PHRASE = (
    r"(?= ?$| ?[;|,.()/:&+]| [-–] | (?:and|or|with|in|on|under|near|among|amongst|at|by|beside|along|below|beneath|"
    r"of|from|to|next|covered|floor|edges?|margins?)\b)"
)
_PATTERNS, _SUBSTRATE_PATTERNS = (
    {
        said: re.compile(rf"(?<![\w-])(?:{nouns}){_ENDS_PHRASE}", re.IGNORECASE)
        for said, nouns in table.items()
    }
    for table in (_NOUNS, {**_NOUNS, **_OF_SUBSTRATES})
)
_UNTOLD = re.compile(
    r"\?|\b(?:no|not|none|unknown|without|un\w*determined|other|various|n/?a)\b|"
    r"\b(?:found|collected|taken|seen|identified|photographed|photo|picture|posted) by\b",
    re.IGNORECASE,
)


def word_place(*, habitat: str | None, substrate: str | None) -> str | None:
    """Such as "on a log" for the substrate "rotting log", or None where nothing can be said."""
    return _find(substrate, _SUBSTRATE_PATTERNS) or _find(habitat, _PATTERNS)


def _find(text: str | None, patterns: Mapping[str, re.Pattern[str]]) -> str | None:
    """The words of the first noun that the text has, or None."""
    told = " ".join((text or "").split())
    if _UNTOLD.search(told):
        return None
    return next((said for said, pattern in patterns.items() if pattern.search(told)), None)
