"""Specimens as upright RGB squares of one size, ready for a model.

Belongs here: the squares of one resolution. Judging pictures does not: whatever was admitted is prepared.

Each original is decoded once, at the smallest scale that holds the square; where larger squares were prepared already,
those are decoded at the smaller scale instead, and no original is read again. A smaller original is enlarged, and
counted.
"""

from __future__ import annotations

import functools
import io
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from fungal_assets.collection.decoding import read_specimen
from fungal_assets.collection.parallel import map_in_order
from fungal_assets.collection.scaling import scale_by_torch, single_thread
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import ShardWriter, image_schema, read_rows, shard_count
from fungal_assets.store import Figures

SQUARES = image_schema({"image_id": pa.string()})
SHEET_TILES = 100
TILE_PX = 96
BYTES_PER_PIXEL = 1.5


def prepare_images(
    raw_images: Path,
    folder: Path,
    *,
    size_px: int,
    jpeg_quality: int,
    larger: Path | None,
    tell: Tell = stay_silent,
) -> Figures:
    """Write the square of every specimen, about its `focus`, at `size_px`.

    Args:
        raw_images: Output of `admission.admit_images`.
        folder: Where `images-*.parquet` (JPEG without chroma subsampling) and `contact_sheet.jpg` go.
        size_px: Side of the squares.
        jpeg_quality: 1 to 100.
        larger: An output of this function from the same specimens at a multiple of `size_px`, or None.
        tell: Told how far it is.

    Returns:
        `images`, `size_px`, `upscaled` (originals whose shorter side is under `size_px`) and `megabytes`.
    """
    sides = [min(row["width"], row["height"]) for row in read_rows(raw_images, ["width", "height"])]
    count = len(sides)
    for stale in folder.glob("images-*.parquet"):
        stale.unlink()
    tiles: list[Image.Image] = []
    total_bytes = 0
    every = max(1, count // SHEET_TILES)
    prepare = prepare_image if larger is None else reduce_image
    squares = map_in_order(
        functools.partial(prepare, size_px=size_px, jpeg_quality=jpeg_quality),
        read_rows(larger, ["image", "image_id"])
        if larger
        else read_rows(raw_images, ["image", "image_id", "focus"]),
    )
    shards = shard_count(int(count * size_px**2 * BYTES_PER_PIXEL))
    with (
        nullcontext() if larger else single_thread(),
        ShardWriter(folder / ".images", SQUARES, shards=shards, stem="images") as writer,
    ):
        for index, (row, square) in enumerate(follow(squares, tell, "preparation", count)):
            writer.write(row)
            total_bytes += len(row["image"]["bytes"])
            if index % every == 0 and len(tiles) < SHEET_TILES:
                tiles.append(square.resize((TILE_PX, TILE_PX), reducing_gap=1.0))
    sheet = contact_sheet(tiles, columns=min(10, len(tiles)), tile_px=TILE_PX)
    sheet.save(folder / "contact_sheet.jpg", quality=80)  # as WebP it would take nine times as long
    for path in (folder / ".images").glob("*.parquet"):
        path.replace(folder / path.name)
    return {
        "images": count,
        "size_px": size_px,
        "upscaled": sum(side_px < size_px for side_px in sides),
        "megabytes": round(total_bytes / 1e6, 3),
    }


def prepare_image(
    specimen: dict[str, Any], *, size_px: int, jpeg_quality: int
) -> tuple[dict[str, Any], Image.Image]:
    """The row of one specimen's square, from its original; and the square."""
    square = read_specimen(specimen, size_px, scale_by_torch)
    return _row(square, specimen["image_id"], jpeg_quality), square


def reduce_image(
    prepared: dict[str, Any], *, size_px: int, jpeg_quality: int
) -> tuple[dict[str, Any], Image.Image]:
    """The row of one specimen's square, from one of a multiple of its size, and the square.

    The decoder itself halves up to three times; what is left of the multiple are means of whole pixels.
    """
    larger = Image.open(io.BytesIO(prepared["image"]["bytes"]))
    multiple = larger.width // size_px
    halved_px = size_px * (multiple // (multiple & -multiple))
    larger.draft(None, (halved_px, halved_px))
    square = larger.reduce(larger.width // size_px)
    return _row(square, prepared["image_id"], jpeg_quality), square


def _row(square: Image.Image, image_id: str, jpeg_quality: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=jpeg_quality, subsampling=0)
    return {"image": {"bytes": buffer.getvalue(), "path": f"{image_id}.jpg"}, "image_id": image_id}
