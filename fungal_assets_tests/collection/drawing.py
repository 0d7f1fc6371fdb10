"""Small pictures for tests: random enough that no two are copies, with known corners where that matters."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

LENIENT = {
    "min_side_px": 16,
    "max_megapixels": 4.0,
    "min_sharpness": 0.0,
    "max_blockiness": 100.0,
    "max_pixelation": 1.0,
    "min_fungus_probability": 0.0,
    "crop": "centre",
    "ground": "white",
}
"""Limits of `admit_images` that the drawings here keep."""
CORNERS = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (230, 220, 40))


def picture(seed: int, width_px: int = 96, height_px: int = 96) -> Image.Image:
    """Soft random blobs, RGB."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC)


def quarters(width_px: int = 96, height_px: int = 96) -> Image.Image:
    """Four plain quarters: red and green above, blue and yellow below."""
    two_by_two = np.array(CORNERS, np.uint8).reshape(2, 2, 3)
    return Image.fromarray(two_by_two).resize((width_px, height_px), Image.Resampling.NEAREST)


def encode(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def write_pictures(folder: Path, count: int) -> Path:
    """A folder of `count` different PNG pictures `00.png`, `01.png`, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        (folder / f"{seed:02d}.png").write_bytes(encode(picture(seed)))
    return folder


def corners(image: Image.Image) -> list[tuple[int, int, int]]:
    """Colours in the middle of the four quarters, row by row."""
    pixels = np.asarray(image)
    low, high = image.height // 4, image.height * 3 // 4
    return [tuple(int(value) for value in pixels[y, x]) for y in (low, high) for x in (low, high)]
