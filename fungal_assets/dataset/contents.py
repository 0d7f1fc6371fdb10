"""What a dataset holds, counted: what its card and its Croissant metadata tell.

Belongs here: numbers and texts taken from the rows. How they are told stands in `card` and `croissant`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pyarrow as pa

from fungal_assets.dataset.splitting import SPLITS, TEST, TRAIN
from fungal_assets.nomenclature.species import Species
from fungal_assets.store import Record

DATA = "data"
"""Folder of the shards, in that of the dataset."""
UNKNOWN = "unknown"
SAMPLES = 12
_NO_ATTRIBUTES = ("image_id", "species_id", "caption", "wordings", "class_wordings", "described")


@dataclass(frozen=True)
class CaptionStatistics:
    """Figures of the captions.

    Args:
        distinct: How many different texts there are.
        words: Fewest, median and most words of a caption.
        characters: Fewest, median and most characters.
        vocabulary: How many different words.
        told: How many pictures each attribute was measured in, by column of the `captions` output.
        habitats: How many pictures by habitat word.
        habitats_told: In how many the habitat is what the source told.
        described: In how many a captioner wrote a wording.
    """

    distinct: int
    words: tuple[int, float, int]
    characters: tuple[int, float, int]
    vocabulary: int
    told: Mapping[str, int]
    habitats: Mapping[str, int]
    habitats_told: int
    described: int

    @classmethod
    def of(cls, texts: Iterable[Mapping[str, Any]]) -> CaptionStatistics:
        """Count rows of a `captions` output; each is looked at once and none is held."""
        words, characters = array("L"), array("L")
        distinct: set[str] = set()
        vocabulary: set[str] = set()
        told: Counter[str] = Counter()
        habitats: Counter[str] = Counter()
        habitats_told = described = 0
        for row in texts:
            each = row["caption"].split()
            words.append(len(each))
            characters.append(len(row["caption"]))
            distinct.add(row["caption"])
            vocabulary.update(word.strip(",.").lower() for word in each)
            told.update(_attributes(row))
            habitats.update([row["habitat"]] if row["habitat"] else [])
            habitats_told += row.get("is_habitat_told") or False
            described += bool(row.get("described"))
        return cls(
            distinct=len(distinct),
            words=_spread(words),
            characters=_spread(characters),
            vocabulary=len(vocabulary),
            told=told,
            habitats=habitats,
            habitats_told=habitats_told,
            described=described,
        )


def _attributes(row: Mapping[str, Any]) -> dict[str, int]:
    """By attribute, 1 where it was measured in the picture of a row and 0 where not."""
    return {
        name: int(bool(value))
        for name, value in row.items()
        if name not in _NO_ATTRIBUTES and not isinstance(value, bool)
    }


def _spread(values: Sequence[int]) -> tuple[int, float, int]:
    return (min(values), median(values), max(values)) if values else (0, 0, 0)


@dataclass(frozen=True)
class Contents:
    """What a dataset holds.

    Args:
        schema: Arrow schema of the rows.
        sizes: Number of pictures by width and height, pixels.
        rows: Number of pictures by split; a split without any is left out.
        shards: Number of shards by split.
        species: The species, in the order of the clusters.
        per_species: Number of pictures by split and species_id.
        credits: Number of pictures by source and licence, `unknown` where none is told.
        creators: Number of different creators.
        captions: Figures of the captions.
        samples: Ids of pictures to show, of the training split, with their captions.
        held_out_share: The share that was asked for.
        records: What the dataset was made of.
    """

    schema: pa.Schema
    sizes: Mapping[tuple[int, int], int]
    rows: Mapping[str, int]
    shards: Mapping[str, int]
    species: tuple[Species, ...]
    per_species: Mapping[str, Mapping[str, int]]
    credits: Mapping[tuple[str, str], int]
    creators: int
    captions: CaptionStatistics
    samples: Mapping[str, str]
    held_out_share: float
    records: tuple[Record, ...]

    @property
    def pictures(self) -> str:
        """What the pictures are, for a sentence."""
        (width, height), *others = sorted(self.sizes)
        if not others and width == height:
            return f"{self.row_count} square pictures of fungi of {width} px"
        sizes = ", ".join(f"{width} x {height}" for width, height in sorted(self.sizes))
        return f"{self.row_count} pictures of fungi of {sizes} px"

    @property
    def row_count(self) -> int:
        """Number of pictures in all splits."""
        return sum(self.rows.values())

    @property
    def licences(self) -> list[str]:
        """The licences, in their order."""
        return sorted({licence for _, licence in self.credits})


def count_credits(credits: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """Number of pictures by source and licence."""
    return Counter((row["source"] or UNKNOWN, row["licence"] or UNKNOWN) for row in credits)


def count_splits(
    texts: Mapping[str, Mapping[str, Any]], held_out: frozenset[str]
) -> dict[str, dict[str, int]]:
    """Number of pictures by split and species_id; a split without any is left out."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for image_id, row in texts.items():
        counts[TEST if image_id in held_out else TRAIN][row["species_id"]] += 1
    return {split: dict(found) for split, found in counts.items() if found or split == TRAIN}


def pick_samples(texts: Mapping[str, Mapping[str, Any]], held_out: frozenset[str]) -> dict[str, str]:
    """Ids and captions of `SAMPLES` pictures of the training split, of as many species as there are."""
    ranks: Counter[str] = Counter()
    ordered = []
    for image_id in sorted(texts.keys() - held_out):
        species_id = texts[image_id]["species_id"]
        ordered.append((ranks[species_id], species_id, image_id))
        ranks[species_id] += 1
    chosen = sorted(ordered)[:SAMPLES]
    return {image_id: texts[image_id]["caption"] for _, _, image_id in chosen}
