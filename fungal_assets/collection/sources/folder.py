"""A folder of the user's, searched through, or a single file that holds many pictures.

Belongs here: finding files and reading their bytes. Archives and tables among them are read through; their candidates
are named by the container's path and their own. Looking into the bytes of a picture does not belong here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from fungal_assets.collection.sources.candidates import (
    MAX_FILE_MB,
    Candidate,
    Fault,
    Note,
    SourceSize,
    printable,
)
from fungal_assets.collection.sources.containers import (
    find_container,
    measure_container,
    read_container,
)
from fungal_assets.collection.sources.sidecars import Told, is_sidecar, read_sidecars
from fungal_assets.errors import InputError
from fungal_assets.store import hash_file


class FolderSource:
    """Every file below a folder, in the order of the paths.

    Hidden names and sidecars are no candidates. A link that leads out of the folder, a file that cannot be read and
    a sidecar row without its file come out as candidates with a fault.

    Args:
        root: The folder.
        kind: What its candidates name as their source.
        licence: SPDX id of candidates of which the sidecar says none, or None.
        bounds: The folder out of which no link may lead; the root itself by default.
    """

    def __init__(
        self, root: Path, *, kind: str = "folder", licence: str | None = None, bounds: Path | None = None
    ):
        self._root, self._kind, self._licence = root, kind, licence
        self._bounds = (bounds or root).resolve()

    def candidates(self) -> Iterator[Candidate]:
        """All files.

        Raises:
            InputError: The folder holds no file, or the sidecar at its top cannot be read.
        """
        paths, sidecars = self._list_files()
        told = self._read_sidecars(sidecars)
        return (self._finish(candidate) for candidate in self._read(paths, told))

    def measure(self) -> SourceSize:
        """How many files there are, those in containers counted, and how many bytes can be read."""
        files = total_bytes = 0
        for path in self._list_files()[0]:
            container = find_container(path)
            if self._find_fault(path) is not None:
                files += 1
            elif container is not None:
                size = measure_container(container)
                files, total_bytes = files + size.files, total_bytes + size.total_bytes
            else:
                files, total_bytes = files + 1, total_bytes + path.stat().st_size
        return SourceSize(files, total_bytes)

    def fingerprint(self) -> str:
        """Over the names and bytes of all files, sidecars included."""
        digest = hashlib.sha256()
        paths, sidecars = self._list_files()
        for path in [*sidecars, *paths]:
            fault = self._find_fault(path)
            content = fault.reason if fault else hash_file(path)
            digest.update(json.dumps([self._origin(path), content]).encode())
        return digest.hexdigest()

    def _list_files(self) -> tuple[list[Path], list[Path]]:
        """All files below the folder that are not hidden, and all sidecars; linked folders are entries, not entered."""
        found = []
        for parent, folders, names in os.walk(self._root):
            links = [name for name in folders if (Path(parent) / name).is_symlink()]
            folders[:] = [name for name in folders if not name.startswith(".") and name not in links]
            found += [Path(parent) / name for name in [*names, *links] if not name.startswith(".")]
        found.sort(key=lambda path: path.relative_to(self._root).parts)
        paths: list[Path] = []
        sidecars: list[Path] = []
        for path in found:
            is_told = is_sidecar(path.name) and path.is_file() and self._is_within(path)
            (sidecars if is_told else paths).append(path)
        if not paths:
            raise InputError(
                f"source {str(self._root)!r} holds no file; expected pictures. Put some into it, or give another."
            )
        return paths, sidecars

    def _read_sidecars(self, sidecars: list[Path]) -> Told:
        texts = {}
        for path in sidecars:
            read = _read_file(path, self._origin(path), self._find_fault(path), {})
            texts[path.relative_to(self._root).as_posix()] = read.fault or read.data
        return read_sidecars(texts, where=str(self._root))

    def _is_within(self, path: Path) -> bool:
        # os.path.realpath, other than Path.resolve, bears a link to itself.
        return not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(self._bounds)

    def _origin(self, path: Path) -> str:
        return printable(path.relative_to(self._root).as_posix())

    def _find_fault(self, path: Path) -> Fault | None:
        """What keeps a file from being read, as far as can be told without opening it; containers have any size."""
        if not self._is_within(path):
            return Fault("outside_source", "a link that leads out of the source folder is not followed")
        if path.is_dir():
            return Fault(
                "linked_folder", "a linked folder is not entered; its files count where they really lie"
            )
        if not path.is_file():
            return Fault("unreadable", "it is not a regular file")
        if not os.access(path, os.R_OK):
            return Fault("unreadable", "reading it is not permitted")
        size_mb = path.stat().st_size / 1e6
        if size_mb > MAX_FILE_MB and find_container(path) is None:
            return Fault("too_large", f"the file has {size_mb:.0f} MB, at most {MAX_FILE_MB} MB are read")
        return None

    def _read(self, paths: list[Path], told: Told) -> Iterator[Candidate]:
        for path in paths:
            origin, fault = self._origin(path), self._find_fault(path)
            container = None if fault else find_container(path)
            if container is not None:
                yield from read_container(container, origin)
            else:
                yield _read_file(path, origin, fault, told.take(origin))
        yield from told.left("folder")

    def _finish(self, candidate: Candidate) -> Candidate:
        return dataclasses.replace(candidate, source=self._kind, licence=candidate.licence or self._licence)


class FileSource:
    """One archive or table as a source of its own.

    Args:
        path: The file, of a suffix that `find_container` knows.
    """

    def __init__(self, path: Path):
        container = find_container(path)
        assert container is not None, path
        self._path, self._container = path, container

    def candidates(self) -> Iterator[Candidate]:
        """What the file holds."""
        return read_container(self._container, printable(self._path.name))

    def measure(self) -> SourceSize:
        """How much it holds."""
        return measure_container(self._container)

    def fingerprint(self) -> str:
        """Over its name and bytes."""
        return hashlib.sha256(json.dumps([self._path.name, hash_file(self._path)]).encode()).hexdigest()


def _read_file(path: Path, origin: str, fault: Fault | None, note: Note) -> Candidate:
    data = b""
    if fault is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            fault = Fault("unreadable", error.strerror or str(error))
    return Candidate(data, origin, **note, fault=fault)
