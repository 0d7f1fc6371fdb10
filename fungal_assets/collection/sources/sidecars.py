"""Sidecars: `metadata.csv` or `metadata.jsonl` beside pictures, as Hugging Face image folders have it.

Each row has `file_name` (relative to the sidecar), and any of `creator`, `licence` (or `license`), `label`, `habitat`,
`substrate`, `page`. Any folder may have one; of two that tell of one picture the nearer counts.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fungal_assets.collection.sources.candidates import Candidate, Fault, Note, describe
from fungal_assets.errors import InputError

SIDECARS = ("metadata.csv", "metadata.jsonl")


@dataclass
class Told:
    """What sidecars say.

    Args:
        notes: Of each picture, by its path.
        unread: What could not be read, as candidates with a fault.
    """

    notes: dict[str, Note] = field(default_factory=dict)
    unread: list[Candidate] = field(default_factory=list)

    def take(self, name: str) -> Note:
        """What they say of a picture, once; nothing where they don't."""
        return self.notes.pop(name, {})

    def left(self, holder: str) -> Iterator[Candidate]:
        """A candidate with a fault for each sidecar that is of no use, and for each row that nobody has taken.

        Args:
            holder: What was searched.
        """
        yield from self.unread
        fault = Fault("missing", f"the sidecar names it, but the {holder} does not hold it")
        for name, note in sorted(self.notes.items()):
            yield Candidate(b"", name, **note, fault=fault)


def is_sidecar(name: str) -> bool:
    """Whether a file of that relative path is one."""
    return PurePosixPath(name).name in SIDECARS


def read_sidecars(texts: Mapping[str, bytes | Fault], *, where: str) -> Told:
    """What sidecars say of each picture by relative path.

    Args:
        texts: Bytes of each sidecar by its relative path, or why there are none.
        where: What holds them, for messages.

    Raises:
        InputError: There are two in the top folder, or the one there cannot be read; others are told as faults.
    """
    told, in_folder = Told(), Counter(PurePosixPath(name).parent for name in texts)
    for name in sorted(texts, key=lambda name: len(PurePosixPath(name).parts)):
        folder = PurePosixPath(name).parent
        try:
            if in_folder[folder] > 1:
                raise InputError(
                    f"{_place(where, folder)} holds {' and '.join(SIDECARS)}; expected one of them. Remove the other."
                )
            found = _read_one(texts[name], folder, f"{where}/{name}")
        except InputError as error:
            if folder == PurePosixPath():
                raise
            told.unread.append(Candidate(b"", name, fault=Fault("unusable_sidecar", str(error))))
        else:
            told.notes |= found
    return told


def _place(where: str, folder: PurePosixPath) -> str:
    return f"source {where!r}" if folder == PurePosixPath() else f"folder {folder.as_posix()!r} of {where!r}"


def _read_one(data: bytes | Fault, folder: PurePosixPath, path: str) -> dict[str, Note]:
    if isinstance(data, Fault):
        raise InputError(f"sidecar {path!r} cannot be read: {data.detail}.")
    return {(folder / str(row["file_name"])).as_posix(): describe(row) for row in _rows(path, data)}


def _rows(path: str, data: bytes) -> list[dict[str, Any]]:
    try:
        text = data.decode("utf-8-sig")
        if path.endswith(".csv"):
            rows = list(csv.DictReader(text.splitlines()))
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"sidecar {path!r} cannot be read: {error}. Save it as UTF-8, or remove it."
        ) from error
    faulty = [
        number for number, row in enumerate(rows, 1) if not isinstance(row, dict) or not row.get("file_name")
    ]
    if faulty:
        raise InputError(
            f"sidecar {path!r} has no 'file_name' in row {faulty[0]} ({len(faulty)} such rows); "
            "expected the relative path of a picture in every row. Mend or remove it."
        )
    return rows
