"""Captions: what every picture shows in words, as a table; several wordings of each, and some without the name.

`caption` is the fullest wording, such as "a photo of an amber hollow bonnet mushroom, brown and white, in moss, up
close", and the first of `wordings`; `class_wordings` say "a mushroom" or "a fungus" instead of the name. All that was
measured stands in columns of its own. Where a source tells of a habitat that the vocabulary of places knows, that goes
before what was measured. Everything drawn is drawn with a seed of the image's id, so that a caption is the same in any
batch. Belongs here: the table. The grammar (`wordings`), the measurements (`attributes`) and the vocabulary of places
(`places`) do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap
from typing import Any

import pyarrow as pa
from PIL import Image

from fungal_assets.collection.decoding import SPECIMEN_COLUMNS, read_specimen
from fungal_assets.errors import InputError
from fungal_assets.morphology.features import in_batches
from fungal_assets.nomenclature.attributes import Attributes, measure
from fungal_assets.nomenclature.captioners import find_captioner
from fungal_assets.nomenclature.hints import hints_by_id
from fungal_assets.nomenclature.places import word_place
from fungal_assets.nomenclature.species import Species, read_species
from fungal_assets.nomenclature.subjects import MEASURED_PX
from fungal_assets.nomenclature.wordings import MOST_WORDINGS, OPENING, word_class, word_image
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import count_rows, read_rows, read_table, write_table
from fungal_assets.store import Figures

_SHEET_TILES = 24
_TILE_PX = 192
_AT_ONCE = 8
_LINE = 60
_TEXT = ("size_in_frame", "habitat", "count", "closeness", "view", "light")
_READ = ("image_id", "habitat", "substrate", *SPECIMEN_COLUMNS)
_LISTS = ("wordings", "class_wordings", "colour_names")
_SCHEMA = pa.schema(
    [("image_id", pa.string()), ("species_id", pa.string()), ("caption", pa.string())]
    + [(name, pa.list_(pa.string())) for name in _LISTS]
    + [(name, pa.string()) for name in _TEXT]
    + [("is_habitat_told", pa.bool_()), ("is_cluttered", pa.bool_()), ("described", pa.string())]
)


@dataclass(frozen=True)
class Manner:
    """How captions are worded; the fields are those of `caption_images`."""

    class_noun: str
    cluttered_opening: str
    wordings: int
    class_wordings: int
    captioner: str
    seed: int

    def check(self) -> None:
        """Refuse settings that cannot be, all at once.

        Raises:
            InputError: Some cannot be.
        """
        least = {"wordings": 1, "class_wordings": 0}
        faults = [
            f"{name} is {getattr(self, name)}, {bound} to {MOST_WORDINGS} expected"
            for name, bound in least.items()
            if not bound <= getattr(self, name) <= MOST_WORDINGS
        ]
        if self.captioner and self.wordings == 1:
            faults.append(
                "wordings is 1 and captioner is set, which writes the second: 2 or more, or no captioner, expected"
            )
        if "," in self.cluttered_opening:
            faults.append(
                f"cluttered_opening is {self.cluttered_opening!r}, words without a comma expected, for a comma ends "
                "what a caption says the name in"
            )
        if faults:
            raise InputError(f"these settings of captions cannot be: {'; '.join(faults)}.")

    def opening(self, attributes: Attributes) -> str:
        """The first words of what is said of a picture."""
        return (attributes.is_cluttered and self.cluttered_opening.strip()) or OPENING


def caption_images(
    raw_images: Path,
    clusters: Path,
    species: Path,
    feature_vectors: Path,
    folder: Path,
    *,
    class_noun: str,
    cluttered_opening: str,
    wordings: int,
    class_wordings: int,
    captioner: str,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Caption every specimen; writes `captions.parquet` and `sheet.webp`.

    Args:
        raw_images: The `raw_images` output.
        clusters: The `clusters` output that assigns them.
        species: The `species` output that names the clusters.
        feature_vectors: The `feature_vectors` output, by any extractor.
        folder: Where the files go.
        class_noun: What every species is whose form is not sure, such as `"mushroom"`; empty to say the name alone.
        cluttered_opening: First words of the caption of a picture full of clutter, instead of `OPENING`; no comma in
            it, and empty for no other.
        wordings: How many distinct wordings each picture has, its caption among them, 1 to `MOST_WORDINGS`.
        class_wordings: How many more each has that say what all species are instead of the name, 0 to `MOST_WORDINGS`.
        captioner: Card name, folder or hub id of a model that says what a picture shows, in the second wording of those
            with the name; empty for none.
        seed: Decides the wording.
        tell: Progress.

    Raises:
        InputError: Images have no cluster, or clusters have no species; the ids are listed. A setting cannot be, or the
            captioner cannot be used.
    """
    manner = Manner(class_noun, cluttered_opening, wordings, class_wordings, captioner, seed)
    manner.check()
    eye = find_captioner(captioner) if captioner else None
    names = {one.cluster_id: one for one in read_species(species)}
    cluster_of = {row["image_id"]: row["cluster_id"] for row in read_table(clusters / "assignments.parquet")}
    rows: list[dict[str, Any]] = []
    tiles: list[tuple[Image.Image, Sequence[str]]] = []
    total = count_rows(raw_images)
    _refuse_unnamed(raw_images, cluster_of, names)
    hints = hints_by_id(raw_images, feature_vectors)
    step = max(1, total // _SHEET_TILES)
    pictures = follow(read_rows(raw_images, _READ), tell, "captioning", total)
    for seen in in_batches(pictures, _AT_ONCE):
        images = [read_specimen(row, MEASURED_PX) for row in seen]
        told = eye.describe(images) if eye else [None] * len(images)
        for row, picture, described in zip(seen, images, told, strict=True):
            own = names[cluster_of[row["image_id"]]]
            rows.append(
                _caption_row(row, own, measure(picture, hint=hints[row["image_id"]]), described, manner)
            )
            if (len(rows) - 1) % step == 0 and len(tiles) < _SHEET_TILES:
                tiles.append((picture.resize((_TILE_PX, _TILE_PX)), _sheet_texts(rows[-1])))
    write_table(folder / "captions.parquet", sorted(rows, key=lambda row: row["image_id"]), _SCHEMA)
    _draw_sheet(tiles).save(folder / "sheet.webp", quality=80)
    return _count(rows)


def _caption_row(
    row: Mapping[str, Any], own: Species, found: Attributes, described: str | None, manner: Manner
) -> dict[str, Any]:
    """The row of one picture; a habitat that its source tells goes before what was measured."""
    image_id = row["image_id"]
    told = word_place(habitat=row.get("habitat"), substrate=row.get("substrate"))
    said = replace(found, habitat=told or found.habitat)
    opening, seed, class_noun = manner.opening(said), manner.seed, own.class_noun(manner.class_noun)
    texts = word_image(
        own.common_name,
        class_noun,
        said,
        image_id,
        opening=opening,
        count=manner.wordings,
        seed=seed,
        described=described,
    )
    nameless = word_class(class_noun, said, image_id, opening=opening, count=manner.class_wordings, seed=seed)
    return {
        "image_id": image_id,
        "species_id": own.species_id,
        "caption": texts[0],
        "wordings": texts,
        "class_wordings": nameless,
        "colour_names": list(said.colour_names),
        **{text: getattr(said, text) for text in _TEXT},
        "is_habitat_told": told is not None,
        "is_cluttered": said.is_cluttered,
        "described": described,
    }


def _refuse_unnamed(raw_images: Path, cluster_of: dict[str, int], names: dict[int, Any]) -> None:
    ids = [row["image_id"] for row in read_rows(raw_images, ["image_id"])]
    lost = [one for one in ids if cluster_of.get(one) not in names]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(ids)} specimens have no species, the first {lost[:5]!r}: the clusters or the "
            "species are from other images. Grow clusters and species again: fungal grow --until species"
        )


