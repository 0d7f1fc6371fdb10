"""What is true of a picture, and texts that say some of it: what the judge learns from.

A text is right for every picture of which all that it says is true, so "a photo of a morel mushroom" is right for all
morels, and "a photo of a brown bolete mushroom in snow" for few. Thus forms, colours, places and views are each learnt,
whatever else would already tell two pictures apart.
Belongs here: facts and their wording for the judge. The captions that the model learns from do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from fungal_assets.pocket.fungarium import MORPHOTYPE_TABLE, Traits, caption_words
from fungal_assets.pocket.world import Concept
from fungal_assets.words import article_of, with_article

MEDIA = ("{}", "a drawing of {}", "a picture of {}", "an illustration of {}")
_SAID = 0.5
_SYNONYM = 0.2


@dataclass(frozen=True)
class Facts:
    """All that a text may say of one picture; None where there is nothing to say.

    Args:
        thing: Its names, the usual one first.
        article: Of the usual name.
        color: Colour word of a fungus.
        place: Where a fungus grows, such as `"in moss"`.
        view: View words of a fungus.
    """

    thing: tuple[str, ...]
    article: str
    color: str | None = None
    place: str | None = None
    view: str | None = None


def facts_of_fungus(traits: Traits, *, is_snapshot: bool = False) -> Facts:
    """What is true of a rendered fungus."""
    words, names = caption_words(traits, is_snapshot=is_snapshot), MORPHOTYPE_TABLE[traits.morphotype].words
    return Facts(names, article_of(names[0]), words["color"], words["place"], words["view"])


def facts_of_drawing(concept: Concept) -> Facts:
    """What is true of a drawing."""
    return Facts((concept.name, *concept.synonyms), concept.article)


def truths(facts: Sequence[Facts]) -> np.ndarray:
    """The facts as numbers, equal where they agree: int64, shape (N, 5), -1 where there is none."""
    known: dict[object, int] = {}
    rows = [
        [-1 if value is None else known.setdefault(value, len(known)) for value in astuple(one)]
        for one in facts
    ]
    return np.array(rows, dtype=np.int64)


def say(facts: Facts, rng: np.random.Generator) -> tuple[str, tuple[bool, ...]]:
    """A text that says some of the facts, and which: the thing always, each of the others by chance.

    Returns:
        The text, and a flag per field of `Facts`.
    """
    chances = rng.random(5)
    is_synonym = len(facts.thing) > 1 and chances[0] < _SYNONYM
    name = facts.thing[rng.integers(1, len(facts.thing))] if is_synonym else facts.thing[0]
    traits = (facts.color, facts.place, facts.view)
    says = tuple(one is not None and bool(chances[i] < _SAID) for i, one in enumerate(traits, 1))
    flags = (True, False, *says)
    if facts.view is not None:
        color, place, view = (one if is_said else None for one, is_said in zip(traits, says, strict=True))
        return word_fungus(name, color=color, place=place, view=view), flags
    is_counted = is_synonym and facts.article in ("a", "an")
    phrase = with_article(name) if is_counted else f"{facts.article} {name}".lstrip()
    return MEDIA[rng.integers(len(MEDIA))].format(name if chances[4] < _SAID else phrase), flags


def word_fungus(
    name: str, *, color: str | None = None, place: str | None = None, view: str | None = None
) -> str:
    """A text of a fungus, such as `"a photo of a brown bolete mushroom, in moss, side view"`."""
    subject = with_article(f"{color} {name}" if color else name)
    return ", ".join([f"a photo of {subject}", *(part for part in (place, view) if part)])


def is_right(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Which pictures each text is right for: bool, shape (B, B), rows pictures, columns texts.

    Args:
        truth: int64, shape (B, F): the facts of each picture, of which text j was made from row j.
        said: bool, shape (B, F): what text j says.
    """
    return ((truth[:, None] == truth[None]) | ~said[None]).all(axis=2)
