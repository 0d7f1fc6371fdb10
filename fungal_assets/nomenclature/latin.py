"""Latin binomials for invented species: a genus of two Greek stems and an epithet in its gender.

The end of the genus gives the gender (Code of nomenclature for algae, fungi and plants, articles 23.5 and
62), the epithet takes the ending of that gender. Belongs here: Latin. English names (`grammar`) do not.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from random import Random

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.novelty import nearest_known
from fungal_assets.nomenclature.tables import Stem, shipped_stems, taken_genera

GENDERS = ("masculine", "feminine", "neuter")
_TRIES = 2000


def decline(epithet: Stem, gender: str) -> str:
    """The epithet in one gender: `decline(aure-, "neuter")` is `"aureum"`."""
    ending = epithet.form.split()[GENDERS.index(gender)]
    return epithet.stem if ending == "-" else epithet.stem + ending


def fits(said: Sequence[str], measured: Container[str]) -> bool:
    """Whether a word that says one of these colours or forms may be said of what was measured; a word of none may."""
    return not said or any(trait in measured for trait in said)


def coin_binomial(
    rng: Random, *, measured_colours: Sequence[str], known: Iterable[str], used: Container[str]
) -> str:
    """Coin one binomial that fits the colours and is new.

    Args:
        rng: Decides the choice.
        measured_colours: Basic colour terms of the thing.
        known: Binomials of real fungi.
        used: Words of the binomials that the growth has given already.

    Raises:
        InputError: The stems are used up.
    """
    known = list(known)
    genera = {name.split()[0] for name in known}
    starts, ends, epithets = (_of(part, measured_colours) for part in ("genus_start", "genus_end", "epithet"))
    for _ in range(_TRIES):
        start, end, epithet = rng.choice(starts), rng.choice(ends), rng.choice(epithets)
        genus = start.stem + end.stem
        name = f"{genus} {decline(epithet, end.form)}"
        is_double = bool(start.colours and epithet.colours)
        is_used = genus in used or any(decline(epithet, gender) in used for gender in GENDERS)
        if is_double or is_used or genus in taken_genera():
            continue
        if nearest_known(genus, genera) is None and nearest_known(name, known) is None:
            return name
    raise InputError(
        f"no new binomial found in {_TRIES} tries for the colours {list(measured_colours)!r}; "
        "add stems to fungal_assets/nomenclature/stems.csv or find fewer clusters."
    )


def _of(part: str, measured_colours: Sequence[str]) -> list[Stem]:
    return [stem for stem in shipped_stems() if stem.part == part and fits(stem.colours, measured_colours)]