def _sheet_texts(row: Mapping[str, Any]) -> list[str]:
    """What the sheet shows below a picture: its caption, another wording and one without the name."""
    return [row["caption"], *row["wordings"][1:2], *row["class_wordings"][:1]]


def _draw_sheet(tiles: Sequence[tuple[Image.Image, Sequence[str]]]) -> Image.Image:
    labels = ["\n".join(line for text in texts for line in wrap(text, _LINE)) for _, texts in tiles]
    return contact_sheet([tile for tile, _ in tiles], columns=4, labels=labels, tile_px=320)


def _count(rows: Sequence[dict[str, Any]]) -> Figures:
    habitats = sum(row["habitat"] is not None for row in rows)
    said = sum(len(row["caption"].split(", ")) - 1 for row in rows)
    return {
        "captions": len(rows),
        "distinct_captions": len({row["caption"] for row in rows}),
        "attributes_per_caption": round(said / max(1, len(rows)), 2),
        "wordings": len({text for row in rows for text in row["wordings"]}),
        "class_wordings": len({text for row in rows for text in row["class_wordings"]}),
        "with_habitat": habitats,
        "with_view": sum(row["view"] is not None for row in rows),
        "habitats_told_by_source": sum(row["is_habitat_told"] for row in rows),
        "described": sum(row["described"] is not None for row in rows),
        "cluttered": sum(row["is_cluttered"] for row in rows),
    }
