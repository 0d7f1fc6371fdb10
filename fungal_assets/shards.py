"""Tables of images as sharded Parquet, in the layout that the `datasets` library reads natively.

An image is a struct of its encoded bytes and a path, never re-encoded here. Shards have small row groups, so that a
reader streams; rows go to shards by a stable hash of their id, so that one changed image touches one shard.
Belongs here: writing and streaming such tables. What is in the pictures does not.

Layout and writer options follow the verified notes in the design's `research/data.md` B2.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fungal_assets.errors import ProvenanceError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ROW_GROUP_ROWS = 100
SLICE_BYTES = 4 << 20
"""About so much of a row group is read, and lies in Python objects, at once: memory that is used anew costs least."""
BUFFER_BYTES = 1 << 20
"""So much of a file is read at once, so that a row group does not lie in memory twice, as bytes and as rows."""
HELD_MB = 128.0
"""So many megabytes of images wait in memory until their row groups are full; what is more waits on disk."""


def image_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Arrow schema of an image table: `image` first, then `columns`; readable by `datasets` as an `Image` feature."""
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    features |= {name: _feature(kind) for name, kind in columns.items()}
    fields = [("image", IMAGE), *columns.items()]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": {"double": "float64", "float": "float32"}.get(str(kind), str(kind)), "_type": "Value"}


def shard_count(total_bytes: int, *, max_shard_mb: float = 256.0, least: int = 2) -> int:
    """How many shards hold `total_bytes` at `max_shard_mb` megabytes each, never fewer than `least`."""
    return max(least, math.ceil(total_bytes / (max_shard_mb * 1e6)))


def shard_of(row_id: str, shards: int) -> int:
    """The shard, 0 to `shards` - 1, that a row with this id always goes to."""
    return int.from_bytes(hashlib.sha256(row_id.encode()).digest()[:8], "big") % shards


class ShardWriter:
    """Writes rows into `shards` Parquet files `<stem>-00000-of-0000N.parquet`.

    A row group is written once it is full. Rows of those that are not wait in memory, and beside the shards where there
    are many of them; what is written hangs on the rows only, not on where they waited.

    Args:
        folder: Where the shards go; made if missing.
        schema: Arrow schema of the rows.
        shards: How many files.
        id_column: The column whose hash picks the shard.
        stem: First part of the file names.
        held_mb: How many megabytes of images wait in memory.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        *,
        shards: int,
        id_column: str = "image_id",
        stem: str = "train",
        held_mb: float = HELD_MB,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        names = [folder / f"{stem}-{index:05d}-of-{shards:05d}.parquet" for index in range(shards)]
        self._schema, self._id_column = schema, id_column
        self._rows: list[list[dict[str, Any]]] = [[] for _ in names]
        self._counts = [0] * len(names)
        self._held_bytes, self._most_bytes = 0, held_mb * 1e6
        self._waiting = [folder / f".{name.stem}.waiting" for name in names]
        for stale in self._waiting:
            stale.unlink(missing_ok=True)
        self._writers = [
            pq.ParquetWriter(name, schema, compression="NONE", write_page_index=True) for name in names
        ]
        self.row_count = 0

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one row."""
        index = shard_of(str(row[self._id_column]), len(self._writers))
        self._rows[index].append(dict(row))
        self._counts[index] += 1
        self._held_bytes += _image_bytes(row)
        self.row_count += 1
        if self._counts[index] >= ROW_GROUP_ROWS:
            self._flush(index)
        elif self._held_bytes > self._most_bytes:
            self._put_aside()

    def _take_held(self, index: int) -> pa.Table:
        """The rows of a shard that wait in memory, which are not held from now on."""
        rows, self._rows[index] = self._rows[index], []
        self._held_bytes -= sum(_image_bytes(row) for row in rows)
        return pa.Table.from_pylist(rows, schema=self._schema)

    def _put_aside(self) -> None:
        """Move all rows that wait in memory to disk: a stream of Arrow behind those that are there."""
        for index, path in enumerate(self._waiting):
            if self._rows[index]:
                table = self._take_held(index)
                with pa.OSFile(str(path), "ab") as file, pa.ipc.new_stream(file, self._schema) as stream:
                    stream.write_table(table)

    def _flush(self, index: int) -> None:
        tables = [*_read_streams(self._waiting[index]), self._take_held(index)]
        if self._counts[index]:
            self._writers[index].write_table(pa.concat_tables(tables).combine_chunks())
        self._waiting[index].unlink(missing_ok=True)
        self._counts[index] = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for index, writer in enumerate(self._writers):
            self._flush(index)
            writer.close()


def _read_streams(path: Path) -> Iterator[pa.Table]:
    """The tables of a file that holds one stream of Arrow after the other, if it is there."""
    if path.exists():
        with pa.OSFile(str(path)) as file:
            while file.tell() < file.size():
                yield pa.ipc.open_stream(file).read_all()


def _image_bytes(row: Mapping[str, Any]) -> int:
    """How many bytes a row's image has; a row may have none."""
    return len((row["image"] or {}).get("bytes") or b"")


