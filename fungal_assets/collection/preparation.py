"""Specimens as upright RGB squares of one size, or in one of a few shapes of about its area, ready for a model.

Belongs here: the pictures of one resolution. Judging them does not: whatever was admitted is prepared.

Each original is decoded once, at the smallest scale that holds what is cut; where larger ones were prepared already,
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

from fungal_assets.collection.decoding import SPECIMEN_COLUMNS, read_specimen
from fungal_assets.collection.parallel import map_in_order
from fungal_assets.collection.scaling import scale_by_torch, single_thread
from fungal_assets.collection.shapes import size_for, sizes_at
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import ShardWriter, count_rows, image_schema, read_rows, shard_count
from fungal_assets.store import Figures

SCHEMA = image_schema({"image_id": pa.string()})
SHEET_TILES = 100
TILE_PX = 96
BYTES_PER_PIXEL = 1.5


def prepare_images(
    raw_images: Path,
    folder: Path,
    *,
    size_px: int,
    jpeg_quality: int,
    shape: str,
    larger: Path | None,
    tell: Tell = stay_silent,
) -> Figures:
    """Write every specimen, cut about its `focus`, at `size_px`.

    Args:
        raw_images: Output of `admission.admit_images`.
        folder: Where `images-*.parquet` (JPEG without chroma subsampling) and `contact_sheet.jpg` go.
        size_px: Side of the squares, or of a square of as many pixels.
        jpeg_quality: 1 to 100.
        shape: One of `SHAPES`: `"square"`, or `"buckets"` for the nearest of `sizes_at`.
        larger: An output of this function from the same specimens at a multiple of `size_px`, or None.
        tell: Told how far it is.

    Returns:
        `images`, `size_px`, `upscaled` (originals that are smaller than what is cut from them) and `megabytes`.

    Raises:
        InputError: There are no such shapes at this resolution.
    """
    sizes_at(size_px, shape)
    count = count_rows(raw_images)
    for stale in folder.glob("images-*.parquet"):
        stale.unlink()
    tiles: list[Image.Image] = []
    total_bytes = 0
    every = max(1, count // SHEET_TILES)
    prepare = prepare_image if larger is None else reduce_image
    pictures = map_in_order(
        functools.partial(prepare, size_px=size_px, jpeg_quality=jpeg_quality, shape=shape),
        read_rows(larger, ["image", "image_id"])
        if larger
        else read_rows(raw_images, ["image_id", *SPECIMEN_COLUMNS]),
    )
    shards = shard_count(int(count * size_px**2 * BYTES_PER_PIXEL))
    with (
        nullcontext() if larger else single_thread(),
        ShardWriter(folder / ".images", SCHEMA, shards=shards, stem="images") as writer,
    ):
        for index, (row, picture) in enumerate(follow(pictures, tell, "preparation", count)):
            writer.write(row)
            total_bytes += len(row["image"]["bytes"])
            if index % every == 0 and len(tiles) < SHEET_TILES:
                tiles.append(_tile(picture))
    sheet = contact_sheet(tiles, columns=min(10, len(tiles)), tile_px=TILE_PX)
    sheet.save(folder / "contact_sheet.jpg", quality=80)  # as WebP it would take nine times as long
    for path in (folder / ".images").glob("*.parquet"):
        path.replace(folder / path.name)
    return {
        "images": count,
        "size_px": size_px,
        "upscaled": sum(
            _is_enlarged((row["width"], row["height"]), size_px, shape)
            for row in read_rows(raw_images, ["width", "height"])
        ),
        "megabytes": round(total_bytes / 1e6, 3),
    }


def _is_enlarged(size: tuple[int, int], size_px: int, shape: str) -> bool:
    return any(length < part for length, part in zip(size, size_for(size, size_px, shape), strict=True))


def _tile(picture: Image.Image) -> Image.Image:
    """A picture within a square of `TILE_PX`."""
    width_px, height_px = (round(TILE_PX * length / max(picture.size)) for length in picture.size)
    tile = Image.new("RGB", (TILE_PX, TILE_PX))
    small = picture.resize((width_px, height_px), reducing_gap=1.0)
    tile.paste(small, ((TILE_PX - width_px) // 2, (TILE_PX - height_px) // 2))
    return tile


def prepare_image(
    specimen: dict[str, Any], *, size_px: int, jpeg_quality: int, shape: str
) -> tuple[dict[str, Any], Image.Image]:
    """The row of one specimen, cut from its original; and the picture."""
    picture = read_specimen(specimen, size_px, scale_by_torch, shape)
    return _row(picture, specimen["image_id"], jpeg_quality), picture


def reduce_image(
    prepared: dict[str, Any], *, size_px: int, jpeg_quality: int, shape: str
) -> tuple[dict[str, Any], Image.Image]:
    """The row of one specimen, from one of a multiple of its size, and the picture.

    The decoder itself halves up to three times; what is left of the multiple are means of whole pixels.
    """
    larger = Image.open(io.BytesIO(prepared["image"]["bytes"]))
    width_px, height_px = size_for(larger.size, size_px, shape)
    multiple = larger.width // width_px
    odd = multiple // (multiple & -multiple)
    larger.draft(None, (width_px * odd, height_px * odd))
    picture = larger.reduce(larger.width // width_px)
    return _row(picture, prepared["image_id"], jpeg_quality), picture


def _row(picture: Image.Image, image_id: str, jpeg_quality: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=jpeg_quality, subsampling=0)
    return {"image": {"bytes": buffer.getvalue(), "path": f"{image_id}.jpg"}, "image_id": image_id}
