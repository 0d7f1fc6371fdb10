"""What every source gives: candidates, one by one, each with its bytes or the reason why there are none.

Belongs here: the nouns that all sources share. How any one of them is read does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypedDict

from fungal_assets.collection.licences import to_spdx

MAX_FILE_MB = 256


class Fault(NamedTuple):
    """Why a candidate could not be read: a short code, and what was found."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Candidate:
    """A file that may become a specimen.

    Args:
        data: Its bytes; empty if `fault` is set.
        origin: Where it lies in its source: a relative POSIX path, through archives and tables too, or a URL.
        source: What kind of source it is from: `specimens`, `folder`, `hub`, `urls`, `inaturalist`, `gbif`.
        creator: Who made it, or None.
        licence: SPDX id, or None.
        label: What its source calls it, or None.
        habitat: Where it grew, in its source's own words, or None.
        substrate: What it grew on, likewise.
        page: Where a person finds it on the web, or None.
        fault: Why it could not be read, or None.
    """

    data: bytes
    origin: str
    source: str = "folder"
    creator: str | None = None
    licence: str | None = None
    label: str | None = None
    habitat: str | None = None
    substrate: str | None = None
    page: str | None = None
    fault: Fault | None = None


class SourceSize(NamedTuple):
    """How many candidates a source has, and about how many bytes they hold together."""

    files: int
    total_bytes: int


class Source(Protocol):
    """Anything that pictures come from."""

    def candidates(self) -> Iterator[Candidate]:
        """Everything that the source holds, always in the same order; what cannot be read has a fault."""

    def measure(self) -> SourceSize:
        """The size of the source, without reading its pictures."""

    def fingerprint(self) -> str:
        """A hash that changes if the candidates do, as hex."""


class Note(TypedDict, total=False):
    """What a table says about a candidate: its fields of these names."""

    creator: str | None
    licence: str | None
    label: str | None
    habitat: str | None
    substrate: str | None
    page: str | None


def describe(row: Mapping[str, Any]) -> Note:
    """Creator, licence (as SPDX id), label, habitat, substrate and page of a candidate by what a table says."""
    licence = _text(row.get("licence") or row.get("license"))
    return {
        "creator": _text(row.get("creator")),
        "licence": to_spdx(licence) if licence else None,
        "label": _text(row.get("label")),
        "habitat": _text(row.get("habitat")),
        "substrate": _text(row.get("substrate")),
        "page": _text(row.get("page")),
    }


def is_hidden(name: str) -> bool:
    """Whether a part of a relative path is hidden, or what macOS puts beside files in archives."""
    return any(
        part.startswith(".") and part not in (".", "..") or part == "__MACOSX" for part in name.split("/")
    )


def printable(name: str) -> str:
    """A name as text that can be written anywhere: bytes that are no UTF-8 become question marks."""
    return name.encode("utf-8", "replace").decode()


def _text(value: object) -> str | None:
    return str(value).strip() or None if value is not None else None