def shard_paths(folder: Path, stem: str = "*") -> list[Path]:
    """The shards of a folder in order.

    Args:
        folder: Where the shards lie.
        stem: First part of the names of those that are meant, such as a split; all sets of shards by default.

    Raises:
        ProvenanceError: There is none, or one of a set that the names promise is missing.
    """
    paths = sorted(folder.glob(f"{stem}-*-of-*.parquet"))
    sets = {path.name.rsplit("-", 3)[0] for path in paths}
    if not sets:
        raise ProvenanceError(
            f"{folder} holds no parquet shards {stem}-*-of-*.parquet. Grow the asset again."
        )
    for name in sorted(sets):
        _refuse_gaps(folder, [path for path in paths if path.name.rsplit("-", 3)[0] == name])
    return paths


def _refuse_gaps(folder: Path, paths: Sequence[Path]) -> None:
    """Raise unless a set of shards is as many as its names promise."""
    promised = {int(path.stem.rsplit("-", 1)[1]) for path in paths}
    if promised == {len(paths)}:
        return
    set_name, most = paths[0].name.rsplit("-", 3)[0], max(promised)
    expected = {f"{set_name}-{index:05d}-of-{most:05d}.parquet" for index in range(most)}
    found = {path.name for path in paths}
    raise ProvenanceError(
        f"{folder} holds {len(paths)} parquet shards {sorted(found)!r}, but their names promise {sorted(promised)!r}: "
        f"one is missing or foreign (missing: {sorted(expected - found)!r}, foreign: {sorted(found - expected)!r}). "
        "Grow the asset again."
    )


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Name the shard that cannot be read: pyarrow names none.

    Raises:
        ProvenanceError: It is gone, cut off or damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ProvenanceError(f"the shard {path} is gone. Grow the asset again.") from error
    except (pa.ArrowException, OSError) as error:
        size = path.stat().st_size if path.exists() else 0
        raise ProvenanceError(
            f"the shard {path} ({size} bytes) is no whole Parquet file: {error}. Grow the asset again."
        ) from error


def has_shards(folder: Path, stem: str) -> bool:
    """Whether a folder holds any shard of that stem."""
    return any(folder.glob(f"{stem}-*-of-*.parquet"))


def read_rows(
    folder: Path, columns: Sequence[str] | None = None, *, start: int = 0, stem: str = "*"
) -> Iterator[dict[str, Any]]:
    """Stream the rows of all shards of a folder, a row group at a time.

    Args:
        folder: Where the shards lie.
        columns: Which columns; all by default.
        start: How many rows are passed over; row groups among them are not read.
        stem: First part of the shards' names; all shards by default.
    """
    for path in shard_paths(folder, stem):
        yield from read_shard(path, columns, start=start)
        if start:
            start = max(0, start - _count(path))


def read_shard(
    path: Path, columns: Sequence[str] | None = None, *, start: int = 0
) -> Iterator[dict[str, Any]]:
    """Stream the rows of one shard as `read_rows` does.

    Raises:
        ProvenanceError: It is gone, cut off or damaged.
    """
    with _told_of(path), pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
        named = list(columns) if columns else None
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if start < count:
                rows = _slice_rows(file.metadata.row_group(group), named)
                # One column holds nearly all bytes: threads would quadruple the time that reading takes.
                blocks = file.iter_batches(rows, row_groups=[group], columns=named, use_threads=False)
                for first, block in zip(range(0, count, rows), blocks, strict=True):
                    yield from block.slice(max(0, start - first)).to_pylist()
            start = max(0, start - count)


def _slice_rows(group: pq.RowGroupMetaData, columns: Sequence[str] | None) -> int:
    """How many rows of a row group make `SLICE_BYTES` of the columns, 1 to all."""
    chunks = map(group.column, range(group.num_columns))
    asked_bytes = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if columns is None or chunk.path_in_schema.partition(".")[0] in columns
    )
    return min(group.num_rows, max(1, group.num_rows * SLICE_BYTES // max(1, asked_bytes)))


def count_rows(folder: Path, stem: str = "*") -> int:
    """How many rows all shards of a folder hold, those of one stem or all, read from the footers."""
    return sum(count_rows_by_shard(folder, stem).values())


def count_rows_by_shard(folder: Path, stem: str = "*") -> dict[str, int]:
    """How many rows each shard of a folder holds, by its name and in order, read from the footers."""
    return {path.name: _count(path) for path in shard_paths(folder, stem)}


def _count(path: Path) -> int:
    with _told_of(path):
        return pq.read_metadata(path).num_rows


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema | None = None) -> int:
    """Write one small Parquet table under a temporary name, rename it, and return its number of rows.

    An empty one needs the schema.
    """
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    temporary = path.with_name(f".{path.name}")
    pq.write_table(table, temporary)
    temporary.replace(path)
    return table.num_rows


def read_table(path: Path) -> list[dict[str, Any]]:
    """All rows of one small Parquet table."""
    return pq.read_table(path).to_pylist()
