"""The lexicon: real names of fungi, split into words that are tagged by the part they play in a name.

Shipped words have their part from a table. A user's own table adds names; its unknown words are tagged by where they
stand in the name, and its bad lines are left out and told. Belongs here: compiling and reading the lexicon. Making
new names (`grammar`, `latin`) does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa

from fungal_assets.nomenclature.bad_lines import BadLine, keep_bad_lines, refuse_if_none_is_good
from fungal_assets.nomenclature.tables import Name, Word, read_csv, shipped_names, shipped_words, stopwords
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.shards import read_table, write_table
from fungal_assets.store import Figures

_COMMON = re.compile(r"[a-z]+(?:['-][a-z]+)*(?: [a-z]+(?:['-][a-z]+)*)*'?(?: [a-z]+)*")
_SCIENTIFIC = re.compile(r"[A-Z][a-z]+ [a-z]+(?:-[a-z]+)?")
_WORDS = pa.schema([("word", pa.string()), ("part", pa.string()), ("source", pa.string())])
_NAMES = pa.schema([(field.name, pa.string()) for field in fields(Name)])
_FAMILY = re.compile(r"(?:[A-Z][a-z]+aceae)?")
EXTRA = "extra names"


@dataclass(frozen=True)
class Lexicon:
    """Words and real names, as read back from a `name_lexicon` output.

    Args:
        words: Every word of the lexicon, by word.
        names: Every real fungus.
    """

    words: Mapping[str, Word]
    names: tuple[Name, ...]

    def of_part(self, part: str) -> list[Word]:
        """The words of one part, in alphabetical order."""
        return [self.words[word] for word in sorted(self.words) if self.words[word].part == part]


def compile_lexicon(folder: Path, *, extra_names: str | None, tell: Tell = stay_silent) -> Figures:
    """Write the lexicon: `words.parquet`, `names.parquet`, and `bad_lines.json` with what was left out.

    Args:
        folder: Where the tables go.
        extra_names: Path of a CSV with the columns common_name, scientific_name and optionally family, or
            None.
        tell: Progress.

    Raises:
        InputError: The CSV cannot be read, or none of its lines is good.
    """
    names = list(shipped_names())
    extra, bad = read_names(Path(extra_names)) if extra_names else ([], [])
    new = _new_names(extra, names)
    names += new
    words = tag_words(names)
    write_table(folder / "names.parquet", [asdict(name) for name in names], _NAMES)
    rows = [{"word": word.word, "part": word.part, "source": word.source} for word in words.values()]
    write_table(folder / "words.parquet", rows, _WORDS)
    told = keep_bad_lines(folder, bad, tell)
    tell(f"lexicon: {len(words)} words out of {len(names)} real names")
    heads = sum(word.part == "head" for word in words.values())
    return {
        "names": len(names),
        "words": len(words),
        "head_words": heads,
        "extra": len(new),
        "extra_known_already": len(extra) - len(new),
        **told,
    }


def read_lexicon(name_lexicon: Path) -> Lexicon:
    """Read a `name_lexicon` output back; colours of shipped words come from the shipped table."""
    known = shipped_words()
    rows = read_table(name_lexicon / "words.parquet")
    words = {
        row["word"]: known.get(row["word"]) or Word(row["word"], row["part"], row["source"]) for row in rows
    }
    return Lexicon(words, tuple(Name(**row) for row in read_table(name_lexicon / "names.parquet")))


def read_names(path: Path) -> tuple[list[Name], list[BadLine]]:
    """The good lines of a user's table of names as names, and the bad ones with all that is wrong with each.

    Raises:
        InputError: The table cannot be read, or has no good line.
    """
    good, bad = [], []
    for line, row in read_csv(path, ("common_name", "scientific_name")):
        name = Name(_plain(row["common_name"]), row["scientific_name"], row.get("family", ""), EXTRA, EXTRA)
        faults = list(_faults(name))
        if faults:
            bad.append(BadLine(path.name, line, "; ".join(faults)))
        else:
            good.append(name)
    refuse_if_none_is_good(path, good, bad)
    return good, bad


def tag_words(names: Iterable[Name]) -> dict[str, Word]:
    """Every usable word of the names and of the shipped table, by word in alphabetical order."""
    words = dict(shipped_words())
    for word, part in _untagged(names):
        words.setdefault(word, Word(word, part, EXTRA))
    return {word: words[word] for word in sorted(words)}


def _untagged(names: Iterable[Name]) -> Iterator[tuple[str, str]]:
    """Words that no table tags, with the part that their place in the name gives them."""
    for name in names:
        words = name.common_name.split()
        for index, word in enumerate(words):
            if word in stopwords() or len(word) < 3:
                continue
            is_last = index == len(words) - 1
            yield word, "possessive" if word.endswith(("'s", "s'")) else "head" if is_last else "quality"


def _new_names(extra: Iterable[Name], known: Iterable[Name]) -> list[Name]:
    seen = {name.scientific_name for name in known}
    return list({name.scientific_name: name for name in extra if name.scientific_name not in seen}.values())


def _plain(common_name: str) -> str:
    return " ".join(common_name.lower().replace("’", "'").split())


def _faults(name: Name) -> Iterator[str]:
    if not _COMMON.fullmatch(name.common_name):
        yield f"common_name {name.common_name!r} is not plain English words"
    if not _SCIENTIFIC.fullmatch(name.scientific_name):
        yield f"scientific_name {name.scientific_name!r} is not a genus and an epithet"
    if not _FAMILY.fullmatch(name.family):
        yield f"family {name.family!r} does not end in -aceae; leave it empty if it has none"
