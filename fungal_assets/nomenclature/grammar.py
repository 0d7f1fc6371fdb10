"""English names by grammar: describing words in their order, then a head noun.

A pattern is a row of parts. Words of a pattern must fit the colours that were measured, be unused in the
growth, and give a name that is new. Belongs here: the patterns and the choice. Measuring and Latin do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.latin import fits
from fungal_assets.nomenclature.lexicon import Lexicon
from fungal_assets.nomenclature.novelty import nearest_known
from fungal_assets.nomenclature.tables import PARTS, stopwords

Pattern = tuple[str, ...]

# Order in English: possessive, quality, texture, colour, place or thing, head.
COLOURED_PATTERNS: tuple[Pattern, ...] = (
    ("colour", "place", "head"),
    ("colour", "place", "head"),
    ("texture", "colour", "head"),
    ("quality", "colour", "head"),
    ("possessive", "colour", "head"),
    ("colour", "animal", "head"),
    ("colour", "object", "head"),
)
PLAIN_PATTERNS: tuple[Pattern, ...] = (
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
    known: Iterable[str],
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
    known, spoken = [*known, *used_names], {word for name in used_names for word in name.split()}
    fitting = _fitting_words(lexicon, fitting_colours, morphotype)
    pools = {
        part: [word for word in words if not _is_near(word, spoken)] or words
        for part, words in fitting.items()
    }
    patterns = COLOURED_PATTERNS if fitting_colours else PLAIN_PATTERNS
    for _ in range(_TRIES):
        choices = [pools[part] for part in rng.choice(patterns)]
        words = [rng.choice(words) for words in choices] if all(choices) else []
        if words and _reads_well(words) and nearest_known(" ".join(words), known) is None:
            return " ".join(words)
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
    telling = [head for head in pools["head"] if lexicon.words[head].morphotypes]
    return pools | {"head": telling or pools["head"]}


def _is_near(word: str, avoided: set[str]) -> bool:
    """Whether a word is, holds, or is held in an avoided one: `cap` is near `waxcap`."""
    return any(word in other or other in word for other in avoided)


def _reads_well(words: Sequence[str]) -> bool:
    """No word within another of the same name, as in `cup cupcap`."""
    return not any(first in second for first in words for second in words if first is not second)
