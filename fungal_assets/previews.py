"""Pictures small enough for the Dagster event log, as Markdown.

Dagster shows Markdown inline only under 1,000 characters and opens a longer entry in a dialog; every event is kept in
its database for ever. So a thumbnail is squeezed under the first limit and a sheet under `MAX_SHEET_BYTES`.
Contact sheets themselves are drawn here too, because every stage shows its pictures the same way.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

INLINE_CHARS = 999
MAX_SHEET_BYTES = 70_000


def thumbnail(image: Image.Image, alt: str = "preview") -> str:
    """Markdown of the picture, at most 96 px and under 1,000 characters, so that the asset page shows it inline."""
    for side_px, quality in ((96, 40), (96, 20), (64, 30), (48, 20), (32, 20), (24, 10)):
        text = _markdown(image, alt, side_px, quality)
        if len(text) <= INLINE_CHARS:
            return text
    raise AssertionError(f"no thumbnail of {alt!r} under {INLINE_CHARS} characters: {len(text)}")


def sheet(image: Image.Image, alt: str = "sheet", *, side_px: int = 1024) -> str:
    """Markdown of the picture for a dialog, at most `side_px` and `MAX_SHEET_BYTES` bytes."""
    for quality in (75, 50, 30, 15):
        text = _markdown(image, alt, side_px, quality)
        if len(text) <= MAX_SHEET_BYTES:
            return text
    return sheet(image, alt, side_px=side_px * 2 // 3)


def animation(path: Path, alt: str = "turntable") -> str:
    """Markdown of an animated WebP file, as it is; a file over `MAX_SHEET_BYTES` is shown as its first frame."""
    data = path.read_bytes()
    if len(data) * 4 // 3 > MAX_SHEET_BYTES:
        return sheet(Image.open(path).convert("RGB"), alt)
    return _embed(data, alt)


def _markdown(image: Image.Image, alt: str, side_px: int, quality: int) -> str:
    small = image.convert("RGB")
    small.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=quality, method=6)
    return _embed(buffer.getvalue(), alt)


def _embed(data: bytes, alt: str) -> str:
    return f"![{alt}](data:image/webp;base64,{base64.b64encode(data).decode()})"


TILE_PX, GAP_PX, LINE_PX = 128, 4, 14
"""Of a contact sheet: side of a tile, space between tiles, height of a line of its label."""


def contact_sheet(
    images: Sequence[Image.Image],
    *,
    columns: int,
    labels: Sequence[str] = (),
    tile_px: int = TILE_PX,
    gap_px: int = GAP_PX,
    ground: str = "#101010",
) -> Image.Image:
    """A grid of square tiles, row by row, each with its label below it.

    Args:
        images: The pictures, any size and mode.
        columns: Tiles in a row.
        labels: One text per picture, of one or several lines, or none at all.
        tile_px: Side of a tile.
        gap_px: Space between tiles.
        ground: Colour between tiles.

    Returns:
        An RGB picture.
    """
    label_px = LINE_PX * max((label.count("\n") + 1 for label in labels), default=0)
    rows = -(-len(images) // columns)
    step_px = tile_px + gap_px
    canvas = Image.new("RGB", (columns * step_px + gap_px, rows * (step_px + label_px) + gap_px), ground)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=10)
    for index, image in enumerate(images):
        left, top = gap_px + index % columns * step_px, gap_px + index // columns * (step_px + label_px)
        canvas.paste(image.convert("RGB").resize((tile_px, tile_px), Image.Resampling.LANCZOS), (left, top))
        for number, line in enumerate(labels[index].split("\n") if labels else ()):
            place = (left + 1, top + tile_px + 1 + number * LINE_PX)
            draw.text(place, _fit(line, tile_px, font), "#e8e4da", font=font)
    return canvas


def middle_square(image: Image.Image) -> Image.Image:
    """The greatest square about the middle of a picture, for what shows or measures squares."""
    side_px = min(image.size)
    left, top = ((length - side_px) // 2 for length in image.size)
    return image if image.width == image.height else image.crop((left, top, left + side_px, top + side_px))


def cut_sheet(sheet: Image.Image, count: int, *, columns: int) -> list[Image.Image]:
    """The first tiles of a contact sheet of the usual size whose labels have one line."""
    step_px = TILE_PX + GAP_PX
    corners = [
        (GAP_PX + index % columns * step_px, GAP_PX + index // columns * (step_px + LINE_PX))
        for index in range(count)
    ]
    return [sheet.crop((left, top, left + TILE_PX, top + TILE_PX)) for left, top in corners]


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as WebP, by the encoder in haste: a third of its usual time, and hardly a byte more."""
    sheet.save(path, quality=80, method=0)


def _fit(text: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"
