"""What a source says of where a fungus grew, in the words of captions.

Collectors note a habitat ("deciduous forest") and a substrate ("rotting log") in their own words. The substrate is
nearer to what a picture shows and goes first. Words of the vocabulary are found in the text; a text without them is
said as it is where it is short and plain, and left out otherwise: a caption is no place for coordinates or remarks.
Belongs here: from such texts to words. Guessing a habitat from pixels (`habitats`) does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fungal_assets.nomenclature.habitats import HABITAT_WORDS

_NOUNS: Mapping[str, str] = {
    "log": r"logs?|fallen (?:tree|trunk)s?",
    "tree_trunk": r"trunks?|bark|(?:living|standing) trees?",
    "leaf_litter": r"leaf[ -]?litter|fallen leaves|leaves|leaf mou?ld",
    "moss": r"moss(?:es)?|sphagnum",
    "snow": r"snow",
    "sand": r"sand|dunes?|beach",
    "field": r"grass|grassland|lawns?|meadows?|fields?|pastures?",
}
"""Nouns by habitat, in the order in which they are looked for: what stands on a mossy log stands on a log."""
_PATTERNS = {habitat: re.compile(rf"\b(?:{nouns})\b", re.IGNORECASE) for habitat, nouns in _NOUNS.items()}
_PREPOSITIONS = ("in", "on", "under", "near", "among", "at", "by", "beside", "along", "below", "beneath")
_UNTOLD = re.compile(
    r"\?|\b(?:no|not|none|unknown|without|un\w*determined|other|various|n/?a)\b", re.IGNORECASE
)
_PLAIN = re.compile(r"[A-Za-z]+(?:[ '-][A-Za-z]+)*")
_MOST_CHARACTERS, _MOST_WORDS = 40, 5


def word_place(*, habitat: str | None, substrate: str | None) -> str | None:
    """Such as "on a log" for the substrate "rotting log", or None where nothing can be said."""
    return _word(substrate, preposition="on") or _word(habitat, preposition="in")


def _word(text: str | None, *, preposition: str) -> str | None:
    told = " ".join((text or "").split())
    if not told or _UNTOLD.search(told):
        return None
    for habitat, pattern in _PATTERNS.items():
        if pattern.search(told):
            return HABITAT_WORDS[habitat]
    words = re.split(r"[;|,.(]", told)[0].strip()
    if not _PLAIN.fullmatch(words) or len(words) > _MOST_CHARACTERS or len(words.split()) > _MOST_WORDS:
        return None
    words = words[0].lower() + words[1:] if words[1:2].islower() else words
    return words if words.split()[0] in _PREPOSITIONS else f"{preposition} {words}"
