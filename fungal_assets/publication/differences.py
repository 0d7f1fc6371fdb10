"""What a branch of the hub lacks, and in which steps it gets it.

Belongs here: comparing and dividing. Nothing is asked of the hub.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from fungal_assets.publication.contents import LAST, Contents, File
from fungal_assets.publication.hub import Remote, git_hash

FILES_PER_COMMIT = 100
BYTES_PER_COMMIT = 5_000_000_000
OF_THE_HUB = (".gitattributes",)


@dataclass(frozen=True)
class Difference:
    """What a branch lacks of some contents, and has beside.

    Args:
        missing: Paths that it lacks, or has with other bytes, in the order in which they go up.
        outdated: Paths that an earlier publication sent and the contents no longer have.
        foreign: Paths that no publication sent.
        overwritten: Those of `missing` whose bytes no publication had sent.
    """

    missing: tuple[str, ...]
    outdated: tuple[str, ...]
    foreign: tuple[str, ...]
    overwritten: tuple[str, ...]


def compare(contents: Contents, found: Mapping[str, Remote], own: Collection[str]) -> Difference:
    """What a branch lacks of the contents, and what it has beside.

    Args:
        contents: What it should have.
        found: What it has.
        own: Paths whose bytes an earlier publication sent.
    """
    missing = [path for path, file in contents.files.items() if not is_there(file, found.get(path))]
    beside = sorted(found.keys() - contents.files.keys() - set(OF_THE_HUB))
    return Difference(
        missing=tuple(missing),
        outdated=tuple(path for path in beside if path in own),
        foreign=tuple(path for path in beside if path not in own),
        overwritten=tuple(path for path in missing if path in found and path not in own),
    )


def is_there(file: File, remote: Remote | None) -> bool:
    """Whether the hub's file is this one, by size and hash."""
    if remote is None or remote.size_bytes != file.size_bytes:
        return False
    return remote.sha256 == file.sha256 if remote.sha256 else remote.git_sha1 == git_hash(file.read())


def batched(
    files: Mapping[str, File],
    *,
    max_files: int = FILES_PER_COMMIT,
    max_bytes: int = BYTES_PER_COMMIT,
) -> Iterator[dict[str, File]]:
    """The files in their order, in commits of at most so many files and about so many bytes; the cards in the last."""
    batch: dict[str, File] = {}
    size_bytes = 0
    for path, file in files.items():
        is_full = len(batch) >= max_files or size_bytes + file.size_bytes > max_bytes
        if batch and is_full and path not in LAST:
            yield batch
            batch, size_bytes = {}, 0
        batch[path] = file
        size_bytes += file.size_bytes
    if batch:
        yield batch
