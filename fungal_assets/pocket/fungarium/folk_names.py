"""Folk names: a rendered fungus called as English names fungi, such as "golden meadow bonnet".

A species of a growth bears an invented name out of the words of real ones. A model that never met these words can
neither show what they mean nor tell two names apart; so it meets each of them here beside pictures that it is true of:
colours and head nouns by what the lexicon says that they fit, places by habitat, textures by skin.
Belongs here: which words are true of which traits. How a caption is worded stands in `captions`.
"""

from __future__ import annotations

import numpy as np

from fungal_assets.nomenclature.tables import shipped_words
from fungal_assets.pocket.fungarium.traits import Traits

PLACES: dict[str, str] = {
    "field": "field meadow grass turf garden heath hill",
    "moss": "moss forest glade sphagnum bog wood",
    "leaf_litter": "leaf beech oak forest broadleaf wood",
    "log": "stump twig alder root birch wood",
    "tree_trunk": "bark elm willow poplar larch spruce",
    "sand": "sand dune island",
    "snow": "snow winter snowbank mountain",
    "dark_room": "cave moon hollow",
}
TEXTURES: dict[str, str] = {
    "smooth": "smooth silky oily soft",
    "scaly": "scaly shaggy flaky woolly",
    "wrinkled": "wrinkled ribbed netted pleated",
}
SPOTTED = "spotted warted dotted freckled jewelled"
_PLACED, _TEXTURED = 0.5, 0.35


def name_folk(traits: Traits, rng: np.random.Generator) -> str:
    """A folk name that the traits make true: a colour, by chance a texture and a place, and a head noun."""
    words = [str(rng.choice(colour_words(traits.cap_color)))]
    is_placed, is_textured = rng.random(2) < (_PLACED, _TEXTURED)
    if is_textured:
        textures = SPOTTED if traits.spots else TEXTURES[traits.texture]
        words.insert(0, str(rng.choice(textures.split())))
    if is_placed:
        words.append(str(rng.choice(PLACES[traits.habitat].split())))
    return " ".join([*words, str(rng.choice(head_nouns(traits.morphotype)))])


def colour_words(colour: str) -> list[str]:
    """The lexicon's colour words that fit a basic colour term, the term itself among them."""
    return sorted(
        word.word for word in shipped_words().values() if word.part == "colour" and colour in word.colours
    )


def head_nouns(morphotype: str) -> list[str]:
    """The lexicon's head nouns for a morphotype."""
    return sorted(word.word for word in shipped_words().values() if morphotype in word.morphotypes)
