"""Who made what: `ATTRIBUTION.csv`, one line for each picture. Belongs here: that table and what was changed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

NAME = "ATTRIBUTION.csv"
TOLD = ("creator", "licence", "source", "origin", "page")
CHANGES = "turned upright, cropped, laid on a plain ground where it was transparent, resized, encoded as JPEG"


def write_attributions(path: Path, credits: Iterable[Mapping[str, Any]]) -> None:
    """Write one line per image in the order of the ids, with the changes that were made.

    Args:
        path: The file.
        credits: Rows with `image_id` and `TOLD`; no text of the whole table is made of them.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image_id", *TOLD, "changes"])
        for row in sorted(credits, key=lambda row: row["image_id"]):
            writer.writerow([row["image_id"], *(_harmless(row[name] or "") for name in TOLD), CHANGES])


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell
