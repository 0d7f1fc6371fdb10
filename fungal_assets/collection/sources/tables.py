"""Parquet tables of pictures, as the `datasets` library writes them: every row a candidate, read in small batches.

Belongs here: finding the column of pictures and what the other columns say. The column is the one that the schema calls
an `Image`, else the first of encoded bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fungal_assets.collection.sources.candidates import (
    Candidate,
    Fault,
    Note,
    SourceSize,
    describe,
    printable,
)
from fungal_assets.errors import InputError

NOTE_COLUMNS = (*Note.__annotations__, "license", "species")
_BATCH_ROWS = 16
_BUFFER_BYTES = 1024**2


class PictureTable:
    """A Parquet file with a column of pictures.

    Args:
        path: The file.
    """

    suffixes = (".parquet",)

    def __init__(self, path: Path):
        self._path = path

    def measure(self) -> SourceSize:
        """How many rows there are, and the bytes of the column of pictures."""
        about = pq.read_metadata(self._path)
        return SourceSize(about.num_rows, self._path.stat().st_size)

    def candidates(self) -> Iterator[Candidate]:
        """Rows in the order of the table, each named by its number, from 0; those of a damaged part have a fault.

        Raises:
            InputError: The table has no column of pictures.
        """
        with pq.ParquetFile(self._path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            schema = file.schema_arrow
            column = find_picture_column(schema, where=self._path.name)
            noted = [name for name in NOTE_COLUMNS if name in schema.names]
            names = _class_names(schema)
            end = 0
            for group in range(file.num_row_groups):
                row_number, end = end, end + file.metadata.row_group(group).num_rows
                batches = file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=[column, *noted])
                try:
                    for row in (row for batch in batches for row in batch.to_pylist()):
                        yield _candidate(row.pop(column), str(row_number), _named(row, names))
                        row_number += 1
                except (OSError, ValueError) as error:
                    for lost in range(row_number, end):
                        yield Candidate(
                            b"", str(lost), fault=Fault("broken", f"this part of the table: {error}"[:300])
                        )


def find_picture_column(schema: pa.Schema, *, where: str) -> str:
    """The name of the column of encoded pictures.

    Raises:
        InputError: There is none; the columns are named.
    """
    features = _features(schema)
    declared = [name for name in schema.names if _kind(features.get(name)) == "Image"]
    able = [field.name for field in schema if _holds_bytes(field.type)]
    for name in [*declared, *able]:
        if name in able:
            return name
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise InputError(
        f"{where!r} has no column of pictures, only {columns}; expected encoded bytes, as a column of their own or "
        "as the `Image` feature of the datasets library. Save the table with the pictures in it."
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    try:
        return json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}


def _kind(feature: object) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of the classes of each column that holds their numbers."""
    features = _features(schema)
    return {name: feature["names"] for name, feature in features.items() if _kind(feature) == "ClassLabel"}


def _named(row: Mapping[str, Any], names: Mapping[str, list[str]]) -> Note:
    """What the columns of notes say; a species serves as label where there is no other."""
    told = {
        name: names[name][value]
        if name in names and value is not None and 0 <= value < len(names[name])
        else value
        for name, value in row.items()
    }
    return describe(
        {**told, "label": told.get("label") if told.get("label") is not None else told.get("species")}
    )


def _candidate(cell: Any, origin: str, note: Note) -> Candidate:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    path = printable(str(cell.get("path") or "")) if isinstance(cell, dict) else ""
    if data:
        return Candidate(data, origin, **note)
    detail = "the row holds no picture"
    if path:
        detail = (
            f"the row holds only the path {path!r}, not the picture itself: save the dataset with its files embedded "
            "(push_to_hub does, to_parquet on an image folder does not)"
        )
    return Candidate(b"", origin, **note, fault=Fault("missing", detail))
