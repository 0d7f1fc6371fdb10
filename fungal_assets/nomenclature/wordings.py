"""Many wordings of one picture: a small grammar of sentence patterns over the name and what was measured.

A model that reads one template learns the template. So each picture is told in several ways: as a list, with the colour
before the name or after it, with the place first, as a sentence, in short. The first wording says all that is surely
known; the others leave parts away. The noun after the name is what the species is, by its form or as all are: a base
model that has never heard the name still knows that, and begins there (Ruiz et al. 2022, arXiv:2208.12242). A picture
full of clutter opens as "a snapshot of" in every wording: what a caption says, the name need not carry, so that a
prompt without it asks for the species in a calm place.

A class wording says the same of "a mushroom" or "a fungus", without the invented name, and ties that to what the base
model knows. Belongs here: patterns and the draw of them. What is measured (`attributes`) and the table do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.attributes import Attributes
from fungal_assets.nomenclature.habitats import HABITAT_WORDS
from fungal_assets.words import plural_of, with_article

OPENING = "a photo of"
LEAST_ATTRIBUTES = 2
MOST_WORDINGS = 8
"""So many distinct wordings even a picture has of which only a colour and the light are known."""
_KEEP_CHANCE = 0.75
_CALM_OPENINGS = (OPENING, OPENING, "a picture of")
_CLASS_NOUN = "fungus"
_TRIES = 400


@dataclass(frozen=True)
class Parts:
    """What may be said of one picture besides what it is; None where nothing is known.

    Args:
        colour: Such as `"brown and white"`.
        place: Such as `"in moss"`.
        near: Such as `"up close"` or `"small in the frame"`.
        view: Such as `"side view"`.
        light: Such as `"in soft light"`.
        is_group: Whether it shows several.
    """

    colour: str | None
    place: str | None
    near: str | None
    view: str | None
    light: str | None
    is_group: bool

    @classmethod
    def of(cls, attributes: Attributes) -> Parts:
        """The parts of what was measured."""
        colour = " and ".join(attributes.colour_names) or None
        near, view = _nearness(attributes), attributes.view
        return cls(colour, attributes.habitat, near, view, attributes.light, attributes.count is not None)

    @property
    def sight(self) -> str | None:
        """How it is seen, such as "up close, side view"."""
        return _joined(self.near, self.view) or None

    def thinned(self, rng: Random) -> Parts:
        """The same with some left away, but not both colour and place."""
        parts = (self.colour, self.place, self.near, self.view)
        colour, place, near, view = (part if rng.random() < _KEEP_CHANCE else None for part in parts)
        if not colour and not place:
            colour, place = (self.colour, None) if self.colour else (None, self.place)
        light = self.light if rng.random() < 1 - _KEEP_CHANCE else None
        return Parts(colour, place, near, view, light, self.is_group)


@dataclass(frozen=True)
class Term:
    """What is shown, in both numbers, such as "amber bonnet mushroom" and "amber bonnet mushrooms".

    `many` is None where the plural would break up a name: "amber hollow teeth" is none that was given.
    """

    one: str
    many: str | None

    @classmethod
    def of(cls, name: str, class_noun: str) -> Term:
        """A species by its name and what it is, its name kept whole in both numbers."""
        noun = _with_noun(name, class_noun)
        plural = plural_of(noun)
        return cls(noun, plural if name in plural else None)

    def said(self, parts: Parts, *, before: str = "") -> str:
        """With its article, or as a group; `before` goes before the noun: "a group of brown mushrooms"."""
        if parts.is_group and self.many:
            return f"a group of {_spaced(before, self.many)}"
        return _spaced(with_article(_spaced(before, self.one)), "in a group" if parts.is_group else None)


Pattern = Callable[[str, Term, Parts], str]


def depict(name: str, class_noun: str, *, opening: str = OPENING) -> str:
    """The first words of a caption or prompt: "a photo of an amber hollow bonnet mushroom"."""
    return f"{opening} {with_article(_with_noun(name, class_noun))}"


def word_caption(subject: str, attributes: Attributes, image_id: str, *, seed: int) -> str:
    """Word the caption of a subject (`depict`), all that is known as a list in an order drawn by id and seed."""
    rng = Random(f"{seed}:{image_id}")
    said = _choose(attributes, rng)
    rng.shuffle(said)
    return ", ".join([subject, *said])


def word_image(
    name: str,
    class_noun: str,
    attributes: Attributes,
    image_id: str,
    *,
    opening: str,
    count: int,
    seed: int,
    described: str | None = None,
) -> list[str]:
    """All wordings of a picture, distinct, the caption first; the same id and seed give the same.

    Args:
        name: Of the species.
        class_noun: What the species is; empty to say the name alone.
        attributes: What was measured or told.
        image_id: Of the picture.
        opening: First words, such as `OPENING`.
        count: How many, 1 to `MOST_WORDINGS`.
        seed: Decides the patterns and the words.
        described: What a captioner says of the picture, or None; it is a wording of its own.

    Raises:
        InputError: There are not so many.
    """
    subject = depict(name, class_noun, opening=opening)
    first = [word_caption(subject, attributes, image_id, seed=seed)]
    first += [f"{subject}, {described}"] if described else []
    terms = [Term.of(name, class_noun)]
    rng = Random(f"{seed}:{image_id}:wordings")
    return _take(first, _draw(terms, attributes, opening, _PATTERNS, rng), count, image_id)


def word_class(
    class_noun: str, attributes: Attributes, image_id: str, *, opening: str, count: int, seed: int
) -> list[str]:
    """Wordings that say what the species is and what was measured, without its name: "a fungus in moss".

    Args:
        class_noun: What the species is; where it is empty, "fungus" is said.
        attributes: What was measured or told.
        image_id: Of the picture.
        opening: First words, such as `OPENING`.
        count: How many, 0 to `MOST_WORDINGS`.
        seed: Decides the patterns and the words.

    Raises:
        InputError: There are not so many.
    """
    terms = [Term(noun, plural_of(noun)) for noun in (class_noun, _CLASS_NOUN) if noun]
    rng = Random(f"{seed}:{image_id}:class")
    is_calm = opening == OPENING
    patterns = (*_PATTERNS, *([_plain] * 3 if is_calm else []))
    return _take([], _draw(terms, attributes, opening, patterns, rng), count, image_id)


def _nearness(attributes: Attributes) -> str | None:
    """Such as "up close", else such as "small in the frame", or None."""
    size = f"{attributes.size_in_frame} in the frame" if attributes.size_in_frame else None
    return attributes.closeness or size


def _with_noun(name: str, class_noun: str) -> str:
    """A name and what it is, no word twice: of "royal coral" and "coral fungus" a "royal coral fungus"."""
    last, nouns = name.split()[-1], class_noun.split()
    return " ".join([name, *(nouns[nouns.index(last) + 1 :] if last in nouns else nouns)])


def _choose(attributes: Attributes, rng: Random) -> list[str]:
    """What a caption says: all that was measured surely; the light fills up to the least number."""
    colours = list(attributes.colour_names)
    joined = rng.choice([" and ", " with "]).join(colours)
    sure = [joined, attributes.habitat, _nearness(attributes), attributes.count, attributes.view]
    words = [word for word in sure if word]
    return words + ([attributes.light] if len(words) < LEAST_ATTRIBUTES else [])


def _take(first: Sequence[str], more: Iterable[str], count: int, image_id: str) -> list[str]:
    found = dict.fromkeys(first[:count])
    for text in more:
        if len(found) >= count:
            break
        found[text] = None
    if len(found) < count:
        raise InputError(
            f"image {image_id!r} has only {len(found)} distinct wordings, {count} were asked for; set "
            f"captions.wordings and captions.class_wordings to {MOST_WORDINGS} at most."
        )
    return list(found)


def _draw(
    terms: Sequence[Term],
    attributes: Attributes,
    opening: str,
    patterns: Sequence[Pattern],
    rng: Random,
) -> Iterator[str]:
    """Wordings without end but for `_TRIES`: the patterns in a drawn order, then again in another."""
    openings = _CALM_OPENINGS if opening == OPENING else (opening,)
    known = Parts.of(attributes)
    for _ in range(_TRIES // len(patterns)):
        for pattern in rng.sample(list(patterns), len(patterns)):
            parts = known.thinned(rng)
            yield pattern(rng.choice(openings), rng.choice(terms), parts)


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _can_grow(place: str | None) -> bool:
    """Nothing grows on a black background."""
    return place not in (None, HABITAT_WORDS["dark"])


def _spaced(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _listed(opening: str, term: Term, parts: Parts) -> str:
    return _joined(f"{opening} {term.said(parts)}", parts.place, parts.colour, parts.sight, parts.light)


def _colour_before(opening: str, term: Term, parts: Parts) -> str:
    subject = term.said(parts, before=parts.colour or "")
    return _joined(_spaced(opening, subject, parts.place), parts.sight, parts.light)


def _colour_with(opening: str, term: Term, parts: Parts) -> str:
    plural = parts.colour and " " in parts.colour
    colour = f"with {parts.colour} {'colours' if plural else 'colour'}" if parts.colour else None
    return _joined(_spaced(opening, term.said(parts), colour, parts.light), parts.sight, parts.place)


def _place_first(opening: str, term: Term, parts: Parts) -> str:
    return _joined(parts.place, f"{opening} {term.said(parts)}", parts.sight, parts.colour, parts.light)


def _growing_there(opening: str, term: Term, parts: Parts) -> str:
    where = f"growing {parts.place}" if _can_grow(parts.place) else parts.place
    return _joined(_spaced(opening, term.said(parts), where), parts.sight, parts.colour, parts.light)


def _sentence(opening: str, term: Term, parts: Parts) -> str:
    they, be, grow = ("they", "are", "grow") if parts.is_group else ("it", "is", "grows")
    colour = f"{be} {parts.colour}" if parts.colour else None
    where = f"{grow if _can_grow(parts.place) else be} {parts.place}" if parts.place else None
    is_sight = parts.near and "frame" not in parts.near and not (parts.view or "").startswith("seen")
    seen = f"seen {parts.near}" if is_sight else parts.near
    told = " and ".join(filter(None, (colour, where)))
    first = _joined(f"{opening} {term.said(parts)}", seen, parts.view, parts.light)
    return f"{first}; {they} {told}" if told else first


def _short(opening: str, term: Term, parts: Parts) -> str:
    return _joined(f"{opening} {term.said(parts)}", parts.colour or parts.place)


def _plain(_opening: str, term: Term, parts: Parts) -> str:
    """No more than what and where, "fungi in a field"; only of a calm picture, for it has no opening."""
    noun = term.many if parts.is_group and term.many else with_article(term.one)
    return _spaced(noun, parts.place)


_PATTERNS: tuple[Pattern, ...] = (
    _listed,
    _colour_before,
    _colour_with,
    _place_first,
    _growing_there,
    _sentence,
    _short,
)
