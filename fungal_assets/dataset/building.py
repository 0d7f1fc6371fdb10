"""Builds the captioned dataset out of prepared images and captions, streaming.

Rows carry the prepared picture's encoded bytes unchanged, so two builds of the same inputs are equal in
every byte. Belongs here: joining and writing. The card and the attribution table stand in `card`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from fungal_assets.dataset.card import Contents, write_attributions, write_card
from fungal_assets.errors import InputError
from fungal_assets.nomenclature.species import read_species
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import (
    ShardWriter,
    count_rows,
    image_schema,
    read_rows,
    read_table,
    shard_count,
    shard_paths,
)
from fungal_assets.store import Figures

DATA, IMAGEFOLDER = "data", "imagefolder"
_COLUMNS = ("image_id", "text", "species", "species_id", "creator", "licence", "source")
_LISTS = {"texts": "wordings", "class_texts": "class_wordings"}
"""Columns of several texts, and those of the captions that they come from."""
SCHEMA = image_schema(dict.fromkeys(_COLUMNS, pa.string()) | dict.fromkeys(_LISTS, pa.list_(pa.string())))
_CREDITS = ("image_id", "creator", "licence", "source", "origin", "page")
_SHOWN = 5


def build_dataset(
    prepared_images: Path,
    captions: Path,
    species: Path,
    raw_images: Path,
    folder: Path,
    *,
    max_shard_mb: float,
    has_imagefolder: bool,
    tell: Tell = stay_silent,
) -> Figures:
    """Write `data/train-*.parquet`, `imagefolder/`, `README.md` and `ATTRIBUTION.csv`.

    Args:
        prepared_images: A `prepared_images` output of one resolution.
        captions: The `captions` output.
        species: The `species` output.
        raw_images: The `raw_images` output, for creators and licences.
        folder: Where it all goes.
        max_shard_mb: The most megabytes of one shard, about; there are always two shards or more.
        has_imagefolder: Whether the imagefolder is written too.
        tell: Progress.

    Raises:
        InputError: The inputs do not hold the same images; the ids that differ are named.
    """
    credits = {row["image_id"]: row for row in read_rows(raw_images, _CREDITS)}
    texts = {row["image_id"]: row for row in read_table(captions / "captions.parquet")}
    names = {one.species_id: one for one in read_species(species)}
    _refuse_differences(prepared_images, credits, texts, names)
    for leftover in (DATA, IMAGEFOLDER):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    images = _ImageFolder(folder / IMAGEFOLDER) if has_imagefolder else None
    total_bytes = sum(path.stat().st_size for path in shard_paths(prepared_images))
    shards = shard_count(total_bytes, max_shard_mb=max_shard_mb)
    rows = follow(read_rows(prepared_images), tell, "writing the dataset", len(credits))
    with ShardWriter(folder / DATA, SCHEMA, shards=shards) as writer:
        for prepared in rows:
            row = _join(prepared, texts, names, credits)
            writer.write(row)
            if images:
                images.add(row)
    if images:
        images.close()
    write_attributions(folder / "ATTRIBUTION.csv", credits.values())
    contents = Contents.of(texts.values(), names.values(), credits.values(), shards=shards)
    write_card(folder / "README.md", contents)
    return {
        "rows": writer.row_count,
        "shards": shards,
        "species": len(names),
        "megabytes": round(total_bytes / 1e6, 2),
    }


class _ImageFolder:
    """Pictures as files with `metadata.jsonl`, the lines in the order of the ids."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._lines: dict[str, dict[str, Any]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        name = f"{row['image_id']}{Path(row['image']['path']).suffix}"
        (self._folder / name).write_bytes(row["image"]["bytes"])
        self._lines[row["image_id"]] = {"file_name": name, "text": row["text"]}

    def close(self) -> None:
        lines = (json.dumps(self._lines[image_id]) for image_id in sorted(self._lines))
        (self._folder / "metadata.jsonl").write_text("".join(f"{line}\n" for line in lines))


def _join(
    prepared: Mapping[str, Any],
    texts: Mapping[str, Any],
    names: Mapping[str, Any],
    credits: Mapping[str, Any],
) -> dict[str, Any]:
    image_id = prepared["image_id"]
    text, credit = texts[image_id], credits[image_id]
    suffix = Path(prepared["image"]["path"] or "").suffix or ".jpg"
    return {
        "image": {"bytes": prepared["image"]["bytes"], "path": f"{image_id}{suffix}"},
        "image_id": image_id,
        "text": text["caption"],
        **{name: text[column] for name, column in _LISTS.items()},
        "species": names[text["species_id"]].common_name,
        "species_id": text["species_id"],
        "creator": credit["creator"],
        "licence": credit["licence"],
        "source": credit["source"],
    }


def _refuse_differences(
    prepared_images: Path, credits: Mapping[str, Any], texts: Mapping[str, Any], names: Mapping[str, Any]
) -> None:
    """Raise if an admitted image is not prepared or captioned, or the other way round: nothing may vanish."""
    prepared = {row["image_id"] for row in read_rows(prepared_images, ["image_id"])}
    admitted = set(credits)
    unknown = {row["species_id"] for row in texts.values()} - set(names)
    faults = [
        *_difference(admitted - prepared, "admitted images are not prepared"),
        *_difference(prepared - admitted, "prepared images were not admitted"),
        *_difference(admitted - set(texts), "admitted images have no caption"),
        *_difference(unknown, "species of captions are not known"),
    ]
    if len(prepared) != count_rows(prepared_images):
        faults.append(f"{count_rows(prepared_images) - len(prepared)} prepared images are there twice")
    if faults:
        raise InputError(
            f"the inputs of the dataset do not fit together: {'; '.join(faults)}. "
            "They come from different growths; grow them again: fungal grow --until captioned_dataset"
        )


def _difference(ids: set[str], what: str) -> list[str]:
    return [f"{len(ids)} {what}, the first {sorted(ids)[:_SHOWN]!r}"] if ids else []
