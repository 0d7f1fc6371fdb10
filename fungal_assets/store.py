"""The artefact store: one folder per output, whose provenance record is written last.

    <root>/<asset>/<partition or "all">/<fingerprint>/...files, provenance.json
    <root>/<asset>/<partition or "all">/latest          names the newest complete fingerprint
    <root>/<asset>/<partition or "all">/.working-<fingerprint>/    an output being made, or one that was killed
    <root>/logs/<asset>/<partition or "all">/<fingerprint>/    what was logged of the making, on this machine only

The fingerprint hashes the asset's name, the hashes of its inputs, its config and its code version. So the same work
always has the same folder: a complete one is not made again, and a killed one is gone on with in its working folder.
The record's presence means complete; reading an output compares every file with it.

The root is a folder or any fsspec URL (`s3://`, `gs://`, `memory://`). A remote output is made in a local scratch
folder, copied up with its record last, and fetched into the same scratch when it is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from fungal_assets import __version__
from fungal_assets.errors import InputError, MissingExtraError, ProvenanceError

RECORD_NAME = "provenance.json"
WHOLE = "all"
LOGS = "logs"
Figures = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Record:
    """What an output is made of and what it holds; kept beside it as JSON.

    Args:
        asset: Name of the asset.
        partition: Its partition key, or None.
        fingerprint: Hash of all that decides the output.
        inputs: Content hash of each input, by `asset` or `asset/partition`.
        config: The settings, seed included.
        code_version: Version of the asset's code.
        package_version: Version of this package that made it.
        licences: Licences of what went in, as SPDX ids.
        figures: The numbers that the report shows.
        files: SHA-256 and size in bytes of every file, by relative POSIX path.
        content_hash: One hash over `files`; what outputs downstream name as their input.
        seconds: Wall time of the making, the work of killed runs left out.
        finished_at: UTC, ISO 8601.
    """

    asset: str
    partition: str | None
    fingerprint: str
    inputs: dict[str, str]
    config: dict[str, Any]
    code_version: str
    package_version: str = __version__
    licences: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    content_hash: str = ""
    seconds: float = 0.0
    finished_at: str = ""


@dataclass(frozen=True)
class Output:
    """One complete output: where its files are on this machine, and its record."""

    path: Path
    record: Record

    @property
    def name(self) -> str:
        """`asset` or `asset/partition`, as records and messages call it."""
        return output_name(self.record.asset, self.record.partition)


@dataclass(frozen=True)
class Making:
    """The result of `Store.make`: the output, and whether it was there already."""

    output: Output
    was_complete: bool


def output_name(asset: str, partition: str | None) -> str:
    """`asset` or `asset/partition`."""
    return asset if partition is None else f"{asset}/{partition}"


def fingerprint_of(
    asset: str, partition: str | None, inputs: Mapping[str, str], config: Mapping[str, Any], code_version: str
) -> str:
    """16 hex digits over everything that decides an output."""
    decided = [asset, partition, dict(inputs), dict(config), code_version]
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]


def hash_file(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(folder: Path) -> dict[str, dict[str, Any]]:
    """SHA-256 and size of every file below a folder, by relative POSIX path; the record and hidden names left out."""
    return {name: describe_file(folder / name) for name in _file_names(folder)}


def describe_file(path: Path) -> dict[str, Any]:
    """What a record says of one file: SHA-256 as `sha256`, and size as `bytes`."""
    return {"sha256": hash_file(path), "bytes": path.stat().st_size}


def hash_folder(folder: Path) -> str:
    """One hash over the names and contents of all files below a folder."""
    return content_hash(hash_files(folder))


def size_mb(place: Path) -> float:
    """Megabytes of a file, or of all files below a folder; 0 where there is nothing."""
    paths = [place, *place.rglob("*")]
    return round(sum(path.stat().st_size for path in paths if path.is_file()) / 1e6, 3)


def content_hash(files: Mapping[str, Mapping[str, Any]]) -> str:
    """One hash over the names and SHA-256 of files, as `hash_files` gives them."""
    pairs = sorted((name, entry["sha256"]) for name, entry in files.items())
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def _file_names(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in paths
        if path.as_posix() != RECORD_NAME and not any(part.startswith(".") for part in path.parts)
    )


def read_record(path: Path) -> Record:
    """The record in a file.

    Raises:
        ProvenanceError: It is none.
    """
    try:
        return Record(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ProvenanceError(
            f"{path} is no provenance record: {error}. Move the folder {path.parent} away and grow again."
        ) from error


def mismatches(output: Output) -> list[str]:
    """Every way in which the files differ from the record, one sentence each; none means intact."""
    found, kept = hash_files(output.path), output.record.files
    faults = [f"{name} is missing" for name in sorted(kept.keys() - found.keys())]
    faults += [f"{name} is not in the record" for name in sorted(found.keys() - kept.keys())]
    changed = [name for name in sorted(kept.keys() & found.keys()) if kept[name] != found[name]]
    return faults + [f"{name} has other bytes than the record says" for name in changed]


def _is_recorded(folder: Path) -> bool:
    """Whether a folder has a record and is as that says."""
    try:
        return not mismatches(Output(folder, read_record(folder / RECORD_NAME)))
    except (FileNotFoundError, ProvenanceError):
        return False


def _write_record(folder: Path, record: Record) -> None:
    """Complete a record with what the folder holds, and write it there."""
    files = hash_files(folder)
    finished_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record = dataclasses.replace(
        record, files=files, content_hash=content_hash(files), finished_at=finished_at
    )
    write_atomically(folder / RECORD_NAME, json.dumps(dataclasses.asdict(record), indent=1, sort_keys=True))


def is_file_intact(output: Output, name: str) -> bool:
    """Whether one file of an output is there as its record says."""
    path, kept = output.path / name, output.record.files.get(name)
    return kept is not None and path.is_file() and hash_file(path) == kept["sha256"]


class Store:
    """Outputs of assets under one root.

    Args:
        root: A folder, which `root` then names by its whole path, or an fsspec URL.
        scratch: Local folder for the files of a remote root; a folder in the system's cache by default.
    """

    def __init__(self, root: str | Path, *, scratch: Path | None = None):
        self.root = str(root) if "://" in str(root) else str(Path(root).absolute())
        self._is_remote = "://" in self.root and not self.root.startswith("file://")
        key = hashlib.sha256(self.root.encode()).hexdigest()[:12]
        default = platformdirs.user_cache_path("fungal_assets") / "stores" / key
        self._local = (
            (scratch or default) if self._is_remote else Path(self.root.removeprefix("file://")).absolute()
        )

    # -- reading -----------------------------------------------------------------------------------------------------

    def find(self, asset: str, partition: str | None = None) -> Output | None:
        """The newest complete output, or None. Its files are not compared with the record."""
        place = self._place(asset, partition)
        pointer = self._read_text(f"{place}/latest")
        if pointer is None:
            return None
        return self._load(f"{place}/{pointer.strip()}")

    def get(self, asset: str, partition: str | None = None, *, command: str | None = None) -> Output:
        """The newest complete output, its files compared with the record.

        Args:
            asset: Name of the asset.
            partition: Its partition key, or None.
            command: What makes it, for messages; None for `fungal grow --until` it, as on the road.

        Raises:
            ProvenanceError: There is none, or files differ; every mismatch is listed with the remedy.
        """
        command = command or f"fungal grow --until {asset}"
        output = self.find(asset, partition)
        if output is None:
            raise ProvenanceError(
                f"{output_name(asset, partition)!r} has no complete output in {self.root!r}. "
                f"Materialise it first: {command}"
            )
        faults = mismatches(output)
        if faults:
            raise ProvenanceError(
                f"{output.name!r} at {output.path} is not what its record says: {'; '.join(faults)}. "
                f"Grow it again ({command}): it is remade from its inputs."
            )
        return output

    def kept_here(self, asset: str, partition: str | None = None) -> list[Output]:
        """All complete outputs on this machine, newest first, their files not compared with their records.

        Of a remote root those that were made or read here. One whose record cannot be read is left out: whoever looks
        through earlier outputs has no use for it.
        """
        found = []
        for path in (self._local / self._place(asset, partition)).glob(f"[!.]*/{RECORD_NAME}"):
            with suppress(ProvenanceError):
                found.append(Output(path.parent, read_record(path)))
        return sorted(found, key=lambda output: output.record.finished_at, reverse=True)

    def partitions(self, asset: str) -> list[str]:
        """Partition keys of an asset that have a complete output."""
        if self._is_remote:
            files, root = self._remote()
            names = [path.rsplit("/", 1)[-1] for path in files.ls(f"{root}/{asset}", detail=False)]
        else:
            names = [path.name for path in (self._local / asset).glob("*")]
        return sorted(name for name in names if name != WHOLE and self.find(asset, name))

    def newest_partition(self, asset: str) -> str | None:
        """The partition key of an asset's newest complete output; None if it has none, or is not partitioned."""
        found = [output for key in self.partitions(asset) if (output := self.find(asset, key)) is not None]
        newest = max(found, key=lambda output: output.record.finished_at, default=None)
        return newest.record.partition if newest else None

    # -- making ------------------------------------------------------------------------------------------------------

    def make(
        self,
        asset: str,
        partition: str | None,
        *,
        inputs: Sequence[Output],
        config: Mapping[str, Any],
        code_version: str,
        build: Callable[[Path], Figures],
        licences: Iterable[str] = (),
        sources: Mapping[str, str] | None = None,
    ) -> Making:
        """Make an output, or find that it is there.

        Args:
            asset: Name of the asset.
            partition: Its partition key, or None.
            inputs: The outputs that it reads.
            config: The settings, JSON-able.
            code_version: Version of the asset's code.
            build: Fills the folder that it is given and returns the figures. It may find there what a killed run
                left, and should go on from it.
            licences: SPDX ids of what comes in beside the inputs' own.
            sources: Hashes of inputs that are not outputs of this store, by name.

        Returns:
            The output, and whether it was complete before. A complete output whose files no longer match its record
            is made again.
        """
        hashes = {output.name: output.record.content_hash for output in inputs} | dict(sources or {})
        fingerprint = fingerprint_of(asset, partition, hashes, config, code_version)
        place = self._place(asset, partition)
        with self._lock(place):
            done = self._load(f"{place}/{fingerprint}")
            if done is not None and not mismatches(done):
                self._copy_up_if_missing(place, done.path)
                self._point(place, fingerprint)
                return Making(done, was_complete=True)
            self._discard(f"{place}/{fingerprint}")
            working = self._local / place / f".working-{fingerprint}"
            working.mkdir(parents=True, exist_ok=True)
            if not _is_recorded(working):
                start_s = time.monotonic()
                figures = dict(build(working))
                inherited = {licence for output in inputs for licence in output.record.licences}
                record = Record(
                    asset=asset,
                    partition=partition,
                    fingerprint=fingerprint,
                    inputs=hashes,
                    config=dict(config),
                    code_version=code_version,
                    licences=sorted(inherited | set(licences)),
                    figures=figures,
                    seconds=round(time.monotonic() - start_s, 3),
                )
                _write_record(working, record)
            return Making(self._seal(place, working), was_complete=False)

    def _seal(self, place: str, working: Path) -> Output:
        """Drop what is hidden, rename the working folder, copy up where remote, and point to it.

        The record is written before: whoever is killed from here on finds a working folder that needs no more work.
        """
        for hidden in sorted(working.rglob(".*"), reverse=True):  # of a killed run too, at any depth
            shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
        record = read_record(working / RECORD_NAME)
        final = self._local / place / record.fingerprint
        working.rename(final)
        if self._is_remote:
            self._copy_up(place, final)
        self._point(place, record.fingerprint)
        return Output(final, record)

    # -- notes -------------------------------------------------------------------------------------------------------

    def write_note(self, name: str, note: Mapping[str, Any]) -> None:
        """Keep a small JSON document at the root, beside the assets."""
        text = json.dumps(dict(note), indent=1)
        if self._is_remote:
            files, root = self._remote()
            files.makedirs(root, exist_ok=True)
            files.pipe_file(f"{root}/{name}", text.encode())
        else:
            self._local.mkdir(parents=True, exist_ok=True)
            write_atomically(self._local / name, text)

    def read_note(self, name: str) -> dict[str, Any] | None:
        """The document of that name, or None."""
        text = self._read_text(name)
        return None if text is None else json.loads(text)

    def logs(self, asset: str, partition: str | None, working: Path) -> Path:
        """Where the logs of the making of an output go, on this machine: what holds times is no part of the output.

        Args:
            asset: Name of the asset.
            partition: Its partition key, or None.
            working: The folder that its `build` was given.
        """
        fingerprint = working.name.removeprefix(".working-")
        return self._local / LOGS / self._place(asset, partition) / fingerprint

    # -- places ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _place(asset: str, partition: str | None) -> str:
        return f"{asset}/{partition or WHOLE}"

    def _load(self, place: str) -> Output | None:
        folder = self._local / place
        if self._is_remote and not (folder / RECORD_NAME).exists():
            self._copy_down(place)
        if not (folder / RECORD_NAME).exists():
            return None
        return Output(folder, read_record(folder / RECORD_NAME))

    def _read_text(self, name: str) -> str | None:
        if self._is_remote:
            files, root = self._remote()
            return files.cat_file(f"{root}/{name}").decode() if files.exists(f"{root}/{name}") else None
        path = self._local / name
        return path.read_text() if path.exists() else None

    def _point(self, place: str, fingerprint: str) -> None:
        if self._is_remote:
            files, root = self._remote()
            files.makedirs(f"{root}/{place}", exist_ok=True)
            files.pipe_file(f"{root}/{place}/latest", fingerprint.encode())
        else:
            write_atomically(self._local / place / "latest", fingerprint)

    def _discard(self, place: str) -> None:
        """Put a complete folder that no longer matches its record out of the way, kept for a look."""
        folder = self._local / place
        if folder.exists():
            folder.rename(folder.with_name(f".damaged-{folder.name}-{time.time_ns()}"))

    @contextmanager
    def _lock(self, place: str) -> Iterator[None]:
        """One maker of an output at a time on this machine; the lock of a killed process is free."""
        from filelock import FileLock

        folder = self._local / place
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            yield

    # -- remote roots ------------------------------------------------------------------------------------------------

    def _remote(self) -> tuple[Any, str]:
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(self.root)
        except ImportError as error:
            raise MissingExtraError(
                f"The store {self.root!r} needs a further library: {error}. It comes with "
                "pip install 'fungal_assets[s3]' for s3:// and 'fungal_assets[gcs]' for gs://."
            ) from error
        except ValueError as error:
            raise InputError(
                f"The store {self.root!r} is of no known kind ({error}); give a folder, or a URL such as s3://bucket/prefix."
            ) from error
        return files, str(root).rstrip("/")

    def _copy_up(self, place: str, folder: Path) -> None:
        files, root = self._remote()
        target = f"{root}/{place}/{folder.name}"
        for name in [*_file_names(folder), RECORD_NAME]:
            files.makedirs(f"{target}/{name}".rsplit("/", 1)[0], exist_ok=True)
            files.put_file(str(folder / name), f"{target}/{name}")

    def _copy_up_if_missing(self, place: str, folder: Path) -> None:
        """Make good an upload that was cut off: the record goes up last, so its absence tells."""
        if self._is_remote:
            files, root = self._remote()
            if not files.exists(f"{root}/{place}/{folder.name}/{RECORD_NAME}"):
                self._copy_up(place, folder)

    def _copy_down(self, place: str) -> None:
        files, root = self._remote()
        if not files.exists(f"{root}/{place}/{RECORD_NAME}"):
            return
        folder = self._local / place
        record = json.loads(files.cat_file(f"{root}/{place}/{RECORD_NAME}"))
        for name in [*record["files"], RECORD_NAME]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            files.get_file(f"{root}/{place}/{name}", str(folder / name))


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)
