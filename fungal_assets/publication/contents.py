"""What of an output goes up, and under which name: the shards and their card, the weights that people load and theirs.

What only this machine needs stays here: the imagefolder, which holds the rows of the shards once more, and whatever
goes on from a training. Beside the files goes `provenance.json`, which says what they are made of and names them all,
so that the next publication knows which files on the hub are its own.
Belongs here: choosing files. Sending them is in `publishing`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fungal_assets.dataset import attribution, croissant
from fungal_assets.dataset.card import FOLDER_IN_CARD, SHEET
from fungal_assets.dataset.contents import DATA
from fungal_assets.dataset.splitting import SPLITS
from fungal_assets.diffusion.cards import PACKAGE_DIR, find_card
from fungal_assets.errors import ProvenanceError
from fungal_assets.galleries.checks import check_knowledge_kept
from fungal_assets.publication.weights_card import weights_card
from fungal_assets.store import RECORD_NAME, Output, Record, content_hash, hash_file

CARD = "README.md"
BASE_CARD = "base_model_card.md"
HUB_DATASETS = "https://huggingface.co/datasets"
LAST = (CARD, croissant.NAME, RECORD_NAME)
"""They go up with the last commit, so that a reader of them finds all that they tell of."""


@dataclass(frozen=True)
class File:
    """One file that goes up: its bytes or where they lie, its size and its SHA-256."""

    source: Path | bytes
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, source: Path | bytes) -> File:
        """Measure a file, or the bytes of one."""
        if isinstance(source, bytes):
            return cls(source, len(source), hashlib.sha256(source).hexdigest())
        return cls(source, source.stat().st_size, hash_file(source))

    def read(self) -> bytes:
        """All its bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


@dataclass(frozen=True)
class Contents:
    """All that goes up.

    Args:
        kind: `"dataset"` or `"model"`, as the hub calls repositories.
        record: The record of the output.
        chosen: The files by their path on the hub, the provenance left out.
        read_with: Patterns of the paths that whoever loads it reads: a foreign file there would be read as well.
    """

    kind: str
    record: Record
    chosen: Mapping[str, File]
    read_with: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        """One hash over the names and the bytes of all files."""
        return content_hash({path: {"sha256": file.sha256} for path, file in self.files.items()})

    @property
    def tag(self) -> str:
        """The tag that names these files and no others."""
        return f"growth-{self.hash[:12]}"

    @cached_property
    def files(self) -> dict[str, File]:
        """All files by their path on the hub, in the order in which they go up."""
        ordered = sorted(self.chosen, key=lambda path: (path in LAST, path))
        provenance = json.dumps(self._provenance(), indent=1, sort_keys=True).encode()
        return {path: self.chosen[path] for path in ordered} | {RECORD_NAME: File.of(provenance)}

    def _provenance(self) -> dict[str, Any]:
        kept = ("asset", "partition", "inputs", "code_version", "package_version", "licences")
        record = dataclasses.asdict(self.record)
        return {
            **{name: record[name] for name in kept},
            "asset_hash": self.record.content_hash,
            "files": {
                path: {"sha256": file.sha256, "bytes": file.size_bytes} for path, file in self.chosen.items()
            },
        }


def dataset_contents(captioned_dataset: Output, *, repo_id: str) -> Contents:
    """The shards, the card, its sheet, the Croissant metadata and the attributions of a `captioned_dataset` output.

    Args:
        captioned_dataset: The output, its files compared with its record.
        repo_id: Where it goes, for the card's example.
    """
    beside = (attribution.NAME, SHEET)
    chosen = _chosen(captioned_dataset, lambda path: path.startswith(f"{DATA}/") or path in beside)
    text = (captioned_dataset.path / CARD).read_text(encoding="utf-8")
    chosen[CARD] = File.of(text.replace(FOLDER_IN_CARD, repo_id).encode())
    described = (captioned_dataset.path / croissant.NAME).read_text(encoding="utf-8")
    chosen[croissant.NAME] = File.of(croissant.with_url(described, f"{HUB_DATASETS}/{repo_id}").encode())
    read_with = tuple(f"{DATA}/{split}-*.parquet" for split in SPLITS)
    return Contents("dataset", captioned_dataset.record, chosen, read_with=read_with)


def weights_contents(
    pruned_weights: Output, sample_galleries: Output, forgetting_report: Output, *, repo_id: str
) -> Contents:
    """The pipeline at the root of the repository, the LoRA files, the single file, and a card with the retention.

    Args:
        pruned_weights: The output, its files compared with its record.
        sample_galleries: The gallery of these weights.
        forgetting_report: The report on that gallery.
        repo_id: Where it goes, for the card's example.

    Raises:
        ProvenanceError: The report is on other weights, or says that the weights forgot too much.
    """
    _refuse_forgetful(pruned_weights, sample_galleries, forgetting_report)
    chosen = {
        path.removeprefix("pipeline/"): file for path, file in _chosen(pruned_weights, lambda _: True).items()
    }
    about = json.loads((pruned_weights.path / "weights.json").read_text(encoding="utf-8"))
    base = find_card(about["base_model"]["id"])
    base_card = PACKAGE_DIR / base.path / CARD if base is not None and base.path else None
    if base_card is not None:
        chosen[BASE_CARD] = File.of(base_card)
    card = weights_card(
        repo_id=repo_id,
        record=pruned_weights.record,
        about=about,
        base=base,
        base_card=BASE_CARD if base_card else None,
        retention=forgetting_report.record.figures,
    )
    chosen[CARD] = File.of(card.encode())
    return Contents("model", pruned_weights.record, chosen)


def _chosen(output: Output, is_wanted: Callable[[str], bool]) -> dict[str, File]:
    return {
        path: File(output.path / path, entry["bytes"], entry["sha256"])
        for path, entry in output.record.files.items()
        if is_wanted(path)
    }


def _refuse_forgetful(pruned_weights: Output, sample_galleries: Output, forgetting_report: Output) -> None:
    """Raise unless the report is on these weights and finds their control knowledge kept."""
    made_of = (
        (sample_galleries, pruned_weights),
        (forgetting_report, sample_galleries),
    )
    for output, source in made_of:
        if output.record.inputs.get(source.name) != source.record.content_hash:
            raise ProvenanceError(
                f"{output.name!r} is not of the newest {source.name!r}, so it is not known what these weights "
                "forgot. Grow it again: fungal grow --until forgetting_report"
            )
    verdict = check_knowledge_kept(forgetting_report.path)
    if not verdict.passed:
        raise ProvenanceError(
            f"the weights are not published, since control_knowledge_kept failed: {verdict.finding}"
        )
