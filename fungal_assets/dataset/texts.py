"""The captions of a collection as the dataset takes them, of which memory holds few at once.

As Python objects the texts of 100,000 pictures are hundreds of megabytes, but each is written once and most are only
counted. So rows are read a slice at a time, and for what is said of one picture, in whatever order the pictures come,
the lists of texts lie in a mapped file beside the dataset while it is written.
Belongs here: reading a `captions` output for the dataset. What a caption says is decided in `nomenclature`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fungal_assets.errors import InputError
from fungal_assets.shards import BUFFER_BYTES

LISTS = {"texts": "wordings", "class_texts": "class_wordings"}
"""Columns of several texts in the dataset, and those of the captions that they come from."""
_ONE = ("image_id", "species_id", "caption", "habitat")
_MAPPED = ".texts.arrow"
_SLICE_ROWS = 1000


class MappedTexts:
    """The lists of texts by image id, out of a mapped file.

    Args:
        path: An Arrow file of `image_id` and the columns of captions in `LISTS`.
    """

    def __init__(self, path: Path) -> None:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        self._columns = {name: table[column] for name, column in LISTS.items()}
        self._rows = {image_id: row for row, image_id in enumerate(table["image_id"].to_pylist())}

    def of(self, image_id: str) -> dict[str, list[str]]:
        """The lists of one picture, by their names in the dataset."""
        row = self._rows[image_id]
        return {name: column[row].as_py() for name, column in self._columns.items()}


def read_captions(captions: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a `captions` output, a slice of them in memory.

    Args:
        captions: The output.
        columns: Which columns; by default all but the lists of texts.

    Raises:
        InputError: The output is of before pictures had several texts.
    """
    with _open(captions) as file:
        wanted = columns or [name for name in file.schema_arrow.names if name not in LISTS.values()]
        for batch in file.iter_batches(_SLICE_ROWS, columns=list(wanted), use_threads=False):
            yield from batch.to_pylist()


@contextmanager
def map_texts(captions: Path, folder: Path) -> Iterator[MappedTexts]:
    """The lists of texts of a `captions` output, as long as the file that they are copied to lies in a folder.

    Args:
        captions: The output.
        folder: Where that file goes; one that a killed run left is written over.

    Raises:
        InputError: The output is of before pictures had several texts.
    """
    path = folder / _MAPPED
    try:
        with _open(captions) as file:
            columns = ["image_id", *LISTS.values()]
            schema = pa.schema([file.schema_arrow.field(name) for name in columns])
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as copy:
                for batch in file.iter_batches(_SLICE_ROWS, columns=columns, use_threads=False):
                    copy.write_batch(batch)
        yield MappedTexts(path)
    finally:
        path.unlink(missing_ok=True)


def _open(captions: Path) -> pq.ParquetFile:
    """The table of captions; one of before pictures had several texts is refused."""
    file = pq.ParquetFile(captions / "captions.parquet", buffer_size=BUFFER_BYTES, pre_buffer=False)
    missing = [name for name in (*_ONE, *LISTS.values()) if name not in file.schema_arrow.names]
    if missing:
        file.close()
        raise InputError(
            f"{captions / 'captions.parquet'} has no columns {missing!r}: these captions are of an earlier version. "
            "Grow them again: fungal grow --until captions"
        )
    return file
