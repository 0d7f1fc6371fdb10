"""Captions: the traits of a picture in words.

`caption_words` gives the exact words, `describe` a caption in which some drop out by chance; the morphotype
and its colour nearly always stay. Only what the traits make true is said. What is out of the ordinary is always said:
another number than one, another distance than the middle, another view than the morphotype's own (`portrait_view`).
So a caption that says none of these means one kind of picture, which is what a plain prompt should get.
"""

from __future__ import annotations

import numpy as np

from fungal_assets.pocket.fungarium.folk_names import name_folk
from fungal_assets.pocket.fungarium.morphotypes import ANGLED_VIEW, MORPHOTYPE_TABLE, portrait_view
from fungal_assets.pocket.fungarium.traits import Traits
from fungal_assets.words import plural_of, with_article

_PLACES = {
    "field": ("in a field", "in the grass", "in a meadow"),
    "moss": ("in moss", "on green moss", "on the mossy forest floor"),
    "leaf_litter": ("in leaf litter", "among fallen leaves", "on the forest floor"),
    "log": ("on a log", "on a fallen log", "on a mossy log"),
    "tree_trunk": ("on a tree trunk", "on the bark of a tree"),
    "sand": ("in sand", "on a sandy beach", "on a dune"),
    "snow": ("in snow", "in the snow", "on snowy ground"),
    "dark_room": ("on a black background", "in a dark room"),
}
_SHELF_PLACES = {
    "field": ("on a tree in a field",),
    "moss": ("on a tree in the forest",),
    "leaf_litter": ("on a tree in the autumn forest",),
    "sand": ("on a tree in the sand",),
    "snow": ("on a tree in the snow", "on a snowy tree"),
}
_COUNTS = ("one", "two", "three", "four", "five")
_NAMED = 0.35
_CLASSED = 0.6
_COLOUR_AFTER = 0.3
_PORTRAIT_VIEW_SAID = 0.5
_OPENINGS = ("a photo of", "a photo of", "a photo of", "a picture of", "a close photo of")
_SNAPSHOT_OPENINGS = ("a snapshot of", "a snapshot of", "a field snapshot of", "a phone snapshot of")
_TABLES = ("on a table", "on paper", "on a plain table")


def caption_words(traits: Traits, *, is_snapshot: bool = False) -> dict[str, str | None]:
    """Returns the words that are true of the picture, by slot; None where a slot has nothing to say."""
    kind = MORPHOTYPE_TABLE[traits.morphotype]
    shape = {"conical": "a conical cap", "flat": "a flat cap", "funnel": "a funnel shaped cap"}.get(
        traits.cap_shape
    )
    spots = "white spots" if traits.spots else None
    return {
        "morphotype": kind.words[0],
        "color": traits.cap_color,
        "count": _COUNTS[traits.count - 1],
        "spots": spots,
        "cap_shape": shape if traits.morphotype == "agaric" else None,
        "stem": f"a {traits.stem_color} stem" if _shows_stem(traits) else None,
        "texture": traits.texture
        if traits.texture != "smooth" and traits.morphotype in ("agaric", "bolete")
        else None,
        "place": _places(traits, is_snapshot=is_snapshot)[0],
        "view": traits.view or ANGLED_VIEW,
        "closeness": traits.closeness,
    }


def _places(traits: Traits, *, is_snapshot: bool) -> tuple[str, ...]:
    """What may be said of where it grows: a shelf grows on a tree, wherever that stands.

    In a snapshot a shelf too lies amid the clutter, and a table takes the dark room's place.
    """
    if is_snapshot:
        return _TABLES if traits.habitat == "dark_room" else _PLACES[traits.habitat]
    is_shelf = MORPHOTYPE_TABLE[traits.morphotype].is_shelf
    return (_SHELF_PLACES.get(traits.habitat) if is_shelf else None) or _PLACES[traits.habitat]


def _shows_stem(traits: Traits) -> bool:
    stemmed = traits.morphotype in (
        "agaric",
        "bolete",
        "fly_agaric",
        "ink_cap",
        "parasol",
        "morel",
        "stinkhorn",
    )
    return stemmed and traits.elevation_deg < 35 and traits.stem_color != traits.cap_color


def _subject(traits: Traits, rng: np.random.Generator) -> tuple[str, str | None]:
    """What is shown, and the colour if it is to be said after it."""
    words, kind = caption_words(traits), MORPHOTYPE_TABLE[traits.morphotype]
    if rng.random() < _NAMED:
        name, is_classed = name_folk(traits, rng), rng.random() < _CLASSED
        if traits.count > 1:
            return f"{words['count']} {name} mushrooms", traits.cap_color
        return with_article(f"{name} mushroom" if is_classed else name), traits.cap_color
    noun = kind.words[0] if rng.random() < 0.6 else str(rng.choice(kind.words))
    texture = f"{words['texture']} " if words["texture"] and rng.random() < 0.5 else ""
    is_after, is_said = rng.random() < _COLOUR_AFTER, rng.random() < 0.95
    color = f"{traits.cap_color} " if is_said and not is_after else ""
    after = traits.cap_color if is_said and is_after else None
    if traits.count == 1:
        return with_article(f"{texture}{color}{noun}"), after
    counted = words["count"] if traits.count == 2 or rng.random() < 0.6 else "a cluster of"
    return f"{counted} {texture}{color}{plural_of(noun)}", after


def describe(traits: Traits, *, rng_seed: int, is_snapshot: bool = False) -> str:
    """Writes a caption, such as "a photo of a red fly agaric mushroom with white spots, growing in moss".

    Some call the fungus by a folk name, as the captions of a growth do: "a photo of a scarlet moss amanita mushroom,
    red, in moss"; some say the colour after it.

    Args:
        traits: what the picture shows.
        rng_seed: the same seed gives the same caption; another may drop or swap words.
        is_snapshot: whether the picture is one of `snapshot`, which its first words always say.
    """
    rng = np.random.default_rng(rng_seed)
    words = caption_words(traits)
    openings = _OPENINGS if traits.closeness == "up close" else _OPENINGS[:4]
    opening = str(rng.choice(_SNAPSHOT_OPENINGS if is_snapshot else openings))
    subject, color_after = _subject(traits, rng)
    text = f"{opening} {subject}"
    details = [
        words[slot]
        for slot, chance in (("spots", 0.9), ("cap_shape", 0.5), ("stem", 0.4))
        if words[slot] and rng.random() < chance
    ]
    if details:
        text += " with " + " and ".join(str(d) for d in details)
    text += f", {color_after}" if color_after else ""
    if rng.random() < 0.9:
        choices = _places(traits, is_snapshot=is_snapshot)
        verb = "growing " if traits.habitat != "dark_room" and rng.random() < 0.5 else ""
        place = choices[0] if rng.random() < 0.6 else rng.choice(choices)
        text += f"{', ' if verb or color_after else ' '}{verb}{place}"
    if words["view"] != portrait_view(traits.morphotype) or rng.random() < _PORTRAIT_VIEW_SAID:
        text += f", {words['view']}"
    return f"{text}, {words['closeness']}" if words["closeness"] else text
