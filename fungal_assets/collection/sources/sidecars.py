"""Sidecars: `metadata.csv` or `metadata.jsonl` in the top folder, as Hugging Face image folders have it.

Each row has `file_name` (relative), and any of `creator`, `licence` (or `license`), `label`, `habitat`,
`substrate`, `page`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fungal_assets.collection.sources.candidates import Candidate, Fault, Note, describe
from fungal_assets.errors import InputError

SIDECARS = ("metadata.csv", "metadata.jsonl")
Notes = dict[str, Note]


def read_sidecars(texts: Mapping[str, bytes], *, where: str) -> Notes:
    """What sidecars say of each picture by relative path.

    Args:
        texts: Bytes of each sidecar by its name; none where there is no sidecar.
        where: What holds them, for messages.

    Raises:
        InputError: There are two, or one cannot be read.
    """
    if len(texts) > 1:
        raise InputError(
            f"source {where!r} holds {' and '.join(SIDECARS)}; expected one of them. Remove the other."
        )
    rows = [row for name, data in texts.items() for row in _rows(f"{where}/{name}", data)]
    return {str(row["file_name"]).removeprefix("./"): describe(row) for row in rows}


def missing_rows(notes: Notes, *, holder: str) -> Iterator[Candidate]:
    """A candidate with a fault for each row that nothing was found for; `holder` is what was searched."""
    fault = Fault("missing", f"the sidecar names it, but the {holder} does not hold it")
    for name, note in sorted(notes.items()):
        yield Candidate(b"", name, **note, fault=fault)


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
