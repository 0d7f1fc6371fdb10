"""Reading a complete gallery: its table, its pictures and what its records say.

Belongs here: everything that later stages and checks ask of a gallery's folder. Making one does not.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.shards import read_table

if TYPE_CHECKING:
    from fungal_assets.morphology.extractors import Extractor

EMBED_BATCH = 16


def read_gallery(sample_galleries: Path) -> list[dict[str, Any]]:
    """The rows of `gallery.parquet`.

    Raises:
        InputError: It is missing.
    """
    path = sample_galleries / "gallery.parquet"
    if not path.is_file():
        raise InputError(
            f"{path} is missing; a complete gallery was expected. fungal grow --until sample_galleries"
        )
    return read_table(path)


def read_about(sample_galleries: Path) -> dict[str, Any]:
    """`gallery.json`: the models by name with id and sha256, and the settings.

    Raises:
        InputError: It is missing.
    """
    path = sample_galleries / "gallery.json"
    if not path.is_file():
        raise InputError(
            f"{path} is missing; a complete gallery was expected. fungal grow --until sample_galleries"
        )
    return json.loads(path.read_text())


def open_picture(sample_galleries: Path, row: Mapping[str, Any]) -> Image.Image:
    """One picture of a gallery, RGB."""
    with Image.open(sample_galleries / row["path"]) as image:
        return image.convert("RGB")


def open_pictures(sample_galleries: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[Image.Image]:
    """The pictures of some rows, one after the other."""
    return (open_picture(sample_galleries, row) for row in rows)


def open_as_drawn(sample_galleries: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[Image.Image]:
    """The same at the side that they were drawn at, for whoever looks for a grid: enlarging sets one of its own."""
    drawn_px = read_about(sample_galleries)["settings"].get("first_px")
    for image in open_pictures(sample_galleries, rows):
        is_enlarged = drawn_px is not None and image.width > drawn_px
        yield image.resize((drawn_px, drawn_px), Image.Resampling.LANCZOS) if is_enlarged else image


def embed_pictures(
    sample_galleries: Path, rows: Sequence[Mapping[str, Any]], extractor: Extractor
) -> np.ndarray:
    """Feature vectors of the pictures of some rows.

    Returns:
        float32, shape (n, d), unit rows.
    """
    return embed_images(open_pictures(sample_galleries, rows), extractor)


def embed_images(images: Iterable[Image.Image], extractor: Extractor) -> np.ndarray:
    """The same of pictures that come one after the other, of which a batch is held at a time."""
    left = iter(images)
    batches = []
    while batch := list(itertools.islice(left, EMBED_BATCH)):
        batches.append(extractor.embed(batch))
    return np.concatenate(batches) if batches else np.zeros((0, extractor.dimensions), np.float32)
