"""Captions: the species' name and at least two measured attributes, worded differently for each picture.

A caption reads "a photo of an amber hollow bonnet mushroom, brown and white, in moss, up close". The noun after the
name is what all species are: a base model that has never heard the name still knows that, and begins there (Ruiz et
al. 2022, arXiv:2208.12242). A picture full of clutter opens as "a snapshot of": what a caption says, the name need not
carry, so that a prompt without it asks for the species in a calm place. Which parts are said and in what order is drawn
with a seed of the image's id, so that the model learns the words and not the template, and a caption is the same in any
batch. Belongs here: the wording and the table. The measurements (`attributes`) do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from PIL import Image

from fungal_assets.collection.decoding import read_specimen
from fungal_assets.errors import InputError
from fungal_assets.nomenclature.attributes import Attributes, measure
from fungal_assets.nomenclature.species import read_species
from fungal_assets.nomenclature.subjects import MEASURED_PX
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import count_rows, read_rows, read_table, write_table
from fungal_assets.store import Figures
from fungal_assets.words import with_article

OPENING = "a photo of"
LEAST_ATTRIBUTES = 2
_MOST_ATTRIBUTES = 4
_DROP_CHANCE = 0.15
_SHEET_TILES = 24
_TILE_PX = 192
_TEXT = ("size_in_frame", "habitat", "count", "closeness", "light")
_SCHEMA = pa.schema(
    [("image_id", pa.string()), ("species_id", pa.string()), ("caption", pa.string())]
    + [("colour_names", pa.list_(pa.string()))]
    + [(name, pa.string()) for name in _TEXT]
    + [("is_cluttered", pa.bool_())]
)


def caption_images(
    raw_images: Path,
    clusters: Path,
    species: Path,
    folder: Path,
    *,
    class_noun: str,
    cluttered_opening: str,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Caption every specimen; writes `captions.parquet` and `sheet.webp`.

    Args:
        raw_images: The `raw_images` output.
        clusters: The `clusters` output that assigns them.
        species: The `species` output that names the clusters.
        folder: Where the files go.
        class_noun: What every species is, such as `"mushroom"`; empty to say the name alone.
        cluttered_opening: First words of the caption of a picture full of clutter, instead of `OPENING`.
        seed: Decides the wording.
        tell: Progress.

    Raises:
        InputError: Images have no cluster, or clusters have no species; the ids are listed.
    """
    names = {one.cluster_id: one for one in read_species(species)}
    cluster_of = {row["image_id"]: row["cluster_id"] for row in read_table(clusters / "assignments.parquet")}
    rows: list[dict[str, Any]] = []
    tiles: list[tuple[Image.Image, str]] = []
    total = count_rows(raw_images)
    _refuse_unnamed(raw_images, cluster_of, names)
    step = max(1, total // _SHEET_TILES)
    pictures = read_rows(raw_images, ["image", "image_id", "focus"])
    for index, row in enumerate(follow(pictures, tell, "captioning", total)):
        picture = read_specimen(row, MEASURED_PX)
        own = names[cluster_of[row["image_id"]]]
        found = measure(picture)
        opening = cluttered_opening if found.is_cluttered else OPENING
        subject = depict(own.common_name, class_noun, opening=opening)
        rows.append(_caption_row(row["image_id"], own.species_id, subject, found, seed))
        if index % step == 0 and len(tiles) < _SHEET_TILES:
            tiles.append((picture.resize((_TILE_PX, _TILE_PX)), rows[-1]["caption"]))
    write_table(folder / "captions.parquet", sorted(rows, key=lambda row: row["image_id"]), _SCHEMA)
    _draw_sheet(tiles).save(folder / "sheet.webp", quality=80)
    return _count(rows)


def depict(name: str, class_noun: str, *, opening: str = OPENING) -> str:
    """The first words of a caption or prompt: "a photo of an amber hollow bonnet mushroom"."""
    words = name if class_noun in ("", name.split()[-1]) else f"{name} {class_noun}"
    return f"{opening} {with_article(words)}"


def word_caption(subject: str, attributes: Attributes, image_id: str, *, seed: int) -> str:
    """Word one caption of a subject (`depict`); the same id and seed give the same text."""
    rng = Random(f"{seed}:{image_id}")
    said = _choose(attributes, rng)
    rng.shuffle(said)
    return ", ".join([subject, *said])


def _choose(attributes: Attributes, rng: Random) -> list[str]:
    """What is said: the colours, then what was measured surely; the light fills up to the least number."""
    colours = list(attributes.colour_names)
    words = [rng.choice([" and ", " with "]).join(colours)]
    sure = [attributes.habitat, attributes.closeness or _size_words(attributes), attributes.count]
    words += [word for word in sure if word and rng.random() >= _DROP_CHANCE]
    spare = [word for word in (*sure, attributes.light) if word and word not in words]
    words += spare[: max(0, LEAST_ATTRIBUTES - len(words))]
    return words[:_MOST_ATTRIBUTES]


def _size_words(attributes: Attributes) -> str | None:
    return f"{attributes.size_in_frame} in the frame" if attributes.size_in_frame else None


def _caption_row(
    image_id: str, species_id: str, subject: str, attributes: Attributes, seed: int
) -> dict[str, Any]:
    measured = {text: getattr(attributes, text) for text in _TEXT}
    caption = word_caption(subject, attributes, image_id, seed=seed)
    colours = list(attributes.colour_names)
    return {
        "image_id": image_id,
        "species_id": species_id,
        "caption": caption,
        "colour_names": colours,
        **measured,
        "is_cluttered": attributes.is_cluttered,
    }


def _refuse_unnamed(raw_images: Path, cluster_of: dict[str, int], names: dict[int, Any]) -> None:
    ids = [row["image_id"] for row in read_rows(raw_images, ["image_id"])]
    lost = [one for one in ids if cluster_of.get(one) not in names]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(ids)} specimens have no species, the first {lost[:5]!r}: the clusters or the "
            "species are from other images. Grow clusters and species again: fungal grow --until species"
        )


def _draw_sheet(tiles: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    return contact_sheet(
        [tile for tile, _ in tiles], columns=4, labels=[text for _, text in tiles], tile_px=320
    )


def _count(rows: Sequence[dict[str, Any]]) -> Figures:
    habitats = sum(row["habitat"] is not None for row in rows)
    said = sum(len(row["caption"].split(", ")) - 1 for row in rows)
    return {
        "captions": len(rows),
        "distinct_captions": len({row["caption"] for row in rows}),
        "attributes_per_caption": round(said / max(1, len(rows)), 2),
        "with_habitat": habitats,
        "cluttered": sum(row["is_cluttered"] for row in rows),
    }
