"""Builds the captioned dataset out of prepared images and captions, streaming.

Rows carry the prepared picture's encoded bytes unchanged, so two builds of the same inputs are equal in
every byte. Belongs here: joining and writing. What is held out is chosen in `splitting`; the card, the attribution
table and the Croissant metadata stand in modules of their own.
"""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from fungal_assets.dataset import attribution, card, croissant
from fungal_assets.dataset.contents import (
    DATA,
    CaptionStatistics,
    Contents,
    count_credits,
    count_splits,
    pick_samples,
)
from fungal_assets.dataset.splitting import TEST, TRAIN, hold_out
from fungal_assets.dataset.texts import LISTS, MappedTexts, map_texts, read_captions
from fungal_assets.errors import InputError
from fungal_assets.morphology.twins import read_groups
from fungal_assets.nomenclature.species import Species, read_species
from fungal_assets.previews import contact_sheet, middle_square
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import (
    ShardWriter,
    count_rows,
    image_schema,
    read_rows,
    shard_count,
    shard_paths,
)
from fungal_assets.store import Figures, Record

IMAGEFOLDER = "imagefolder"
_COLUMNS = ("image_id", "text", "species", "species_id", "creator", "licence", "source")
SCHEMA = image_schema(dict.fromkeys(_COLUMNS, pa.string()) | dict.fromkeys(LISTS, pa.list_(pa.string())))
LEAST_SHARDS: Mapping[str, int] = {TRAIN: 2, TEST: 1}
"""Training pictures lie in two shards at least, so that reading only one would show."""
_HELD = ("image_id", "species_id", "caption")
"""What is held in memory of every picture's captions."""
_CREDITS = ("image_id", *attribution.TOLD)
_SHOWN = 5
_TILE_PX, _SHEET_COLUMNS = 192, 4
_HELD_MB = 64.0
"""So many megabytes of images of a split wait in memory."""


def build_dataset(
    prepared_images: Path,
    captions: Path,
    species: Path,
    raw_images: Path,
    feature_vectors: Path,
    folder: Path,
    *,
    max_shard_mb: float,
    has_imagefolder: bool,
    held_out_share: float,
    records: Sequence[Record],
    tell: Tell = stay_silent,
) -> Figures:
    """Write `data/`, `imagefolder/`, `README.md`, `samples.webp`, `croissant.json` and `ATTRIBUTION.csv`.

    Args:
        prepared_images: A `prepared_images` output of one resolution.
        captions: The `captions` output.
        species: The `species` output.
        raw_images: The `raw_images` output, for creators and licences.
        feature_vectors: The `feature_vectors` output, for the groups of near duplicates.
        folder: Where it all goes.
        max_shard_mb: The most megabytes of one shard, about; there are always two shards of training pictures or more.
        has_imagefolder: Whether the imagefolder is written too.
        held_out_share: About which share of the pictures is held out of training, 0 for none to 0.5.
        records: Those of the inputs, for the card.
        tell: Progress.

    Raises:
        InputError: The inputs do not hold the same images; the ids that differ are named. Or the captions are of before
            pictures had several texts.
    """
    sources = _Sources.read(captions, species, raw_images, feature_vectors)
    sources.refuse_differences(prepared_images)
    held_out = hold_out(sources.groups, sources.species_of, held_out_share)
    said = CaptionStatistics.of(read_captions(captions))
    contents = _count(sources, said, prepared_images, held_out, max_shard_mb, held_out_share, records)
    with map_texts(captions, folder) as texts:
        tiles = _write_rows(
            prepared_images, sources, texts, held_out, contents, folder, has_imagefolder, tell
        )
    _draw_samples(tiles, folder / card.SHEET)
    attribution.write_attributions(folder / attribution.NAME, sources.credits.values())
    card.write_card(folder / card.NAME, contents)
    croissant.write_croissant(folder, contents)
    return {
        "rows": contents.row_count,
        "train_rows": contents.rows[TRAIN],
        "test_rows": contents.rows.get(TEST, 0),
        "shards": sum(contents.shards.values()),
        "species": len(sources.names),
        "distinct_captions": contents.captions.distinct,
        "megabytes": round(sum(path.stat().st_size for path in shard_paths(folder / DATA)) / 1e6, 2),
    }


@dataclass(frozen=True)
class _Sources:
    """What is joined to the pictures, by image id; the names by species_id."""

    credits: Mapping[str, Mapping[str, Any]]
    texts: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, Species]
    groups: Mapping[str, str]

    @classmethod
    def read(cls, captions: Path, species: Path, raw_images: Path, feature_vectors: Path) -> _Sources:
        return cls(
            credits={row["image_id"]: row for row in read_rows(raw_images, _CREDITS)},
            texts={row["image_id"]: row for row in read_captions(captions, _HELD)},
            names={one.species_id: one for one in read_species(species)},
            groups=read_groups(feature_vectors),
        )

    @property
    def species_of(self) -> dict[str, str]:
        """The species of each picture."""
        return {image_id: row["species_id"] for image_id, row in self.texts.items()}

    def refuse_differences(self, prepared_images: Path) -> None:
        """Raise if an image is in one input and not in another: nothing may vanish."""
        prepared = {row["image_id"] for row in read_rows(prepared_images, ["image_id"])}
        admitted = set(self.credits)
        unknown = {row["species_id"] for row in self.texts.values()} - set(self.names)
        faults = [
            *_difference(admitted - prepared, "admitted images are not prepared"),
            *_difference(prepared - admitted, "prepared images were not admitted"),
            *_difference(admitted - set(self.texts), "admitted images have no caption"),
            *_difference(set(self.texts) - admitted, "captioned images were not admitted"),
            *_difference(
                admitted ^ set(self.groups), "images are admitted or have a feature vector, not both"
            ),
            *_difference(unknown, "species of captions are not known"),
        ]
        if len(prepared) != count_rows(prepared_images):
            faults.append(f"{count_rows(prepared_images) - len(prepared)} prepared images are there twice")
        if faults:
            raise InputError(
                f"the inputs of the dataset do not fit together: {'; '.join(faults)}. "
                "They come from different growths; grow them again: fungal grow --until captioned_dataset"
            )


