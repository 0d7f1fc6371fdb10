"""Where pictures come from: a folder of the user's, or the specimens that ship with the package.

Belongs here: finding files, reading their bytes and what a sidecar table says about them. Looking into the
bytes does not: every file comes out as a candidate, with a fault where it could not be read, so that nothing
vanishes.

A sidecar is `metadata.csv` or `metadata.jsonl` in the top folder, as Hugging Face image folders have it:
`file_name` (relative), and any of `creator`, `licence` (or `license`), `label`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fungal_assets.collection.licences import to_spdx
from fungal_assets.errors import InputError
from fungal_assets.store import hash_file

SHIPPED = "specimens"
SIDECARS = ("metadata.csv", "metadata.jsonl")
MAX_FILE_MB = 256


class Fault(NamedTuple):
    """Why a candidate could not be read: a short code, and what was found."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Candidate:
    """A file that may become a specimen.

    Args:
        data: Its bytes; empty if `fault` is set.
        origin: Where it lies in its source: a relative POSIX path, or a URL.
        source: What kind of source it is from: `specimens` or `folder`.
        creator: Who made it, or None.
        licence: SPDX id, or None.
        label: What the sidecar calls it, or None.
        fault: Why it could not be read, or None.
    """

    data: bytes
    origin: str
    source: str = "folder"
    creator: str | None = None
    licence: str | None = None
    label: str | None = None
    fault: Fault | None = None


def open_source(source: str) -> Iterator[Candidate]:
    """Every file of a source as a candidate, in the order of their paths.

    Hidden names and the sidecar are no candidates. A link that leads out of the folder, a file that cannot be
    read and a sidecar row without its file come out as candidates with a fault.

    Args:
        source: `"specimens"`, or the path of a folder, searched through.

    Raises:
        InputError: The folder is missing or holds no file; the sidecar cannot be read.
    """
    root = _find_root(source)
    return _read_candidates(root, _list_files(root), SHIPPED if source == SHIPPED else "folder")


def hash_source(source: str) -> str:
    """One hash over the names and bytes of all files of a source, sidecar included, as hex."""
    root = _find_root(source)
    digest = hashlib.sha256()
    for path in [*_sidecars(root), *_list_files(root)]:
        fault = _find_fault(root, path)
        content = fault.reason if fault else hash_file(path)
        digest.update(json.dumps([_origin(root, path), content]).encode())
    return digest.hexdigest()


class SourceSize(NamedTuple):
    """How many files a source has, and how many bytes those that can be read hold together."""

    files: int
    total_bytes: int


def measure_source(source: str) -> SourceSize:
    """The size of a source, without reading its files."""
    root = _find_root(source)
    paths = _list_files(root)
    return SourceSize(
        len(paths), sum(path.stat().st_size for path in paths if _find_fault(root, path) is None)
    )


def _find_root(source: str) -> Path:
    if source == SHIPPED:
        from fungal_assets.pocket import SPECIMENS_DIR

        return Path(SPECIMENS_DIR)
    root = Path(source).expanduser()
    if not root.is_dir():
        found = "is a file" if root.is_file() else "does not exist"
        raise InputError(
            f"source {source!r} {found}; expected a folder of pictures, or {SHIPPED!r} for the pictures that "
            "ship with the package. Give the path of a folder."
        )
    return root


def _list_files(root: Path) -> list[Path]:
    """All files below a folder that are not hidden; linked folders are listed as one entry, not entered."""
    found = []
    for parent, folders, names in os.walk(root):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".") and name not in links]
        found += [Path(parent) / name for name in [*names, *links] if not name.startswith(".")]
    candidates = sorted(set(found) - set(_sidecars(root)), key=lambda path: path.relative_to(root).parts)
    if not candidates:
        raise InputError(
            f"source {str(root)!r} holds no file; expected pictures. Put some into it, or give another."
        )
    return candidates


def _sidecars(root: Path) -> list[Path]:
    return [root / name for name in SIDECARS if (root / name).is_file()]


def _origin(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix().encode("utf-8", "replace").decode()


def _find_fault(root: Path, path: Path) -> Fault | None:
    """What keeps a file from being read, as far as can be told without opening it."""
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        return Fault("outside_source", "a link that leads out of the source folder is not followed")
    if path.is_dir():
        return Fault("linked_folder", "a linked folder is not entered; its files count where they really lie")
    if not path.is_file():
        return Fault("unreadable", "it is not a regular file")
    if not os.access(path, os.R_OK):
        return Fault("unreadable", "reading it is not permitted")
    size_mb = path.stat().st_size / 1e6
    if size_mb > MAX_FILE_MB:
        return Fault("too_large", f"the file has {size_mb:.0f} MB, at most {MAX_FILE_MB} MB are read")
    return None


def _read_candidates(root: Path, paths: list[Path], kind: str) -> Iterator[Candidate]:
    known = _read_sidecar(root)
    for path in paths:
        origin = _origin(root, path)
        yield _read_candidate(root, path, origin, kind, known.pop(origin, {}))
    for origin, row in sorted(known.items()):
        fault = Fault("missing", "the sidecar names it, but the folder does not hold it")
        yield Candidate(b"", origin, kind, **row, fault=fault)


def _read_candidate(root: Path, path: Path, origin: str, kind: str, row: dict[str, str | None]) -> Candidate:
    fault = _find_fault(root, path)
    data = b""
    if fault is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            fault = Fault("unreadable", error.strerror or str(error))
    return Candidate(data, origin, kind, **row, fault=fault)


def _read_sidecar(root: Path) -> dict[str, dict[str, str | None]]:
    """Creator, licence and label by origin; empty where there is no sidecar."""
    paths = _sidecars(root)
    if len(paths) > 1:
        raise InputError(
            f"source {str(root)!r} holds {' and '.join(SIDECARS)}; expected one of them. Remove the other."
        )
    rows = [row for path in paths for row in _sidecar_rows(path)]
    return {str(row["file_name"]).removeprefix("./"): _describe(row) for row in rows}


def _sidecar_rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            rows = list(csv.DictReader(text.splitlines()))
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"sidecar {str(path)!r} cannot be read: {error}. Save it as UTF-8, or remove it."
        ) from error
    faulty = [
        number for number, row in enumerate(rows, 1) if not isinstance(row, dict) or not row.get("file_name")
    ]
    if faulty:
        raise InputError(
            f"sidecar {str(path)!r} has no 'file_name' in row {faulty[0]} ({len(faulty)} such rows); "
            "expected the relative path of a picture in every row. Mend or remove it."
        )
    return rows


def _describe(row: dict[str, Any]) -> dict[str, str | None]:
    licence = _text(row.get("licence") or row.get("license"))
    return {
        "creator": _text(row.get("creator")),
        "licence": to_spdx(licence) if licence else None,
        "label": _text(row.get("label")),
    }


def _text(value: object) -> str | None:
    return str(value).strip() or None if value is not None else None
