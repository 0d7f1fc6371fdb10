"""Files that hold many pictures: which reader opens which, and how a damaged one is told.

Belongs here: the choice by suffix. A container that cannot be opened is one candidate with a fault, so that the files
beside it go through.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from fungal_assets.collection.sources.archives import TarArchive, ZipArchive
from fungal_assets.collection.sources.candidates import Candidate, Fault, SourceSize
from fungal_assets.collection.sources.tables import PictureTable
from fungal_assets.errors import InputError

KINDS = (ZipArchive, TarArchive, PictureTable)
SUFFIXES = tuple(suffix for kind in KINDS for suffix in kind.suffixes)


class Container(Protocol):
    """A file that holds pictures."""

    def candidates(self) -> Iterator[Candidate]:
        """What it holds; raises whatever its reader raises on a damaged file."""

    def measure(self) -> SourceSize:
        """How much it holds; raises as well."""


def find_container(path: Path) -> Container | None:
    """The reader of a file by its suffix, or None for any other file."""
    name = path.name.lower()
    return next((kind(path) for kind in KINDS if name.endswith(kind.suffixes)), None)


def read_container(container: Container, origin: str) -> Iterator[Candidate]:
    """Its candidates under the container's own origin; damage is the last one's fault."""
    try:
        for candidate in container.candidates():
            yield dataclasses.replace(candidate, origin=f"{origin}/{candidate.origin}")
    except InputError as error:
        yield Candidate(b"", origin, fault=Fault("unreadable", str(error)))
    except Exception as error:  # hostile bytes make readers raise anything; what was read before goes through
        yield Candidate(b"", origin, fault=Fault("broken", f"it cannot be read on: {error}"[:300]))


def measure_container(container: Container) -> SourceSize:
    """Its size; a damaged one counts as one file."""
    try:
        return container.measure()
    except Exception:  # told when it is read
        return SourceSize(1, 0)
