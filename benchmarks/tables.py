"""Tables of shares that are filled row by row: what is finished is kept, so that a broken run goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fungal_assets.store import write_atomically

Rows = dict[str, dict[str, float]]


def read_table(folder: Path) -> Rows:
    """The rows that are finished, by name; makes the folder that they are kept in."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.json"
    return json.loads(path.read_text()) if path.exists() else {}


def keep_rows(folder: Path, rows: Rows, what: str, columns: Mapping[str, str]) -> None:
    """Keep the rows so far, and print them in Markdown; what was not measured is left empty.

    Args:
        folder: As of `read_table`.
        rows: All that are finished.
        what: What a row is.
        columns: Titles by the name of the share.
    """
    write_atomically(folder / "rows.json", json.dumps(rows, indent=1))
    print(f"\n| {what} | {' | '.join(columns.values())} |\n|---|{'---|' * len(columns)}")
    for name, row in rows.items():
        cells = [f"{row[key]:.2f}" if key in row else "" for key in columns]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
