"""A list of URLs: a CSV or Parquet table with a column `url`.

It may have any of the columns `page`, `creator`, `licence`, `label`, `habitat` and `substrate` too.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fungal_assets.collection.sources.candidates import describe
from fungal_assets.collection.sources.fetching import Manners
from fungal_assets.collection.sources.tables import NOTE_COLUMNS, find_picture_column
from fungal_assets.collection.sources.web import WebPicture, WebSource
from fungal_assets.errors import InputError


class UrlList(WebSource):
    """Pictures by the URLs of a table.

    Args:
        path: The table, `.csv` or `.parquet`.
        folder: Where downloads are kept; in the user's cache by default.
        manners: How servers are asked.

    Raises:
        InputError: The table cannot be read, has no column `url`, or an empty one.
    """

    def __init__(self, path: Path, *, folder: Path | None = None, manners: Manners | None = None):
        super().__init__("urls", folder=folder, manners=manners)
        self._listed = _read_list(path)

    @property
    def pictures(self) -> Sequence[WebPicture]:
        """One for each row, in the order of the table."""
        return self._listed


def is_url_table(path: Path) -> bool:
    """Whether a file is a Parquet table of URLs: it has a column `url`, and none of pictures."""
    if path.suffix.lower() != ".parquet":
        return False
    try:
        schema = pq.read_schema(path)
        find_picture_column(schema, where=path.name)
    except InputError:
        return "url" in schema.names
    except (OSError, ValueError):
        return False
    return False


def _read_list(path: Path) -> list[WebPicture]:
    try:
        rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _parquet_rows(path)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"list {str(path)!r} cannot be read: {error}. Save it as CSV in UTF-8.") from error
    faulty = [number for number, row in enumerate(rows, 1) if not row.get("url")]
    if faulty or not rows:
        found = f"no 'url' in row {faulty[0]} ({len(faulty)} such rows)" if faulty else "no row"
        raise InputError(
            f"list {str(path)!r} has {found}; expected a column 'url' with the address of a picture in every row, "
            "and any of page, creator, licence, label, habitat, substrate."
        )
    return [WebPicture(str(row["url"]).strip(), **describe(row)) for row in rows]


def _csv_rows(path: Path) -> list[Mapping[str, Any]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def _parquet_rows(path: Path) -> list[Mapping[str, Any]]:
    wanted = ("url", *NOTE_COLUMNS)
    names = [name for name in pq.read_schema(path).names if name in wanted]
    return pq.read_table(path, columns=names).to_pylist()
