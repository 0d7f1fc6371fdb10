"""English names by grammar: describing words in their order, then a head noun.

A pattern is a row of parts. Words of a pattern must fit the colours that were measured, be unused in the growth, and
give a name that is new. The head noun is in the singular: a species is one thing. Belongs here: the patterns and the
choice. Measuring and Latin do not.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import cache
from itertools import accumulate
from random import Random

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.latin import fits
from fungal_assets.nomenclature.lexicon import Lexicon
from fungal_assets.nomenclature.novelty import KnownNames
from fungal_assets.nomenclature.tables import PARTS, rude_words, stopwords

Pattern = tuple[str, ...]

# Order in English: possessive, quality, texture, colour, place or thing, head.
COLOURED_PATTERNS: tuple[Pattern, ...] = (
    ("colour", "place", "head"),
    ("colour", "place", "head"),
    ("texture", "colour", "head"),
    ("quality", "colour", "head"),
    ("quality", "colour", "head"),
    ("possessive", "colour", "head"),
    ("colour", "animal", "head"),
    ("colour", "object", "head"),
)
PLAIN_PATTERNS: tuple[Pattern, ...] = (
    ("quality", "place", "head"),
    ("quality", "place", "head"),
    ("texture", "place", "head"),
    ("possessive", "place", "head"),
    ("texture", "animal", "head"),
    ("quality", "object", "head"),
)
_TRIES = 3000


def coin_common_name(
    rng: Random,
    lexicon: Lexicon,
    *,
    fitting_colours: Sequence[str],
    morphotype: str,
    used_names: Sequence[str],
    known: KnownNames,
) -> str:
    """Coin one common name of two or three words.

    Args:
        rng: Decides the choice.
        lexicon: The words.
        fitting_colours: Basic colour terms that may be said of the cluster; none gives a name without a
            colour.
        morphotype: The form of the cluster; a head noun for another form may not be said of it.
        used_names: Common names that the growth has given already; their words are not used again while
            others last.
        known: Common names of real fungi.

    Raises:
        InputError: No new name was found with these words.
    """
    used, said = KnownNames(used_names), " ".join(used_names)
    spoken = set(said.split())
    fitting = _fitting_words(lexicon, fitting_colours, morphotype)
    pools = {
        part: [word for word in words if not _is_near(word, said, spoken)] or words
        for part, words in fitting.items()
    }
    patterns = COLOURED_PATTERNS if fitting_colours else PLAIN_PATTERNS
    for _ in range(_TRIES):
        choices = [pools[part] for part in rng.choice(patterns)]
        words = [rng.choice(words) for words in choices] if all(choices) else []
        name = " ".join(words)
        if words and reads_well(words) and known.nearest(name) is None and used.nearest(name) is None:
            return name
    raise InputError(
        f"no new common name found in {_TRIES} tries; {len(used_names)} are given already and the lexicon "
        f"has {len(lexicon.of_part('head'))} head words. Add names with extra_names or find fewer clusters."
    )


def _fitting_words(lexicon: Lexicon, fitting_colours: Sequence[str], morphotype: str) -> dict[str, list[str]]:
    """Words by part that may be said of something of these colours and this form; heads that tell it, if any do."""
    parts = {
        word.word: word.part
        for word in lexicon.words.values()
        if word.word not in stopwords()
        and fits(word.colours, fitting_colours)
        and fits(word.morphotypes, [morphotype])
    }
    pools = {part: sorted(word for word, own in parts.items() if own == part) for part in PARTS}
    heads = [head for head in pools["head"] if not _is_plural(head)]
    telling = [head for head in heads if lexicon.words[head].morphotypes]
    return pools | {"head": telling or heads}


def _is_near(word: str, used_names: str, spoken: Set[str]) -> bool:
    """Whether a word is, holds, or is held in one of the used names: `cap` is near `waxcap`."""
    return word in used_names or not spoken.isdisjoint(_pieces(word))


@cache
def _pieces(word: str) -> frozenset[str]:
    """Every run of letters in a word, the word itself among them."""
    return frozenset(word[start:end] for start in range(len(word)) for end in range(start + 1, len(word) + 1))


def _is_plural(head: str) -> bool:
    return head.endswith("s") and not head.endswith(("ss", "us"))


def reads_well(words: Sequence[str]) -> bool:
    """No word within another of the same name, as in `cup cupcap`, and no two that make a rude one together."""
    is_nested = any(first in second for first in words for second in words if first is not second)
    return not is_nested and not _joins_rudely(words)


def _joins_rudely(words: Sequence[str]) -> bool:
    """Whether a rude word reaches over the space between two words, as in `dwarf agaric`."""
    joined, spaces = "".join(words), list(accumulate(map(len, words)))[:-1]
    return any(
        -1 < joined.find(rude, max(0, space - len(rude) + 1)) < space
        for rude in rude_words()
        for space in spaces
    )
