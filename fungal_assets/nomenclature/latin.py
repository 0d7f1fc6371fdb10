"""Latin binomials for invented species: a genus of two Greek stems and an epithet in its gender.

The end of the genus gives the gender (International Code of Nomenclature for algae, fungi, and plants, articles 23.5
and 62.2); an adjective takes the ending of that gender, a noun in apposition (`lignicola`) and an adjective of one
ending (`elegans`) none. Stems are joined by the vowel of their language, o in Greek and i in Latin (article 60.10 and
recommendation 60G), which `stems.csv` spells out.

A new genus makes the binomial new, and nearly all of the proof is there. Two binomials within two edits of each other
have genera within two edits, or their spaces are not matched; that alone costs two edits, so the rest is letter for
letter the same and one genus begins with the whole other one. Genera of both kinds are refused, whatever the epithet,
so no table of species is needed. Belongs here: Latin. English names (`grammar`) do not.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Container, Iterable, Sequence
from random import Random

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.novelty import KnownNames
from fungal_assets.nomenclature.tables import Stem, real_genera, shipped_stems

GENDERS = ("masculine", "feminine", "neuter")
_TRIES = 2000


def decline(epithet: Stem, gender: str) -> str:
    """The epithet in one gender: `decline(aure-, "neuter")` is `"aureum"`."""
    ending = epithet.form.split()[GENDERS.index(gender)]
    return epithet.stem if ending == "-" else epithet.stem + ending


def fits(said: Sequence[str], measured: Container[str]) -> bool:
    """Whether a word that says one of these colours or forms may be said of what was measured; a word of none may."""
    return not said or any(trait in measured for trait in said)


class Genera:
    """Genera that are taken, so that a new one can be told.

    Args:
        genera: Of real fungi beside those that ship.
    """

    def __init__(self, genera: Iterable[str] = ()):
        self._taken = {*real_genera(), *genera}
        self._sorted = sorted(self._taken)
        self._known = KnownNames(self._sorted)
        self._told: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._sorted)

    def is_new(self, genus: str) -> bool:
        """Whether it is three edits or more from every taken one, and neither begins with the other."""
        if genus not in self._told:
            self._told[genus] = not self._shares_start(genus) and self._known.nearest(genus) is None
        return self._told[genus]

    def _shares_start(self, genus: str) -> bool:
        """Whether a taken genus begins with the whole of this one, or this one with the whole of a taken one."""
        place = bisect(self._sorted, genus)
        is_start = place < len(self._sorted) and self._sorted[place].startswith(genus)
        starts_so = any(genus[:length] in self._taken for length in range(2, len(genus)))
        return is_start or starts_so


def coin_binomial(
    rng: Random, *, measured_colours: Sequence[str], genera: Genera, used: Sequence[str] = ()
) -> str:
    """Coin one binomial that fits the colours and is new.

    Args:
        rng: Decides the choice.
        measured_colours: Basic colour terms of the thing.
        genera: Those of real fungi.
        used: Binomials that the growth has given already; none of their words is used again, nor a genus near theirs.

    Raises:
        InputError: The stems are used up.
    """
    starts, ends, epithets = (_of(part, measured_colours) for part in ("genus_start", "genus_end", "epithet"))
    words = {word for name in used for word in name.split()}
    own = KnownNames(name.split()[0] for name in used)
    for _ in range(_TRIES):
        start, end, epithet = rng.choice(starts), rng.choice(ends), rng.choice(epithets)
        genus = start.stem + end.stem
        is_double = bool(start.colours and epithet.colours)
        is_used = any(decline(epithet, gender) in words for gender in GENDERS)
        if not (is_double or is_used) and own.nearest(genus) is None and genera.is_new(genus):
            return f"{genus} {decline(epithet, end.form)}"
    raise InputError(
        f"no new binomial found in {_TRIES} tries for the colours {list(measured_colours)!r}; "
        "add stems to fungal_assets/nomenclature/stems.csv or find fewer clusters."
    )


def may_be_said(binomial: str, colours: Sequence[str]) -> bool:
    """Whether stems of the table make this binomial, none of which says another colour than these."""
    genus, epithet = binomial.split()
    starts, ends, epithets = (_of(part, colours) for part in ("genus_start", "genus_end", "epithet"))
    genders = {end.form for start in starts for end in ends if start.stem + end.stem == genus}
    return any(decline(one, gender) == epithet for one in epithets for gender in genders)


def _of(part: str, measured_colours: Sequence[str]) -> list[Stem]:
    return [stem for stem in shipped_stems() if stem.part == part and fits(stem.colours, measured_colours)]
