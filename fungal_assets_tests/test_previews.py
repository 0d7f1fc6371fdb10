"""Previews: small enough for the event log, whatever the picture."""

import numpy as np
import pytest
from PIL import Image

from fungal_assets.previews import (
    INLINE_CHARS,
    MAX_SHEET_BYTES,
    animation,
    contact_sheet,
    cut_sheet,
    sheet,
    thumbnail,
)

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 700, 3), dtype=np.uint8))


@pytest.mark.parametrize("image", [NOISE, Image.new("RGBA", (2000, 10)), Image.new("L", (1, 1))])
def test_a_thumbnail_is_shown_inline_by_dagster(image):
    text = thumbnail(image)
    assert len(text) <= INLINE_CHARS and text.startswith("![preview](data:image/webp;base64,")


def test_a_sheet_of_noise_still_fits_the_event_log():
    assert len(sheet(NOISE)) <= MAX_SHEET_BYTES


def test_an_animation_too_large_is_shown_as_a_picture(tmp_path):
    path = tmp_path / "turn.webp"
    frames = [NOISE.rotate(angle) for angle in range(0, 90, 10)]
    frames[0].save(path, save_all=True, append_images=frames[1:], quality=90)
    assert path.stat().st_size > MAX_SHEET_BYTES
    assert len(animation(path)) <= MAX_SHEET_BYTES


def test_a_contact_sheet_shows_every_picture_in_its_place():
    colours = ["#ff0000", "#00ff00", "#0000ff"]
    grid = contact_sheet(
        [Image.new("RGB", (9, 9), colour) for colour in colours], columns=2, tile_px=10, gap_px=2
    )
    assert grid.size == (26, 26)
    assert [grid.getpixel(place) for place in ((7, 7), (19, 7), (7, 19))] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
    ]


def test_a_contact_sheet_is_cut_into_its_tiles_again():
    colours = ["#300000", "#006000", "#000090", "#a0a000", "#00b0b0"]
    tiles = [Image.new("RGB", (128, 128), colour) for colour in colours]
    whole = contact_sheet(tiles, columns=2, labels=["a label"] * 5)
    assert [np.array_equal(a, b) for a, b in zip(cut_sheet(whole, 5, columns=2), tiles, strict=True)] == [
        True
    ] * 5
