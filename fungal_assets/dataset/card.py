"""The dataset's card and its attribution table.

The card opens with the YAML that the Hugging Face hub and `datasets` read; its `configs` point at the
Parquet shards alone, so that `load_dataset(folder)` leaves the imagefolder aside. Belongs here: the texts.
The rows do not.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fungal_assets.nomenclature.species import Species

_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_HUB_LICENCES = {
    "CC0-1.0": "cc0-1.0",
    "CC-BY-2.0": "cc-by-2.0",
    "CC-BY-3.0": "cc-by-3.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-SA-3.0": "cc-by-sa-3.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
}
_UNKNOWN = "unknown"
_TOLD = ("creator", "licence", "source", "origin", "page")
_CHANGES = "turned upright, cropped to a square, resized, encoded as JPEG"
_SAMPLES = 8
FOLDER_IN_CARD = "path/of/this/folder"
"""Stands in the card's example for the place of the dataset; a publication puts its own there."""


@dataclass(frozen=True)
class Contents:
    """What a card tells.

    Args:
        rows: Number of images.
        shards: Number of Parquet shards.
        species: The species, in the order of the clusters.
        per_species: Number of images by species_id.
        licences: Number of images by SPDX id, `unknown` where none is told.
        habitats: Number of captions by habitat word.
        samples: A few captions.
    """

    rows: int
    shards: int
    species: tuple[Species, ...]
    per_species: Mapping[str, int]
    licences: Mapping[str, int]
    habitats: Mapping[str, int]
    samples: tuple[str, ...]

    @classmethod
    def of(
        cls,
        texts: Iterable[Mapping[str, Any]],
        species: Iterable[Species],
        credits: Iterable[Mapping[str, Any]],
        *,
        shards: int,
    ) -> Contents:
        """Count the rows of captions and of credits."""
        texts = sorted(texts, key=lambda row: row["image_id"])
        return cls(
            rows=len(texts),
            shards=shards,
            species=tuple(species),
            per_species=Counter(row["species_id"] for row in texts),
            licences=Counter(row["licence"] or _UNKNOWN for row in credits),
            habitats=Counter(row["habitat"] for row in texts if row["habitat"]),
            samples=tuple(row["caption"] for row in texts[:_SAMPLES]),
        )


def write_attributions(path: Path, credits: Iterable[Mapping[str, Any]]) -> None:
    """Write who made what: one line per image in the order of the ids, with the changes that were made."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_id", *_TOLD, "changes"])
    for row in sorted(credits, key=lambda row: row["image_id"]):
        told = [_harmless(row[name] or "") for name in _TOLD]
        writer.writerow([row["image_id"], *told, _CHANGES])
    path.write_text(text.getvalue(), encoding="utf-8")


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell


def write_card(path: Path, contents: Contents) -> None:
    """Write the card, `README.md`."""
    path.write_text(f"---\n{_front_matter(contents)}---\n{_body(contents)}", encoding="utf-8")


def _front_matter(contents: Contents) -> str:
    """YAML that the hub and `datasets` read."""
    known = [_HUB_LICENCES.get(licence, "other") for licence in contents.licences]
    licence = known[0] if len(known) == 1 else "other"
    columns = ["image_id", "text", "species", "species_id", "creator", "licence", "source"]
    lines = [
        "pretty_name: Fungal assets",
        f"license: {licence}",
        *(
            ["license_name: see-attribution-csv", "license_link: ATTRIBUTION.csv"]
            if licence == "other"
            else []
        ),
        "language:\n- en",
        "task_categories:\n- text-to-image\n- image-classification",
        "annotations_creators:\n- machine-generated",
        f"size_categories:\n- {_size_category(contents.rows)}",
        "tags:\n- fungi\n- art\n- diffusers",
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*.parquet",
        "dataset_info:\n  features:\n  - name: image\n    dtype: image",
        *(f"  - name: {name}\n    dtype: string" for name in columns),
        *(f"  - name: {name}\n    list: string" for name in ("texts", "class_texts")),
        f"  splits:\n  - name: train\n    num_examples: {contents.rows}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _size_category(rows: int) -> str:
    return next((name for limit, name in _SIZE_CATEGORIES if rows < limit), "n>1M")


def _body(contents: Contents) -> str:
    species = (
        f"| {one.common_name} | *{one.scientific_name}* | {contents.per_species.get(one.species_id, 0)} |"
        for one in contents.species
    )
    licences = (f"| {name} | {count} |" for name, count in sorted(contents.licences.items()))
    habitats = ", ".join(f"{word} {count}" for word, count in sorted(contents.habitats.items())) or "none"
    lines = [
        "",
        "# Fungal assets",
        "",
        f"{contents.rows} square pictures of fungi with captions, in {contents.shards} Parquet shards. The species "
        "are invented: each is a cluster of pictures that look alike, and its names are no real ones.",
        "",
        "```python",
        f'from datasets import load_dataset\ndataset = load_dataset("{FOLDER_IN_CARD}", split="train")',
        "```",
        "",
        "| species | binomial | pictures |\n|---|---|---|",
        *species,
        "",
        "## Captions",
        "",
        "Written by a program: the name of the species and what was measured in the picture (colours, "
        "habitat, closeness, count, light). A guess that was not sure is left out, and some that are told are wrong. "
        "`text` is the fullest caption, `texts` are several wordings of it, it among them, and `class_texts` say the "
        "same without the name.",
        "",
        *(f"- {sample}" for sample in contents.samples),
        "",
        f"Habitats told: {habitats}.",
        "",
        "## Licences and attribution",
        "",
        "Every picture keeps its own licence. `ATTRIBUTION.csv` names creator, licence and origin of each and "
        f"what was changed ({_CHANGES}).",
        "",
        "| licence | pictures |\n|---|---|",
        *licences,
        "",
    ]
    return "\n".join(lines)
