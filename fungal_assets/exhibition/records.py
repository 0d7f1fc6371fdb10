"""The provenance records of a growth: those of the guide's own inputs, and of what these were made from.

An input's record names its own inputs by content hash. Where inputs lie in a store, the records of those are found
beside them by that hash, back to the first; what is not found is kept by name and hash alone.
Belongs here: gathering records. Drawing them does not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from fungal_assets.errors import ProvenanceError
from fungal_assets.store import RECORD_NAME, WHOLE, Record, output_name


@dataclass(frozen=True)
class Ancestor:
    """One output, or one source from outside, that the guide descends from.

    Args:
        name: `asset`, `asset/partition`, or the name of a source.
        content_hash: SHA-256 over its files, hex.
        record: Its record, or None where only name and hash are known.
        is_input: Whether the guide reads it itself.
    """

    name: str
    content_hash: str
    record: Record | None
    is_input: bool = False

    @property
    def anchor(self) -> str:
        """Its id on the provenance page."""
        words = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in self.name)
        return f"{words}-{self.content_hash[:8]}"

    @property
    def parents(self) -> list[tuple[str, str]]:
        """Name and content hash of each thing that it was made from.

        Where several outputs of one partition were read, their names end in their fingerprints, which are left out.
        """
        inputs = self.record.inputs.items() if self.record else ()
        return sorted(("/".join(name.split("/")[:2]), content_hash) for name, content_hash in inputs)

    @property
    def size_bytes(self) -> int:
        """Size of all its files."""
        return sum(entry["bytes"] for entry in self.record.files.values()) if self.record else 0


def gather_ancestors(folders: Sequence[Path]) -> list[Ancestor]:
    """All that some outputs descend from, themselves included, each before what was made from it.

    Two versions of one output are two ancestors: a gallery may have been made from older clusters than the guide's.

    Raises:
        ProvenanceError: A folder has no record; all such folders are named.
    """
    missing = [str(folder) for folder in folders if not (folder / RECORD_NAME).is_file()]
    if missing:
        raise ProvenanceError(
            f"{', '.join(missing)}: no {RECORD_NAME}. The guide shows complete outputs only; grow them first: "
            "fungal grow --until videos_3d"
        )
    found: dict[tuple[str, str], Ancestor] = {}
    for folder in folders:
        record = _read_record(folder / RECORD_NAME)
        name = output_name(record.asset, record.partition)
        found[name, record.content_hash] = Ancestor(name, record.content_hash, record, is_input=True)
    deep = [folder.absolute().parents for folder in folders]
    roots = list(dict.fromkeys(parents[2] for parents in deep if len(parents) > 2))
    waiting = [parent for ancestor in found.values() for parent in ancestor.parents]
    while waiting:
        name, content_hash = waiting.pop()
        if (name, content_hash) not in found:
            ancestor = Ancestor(name, content_hash, _find_record(roots, name, content_hash))
            found[name, content_hash] = ancestor
            waiting += ancestor.parents
    return _order(found)


def _read_record(path: Path) -> Record:
    return Record(**json.loads(path.read_text(encoding="utf-8")))


def _find_record(roots: Sequence[Path], name: str, content_hash: str) -> Record | None:
    """The record of that hash in a store that an input lies in."""
    asset, _, partition = name.partition("/")
    for root in roots:
        for path in sorted((root / asset / (partition or WHOLE)).glob(f"*/{RECORD_NAME}")):
            record = _read_record(path)
            if record.content_hash == content_hash:
                return record
    return None


def _order(found: dict[tuple[str, str], Ancestor]) -> list[Ancestor]:
    """Parents before children; the same for the same records."""
    order = TopologicalSorter({key: found[key].parents for key in sorted(found)}).static_order()
    return [found[key] for key in order]


def licences_of(ancestors: Sequence[Ancestor]) -> list[str]:
    """Every licence that any of them carries."""
    return sorted(
        {licence for ancestor in ancestors if ancestor.record for licence in ancestor.record.licences}
    )
