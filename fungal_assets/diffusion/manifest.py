"""The files that a run is trained on, by name and hash, and that they stay what they were from first to last.

A run reads its dataset once, keeps what it encoded, and may go on for hours, in several lives. A shard that is taken
away, cut off or exchanged meanwhile would leave weights whose record names a dataset that isn't theirs. So the hashes
are noted in the working folder when the first life begins, every life is held to that note, and within a life a look at
sizes and times, which costs nothing, tells whether a file must be read again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fungal_assets.errors import ProvenanceError
from fungal_assets.shards import count_rows_by_shard
from fungal_assets.store import content_hash, describe_file, hash_files, write_atomically

Files = Mapping[str, Mapping[str, Any]]
Stamp = tuple[int, ...] | None


@dataclass
class Manifest:
    """What a folder held when it was taken.

    Args:
        folder: The dataset's `data/`.
        files: SHA-256 and bytes of each file, by name.
    """

    folder: Path
    files: Files
    _stamps: Mapping[str, Stamp] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, note: Path) -> Manifest:
        """Take it, and hold the folder to the note that an earlier life of the run left; without one, leave it.

        Raises:
            ProvenanceError: A file is not as it was noted, or, where nothing was, a shard is missing or damaged.
        """
        stamps = {path.name: _stamp(path) for path in folder.glob("*")}
        taken = cls(folder, hash_files(folder), stamps)
        if note.exists():
            anew = f" To train anew on what is there, delete {note.parent}."
            taken._refuse(_differences(json.loads(note.read_text()), taken.files), anew)
        else:
            count_rows_by_shard(folder)
            note.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(note, json.dumps(taken.files, indent=1))
        return taken

    @property
    def sha256(self) -> str:
        """One hash over all of it, as `hash_folder` gives it."""
        return content_hash(self.files)

    def hold(self) -> None:
        """Look whether all files are there as they were; one that was touched is read again.

        Raises:
            ProvenanceError: Some are gone or have other bytes.
        """
        stamps = {name: _stamp(self.folder / name) for name in self.files}
        now = {
            name: self.files[name] if stamp == self._stamps.get(name) else describe_file(self.folder / name)
            for name, stamp in stamps.items()
            if stamp is not None
        }
        self._refuse(_differences(self.files, now))
        self._stamps = stamps

    def _refuse(self, faults: list[str], remedy: str = "") -> None:
        if faults:
            raise ProvenanceError(
                f"{self.folder} is not what this training run began with: {'; '.join(faults)}. Put the shards back, or "
                f"grow captioned_dataset again, and type the same command: it goes on where it was.{remedy}"
            )


def _stamp(path: Path) -> Stamp:
    """What changes when a file does; None where there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _differences(was: Files, now: Files) -> list[str]:
    """One sentence for each file that differs."""
    faults = [f"{name} is missing" for name in sorted(was.keys() - now.keys())]
    faults += [f"{name} was not there" for name in sorted(now.keys() - was.keys())]
    for name in sorted(was.keys() & now.keys()):
        if was[name]["sha256"] != now[name]["sha256"]:
            faults.append(
                f"{name} has other bytes ({now[name]['bytes']} of SHA-256 {now[name]['sha256'][:12]}…, expected "
                f"{was[name]['bytes']} of {was[name]['sha256'][:12]}…)"
            )
    return faults
