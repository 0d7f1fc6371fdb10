"""Zip and tar archives, read member by member: nothing is ever unpacked to a file, so no name can lead anywhere.

Belongs here: reading members within bounds. A member is read whole, 256 MB at most; one that expands more than 200
times is refused unread, and a tar stream that does so 50 times is left. What is no plain file (a link, a device) has a
fault.
"""

from __future__ import annotations

import contextlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from fungal_assets.collection.sources.candidates import (
    MAX_FILE_MB,
    Candidate,
    Fault,
    SourceSize,
    is_hidden,
    printable,
)
from fungal_assets.collection.sources.sidecars import Told, is_sidecar, read_sidecars

MAX_EXPANSION = 200
MAX_STREAM_EXPANSION = 50
_FREE_BYTES = 64 * 1024**2
"""What may come out of any archive, however small it is."""
_UNBOUNDED_BYTES = 64
"""Read at once of bzip2 and LZMA, which Python's reader of zip files unpacks whole, however little is asked for."""
_MAX_HEADER_BYTES = 1 << 20
"""Of what a tar says of one member: its name and the like."""
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_DAMAGE = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError)


class ZipArchive:
    """A zip file.

    Args:
        path: The file.
    """

    suffixes = (".zip",)

    def __init__(self, path: Path):
        self._path = path

    def measure(self) -> SourceSize:
        """How many members there are, and their bytes once unpacked, as the archive says."""
        with zipfile.ZipFile(self._path) as archive:
            members = _zip_members(archive)
        return SourceSize(len(members), sum(member.file_size for member in members))

    def candidates(self) -> Iterator[Candidate]:
        """Members in the order of their names."""
        with zipfile.ZipFile(self._path) as archive:
            members = _zip_members(archive)
            texts = {}
            for member in _zip_members(archive, sidecars=True):
                data, fault = _zip_data(archive, member)
                texts[member.filename] = fault or data
            told = read_sidecars(texts, where=self._path.name)
            for member in members:
                data, fault = _zip_data(archive, member)
                yield Candidate(data, printable(member.filename), **told.take(member.filename), fault=fault)
        yield from told.left("archive")


def _zip_members(archive: zipfile.ZipFile, *, sidecars: bool = False) -> list[zipfile.ZipInfo]:
    """Everything but folders and hidden names, without the sidecars or these alone, in the order of the names."""
    found = (
        member
        for member in archive.infolist()
        if not member.is_dir() and not is_hidden(member.filename) and is_sidecar(member.filename) == sidecars
    )
    return sorted(found, key=lambda member: member.filename)


def _zip_data(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[bytes, Fault | None]:
    """A member's bytes, or why there are none; what says that it is small expands no further than it says."""
    if fault := _zip_fault(member):
        return b"", fault
    is_bounded = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    at_once = member.file_size if is_bounded else _UNBOUNDED_BYTES
    try:
        with archive.open(member) as file:
            assert isinstance(file, zipfile.ZipExtFile)
            file.MIN_READ_SIZE = min(at_once, file.MIN_READ_SIZE)
            return b"".join(iter(lambda: file.read(at_once), b"")), None
    except (*_DAMAGE, NotImplementedError, RuntimeError) as error:
        return b"", Fault("broken", f"this member of the archive cannot be read: {error}")


def _zip_fault(member: zipfile.ZipInfo) -> Fault | None:
    if member.flag_bits & 1:
        return Fault("encrypted", "this member of the archive has a password; save the archive without one")
    if (member.external_attr >> 16) & 0o170000 == 0o120000:
        return Fault("unreadable", "a link in an archive is not followed")
    return _size_fault(member.file_size, compressed_bytes=member.compress_size)


def _size_fault(size_bytes: int, *, compressed_bytes: int) -> Fault | None:
    if size_bytes > MAX_FILE_MB * 1e6:
        return Fault(
            "too_large", f"it unpacks to {size_bytes / 1e6:.0f} MB, at most {MAX_FILE_MB} MB are read"
        )
    if size_bytes > max(1e6, MAX_EXPANSION * compressed_bytes):
        times = size_bytes // max(1, compressed_bytes)
        return Fault(
            "too_large", f"it unpacks to {times} times its size, at most {MAX_EXPANSION} times are read"
        )
    return None


class TarArchive:
    """A tar file, plain or compressed, read as a stream from its first byte to its last.

    Args:
        path: The file.
    """

    suffixes = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

    def __init__(self, path: Path):
        self._path = path

    def measure(self) -> SourceSize:
        """How many members there are and their bytes; what lies behind a damage is not counted."""
        files = total_bytes = 0
        for _, member in self._members():
            if isinstance(member, tarfile.TarInfo) and not is_sidecar(member.name):
                files, total_bytes = files + 1, total_bytes + member.size
        return SourceSize(files, total_bytes)

    def candidates(self) -> Iterator[Candidate]:
        """Members in the order of the stream; where it is damaged, one fault in place of the rest."""
        told = self._read_sidecars()
        for archive, member in self._members():
            if isinstance(member, Fault):
                yield Candidate(b"", self._path.name, fault=member)
            elif not is_sidecar(member.name):
                name = member.name.removeprefix("./")
                data, fault = _tar_data(archive, member)
                yield Candidate(data, printable(name), **told.take(name), fault=fault)
        yield from told.left("archive")

    def _read_sidecars(self) -> Told:
        texts: dict[str, bytes | Fault] = {}
        for archive, member in self._members():
            if isinstance(member, tarfile.TarInfo) and is_sidecar(member.name):
                data, fault = _tar_data(archive, member)
                texts[member.name.removeprefix("./")] = fault or data
        return read_sidecars(texts, where=self._path.name)

    def _members(self) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo | Fault]]:
        """Everything but folders and hidden names; last a fault where the stream is damaged or expands too far."""
        bound = max(_FREE_BYTES, MAX_STREAM_EXPANSION * self._path.stat().st_size)
        with contextlib.ExitStack() as stack:
            archive = None
            try:
                archive = stack.enter_context(tarfile.open(self._path, "r|*", tarinfo=_Member))
                while (member := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # else it remembers all of them
                    if member.offset_data + member.size > bound:
                        yield (
                            archive,
                            Fault(
                                "too_large",
                                f"the archive unpacks to over {MAX_STREAM_EXPANSION} times its size; the rest is left",
                            ),
                        )
                        return
                    if not member.isdir() and not is_hidden(member.name):
                        yield archive, member
            except _DAMAGE as error:
                if archive is None:
                    raise
                yield archive, Fault("truncated", f"the archive breaks off or is damaged here: {error}")


class _Member(tarfile.TarInfo):
    """A member whose header is no bomb: Python reads what names it whole, before anything can be asked."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        is_header = self.type in (*_LONG_NAMES, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        if is_header and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_data(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[bytes, Fault | None]:
    if not member.isfile():
        return b"", Fault("unreadable", "a link or device in an archive is not followed")
    if fault := _size_fault(member.size, compressed_bytes=member.size):
        return b"", fault
    file = archive.extractfile(member)
    assert file is not None, member.name
    try:
        data = file.read()
    except _DAMAGE as error:
        return b"", Fault("truncated", f"the archive breaks off or is damaged here: {error}")
    if len(data) < member.size:
        return b"", Fault(
            "truncated", f"{len(data)} of {member.size} bytes are there: the archive breaks off"
        )
    return data, None