def _count(
    sources: _Sources,
    said: CaptionStatistics,
    prepared_images: Path,
    held_out: frozenset[str],
    max_shard_mb: float,
    held_out_share: float,
    records: Sequence[Record],
) -> Contents:
    per_species = count_splits(sources.texts, held_out)
    rows = {split: sum(found.values()) for split, found in per_species.items()}
    total_bytes = sum(path.stat().st_size for path in shard_paths(prepared_images))
    mean_bytes = total_bytes / max(1, len(sources.texts))
    shards = {
        split: shard_count(int(count * mean_bytes), max_shard_mb=max_shard_mb, least=LEAST_SHARDS[split])
        for split, count in rows.items()
    }
    return Contents(
        schema=SCHEMA,
        sizes=_sizes(prepared_images),
        rows=rows,
        shards=shards,
        species=tuple(sources.names.values()),
        per_species=per_species,
        credits=count_credits(sources.credits.values()),
        creators=len({row["creator"] for row in sources.credits.values()} - {None, ""}),
        captions=said,
        samples=pick_samples(sources.texts, held_out),
        held_out_share=held_out_share,
        records=tuple(records),
    )


def _write_rows(
    prepared_images: Path,
    sources: _Sources,
    texts: MappedTexts,
    held_out: frozenset[str],
    contents: Contents,
    folder: Path,
    has_imagefolder: bool,
    tell: Tell,
) -> list[tuple[Image.Image, str]]:
    """Write all rows, and return those that are shown as tiles with the names of their species."""
    for leftover in (DATA, IMAGEFOLDER):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    tiles: dict[str, tuple[Image.Image, str]] = {}
    with ExitStack() as open_files:
        shards = {
            split: open_files.enter_context(
                ShardWriter(folder / DATA, SCHEMA, shards=count, stem=split, held_mb=_HELD_MB)
            )
            for split, count in contents.shards.items()
        }
        images = {
            split: open_files.enter_context(_ImageFolder(folder / IMAGEFOLDER / split))
            for split in (contents.shards if has_imagefolder else ())
        }
        for prepared in follow(read_rows(prepared_images), tell, "writing the dataset", contents.row_count):
            row = _join(prepared, sources) | texts.of(prepared["image_id"])
            split = TEST if row["image_id"] in held_out else TRAIN
            shards[split].write(row)
            if images:
                images[split].add(row)
            if row["image_id"] in contents.samples:
                tiles[row["image_id"]] = (_tile(row), row["species"])
    return [tiles[image_id] for image_id in contents.samples]


class _ImageFolder:
    """Pictures of a split as files with `metadata.jsonl`, the lines in the order of the ids."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._lines: dict[str, dict[str, Any]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        name = f"{row['image_id']}{Path(row['image']['path']).suffix}"
        (self._folder / name).write_bytes(row["image"]["bytes"])
        self._lines[row["image_id"]] = {"file_name": name, "text": row["text"]}

    def __enter__(self) -> _ImageFolder:
        return self

    def __exit__(self, *_: object) -> None:
        lines = (json.dumps(self._lines[image_id]) for image_id in sorted(self._lines))
        (self._folder / "metadata.jsonl").write_text("".join(f"{line}\n" for line in lines))


def _join(prepared: Mapping[str, Any], sources: _Sources) -> dict[str, Any]:
    """A row but for its lists of texts."""
    image_id = prepared["image_id"]
    text, credit = sources.texts[image_id], sources.credits[image_id]
    suffix = Path(prepared["image"]["path"] or "").suffix or ".jpg"
    return {
        "image": {"bytes": prepared["image"]["bytes"], "path": f"{image_id}{suffix}"},
        "image_id": image_id,
        "text": text["caption"],
        "species": sources.names[text["species_id"]].common_name,
        "species_id": text["species_id"],
        "creator": credit["creator"],
        "licence": credit["licence"],
        "source": credit["source"],
    }


def _difference(ids: set[str], what: str) -> list[str]:
    return [f"{len(ids)} {what}, the first {sorted(ids)[:_SHOWN]!r}"] if ids else []


def _sizes(prepared_images: Path) -> Counter[tuple[int, int]]:
    """How many pictures have which width and height."""
    opened = (Image.open(io.BytesIO(row["image"]["bytes"])) for row in read_rows(prepared_images, ["image"]))
    return Counter(image.size for image in opened)


def _tile(row: Mapping[str, Any]) -> Image.Image:
    with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
        square = middle_square(image.convert("RGB"))
        return square.resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)


def _draw_samples(tiles: Sequence[tuple[Image.Image, str]], path: Path) -> None:
    pictures, labels = [tile for tile, _ in tiles], [name for _, name in tiles]
    sheet = contact_sheet(pictures, columns=_SHEET_COLUMNS, labels=labels, tile_px=_TILE_PX)
    sheet.save(path, "WEBP", quality=80)
