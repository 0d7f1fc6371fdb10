"""How numbers, names and hashes are written on a page.

Belongs here: one value in, a few characters out. Sentences stand in the templates.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

SHORT_HASH = 12
_NUMERALS = (
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)


def to_roman(number: int) -> str:
    """A plate's number, 1 or more, in Roman numerals."""
    text = ""
    for value, numeral in _NUMERALS:
        text += numeral * (number // value)
        number %= value
    return text


def to_percent(share: float) -> str:
    """A share, 1 being all of it, in whole percent."""
    return f"{share * 100:.0f}\N{NARROW NO-BREAK SPACE}%"


def to_size(size_bytes: int) -> str:
    """A file's size in kB or MB."""
    if size_bytes < 1_000_000:
        return f"{max(size_bytes, 1) / 1000:.3g}\N{NARROW NO-BREAK SPACE}kB"
    return f"{size_bytes / 1e6:.1f}\N{NARROW NO-BREAK SPACE}MB"


def to_duration(seconds: float) -> str:
    """A time span in the two units that tell most."""
    if seconds < 60:
        return f"{seconds:.3g}\N{NARROW NO-BREAK SPACE}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def to_sentence_case(name: str) -> str:
    """A name with its first letter raised, the rest as it is."""
    return name[:1].upper() + name[1:]


def shorten_hash(digest: str) -> str:
    """The first digits of a hash."""
    return digest[:SHORT_HASH]


def to_words(identifier: str) -> str:
    """A field's name as words, its unit suffix as a unit."""
    text = identifier.removeprefix("is_").removeprefix("has_")
    for suffix, unit in (("_px", ", px"), ("_deg", ", degrees"), ("_s", ", s"), ("_mb", ", MB")):
        text = text.removesuffix(suffix) + unit if text.endswith(suffix) else text
    return to_sentence_case(text.replace("_", " "))


def to_value(value: Any) -> str:
    """A setting or figure: numbers at four digits, lists by commas, an empty value as a dash."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(to_value, value)) or "–"
    return str(value) if value not in (None, "") else "–"


def to_href(path: str) -> str:
    """A relative POSIX path as it stands in a link."""
    return quote(path, safe="/")
