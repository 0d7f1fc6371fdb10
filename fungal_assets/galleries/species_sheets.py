"""The sheets of a species report: who is taken for whom, the painted beside the real, and what may be a copy.

Belongs here: drawing. What is drawn first is decided in `species_report`, but for the order of the originals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fungal_assets.figures import GROUND, INK
from fungal_assets.galleries.grids import MAX_GRID_PICTURES, save_webp
from fungal_assets.galleries.originals import Originals, read_images
from fungal_assets.galleries.reading import open_picture
from fungal_assets.previews import contact_sheet

if TYPE_CHECKING:
    from fungal_assets.galleries.species_figures import Looked

SHOWN_ORIGINALS = 24
SHOWN_PAINTED = 4
_TILE_PX = 96
_CELL_PX, _LABEL_PX, _HEAD_PX = 30, 300, 40
_FULL = (232, 176, 74)


def draw_confusion(confusion: Mapping[str, Any], chance: float, path: Path) -> None:
    """A row per species, a column per cluster: the share of its pictures that are nearest to that cluster.

    A cell's brightness is the share, its number the count; the species' own cluster has a frame.
    """
    counts = np.array(confusion["counts"])
    height, width = counts.shape
    size = (_LABEL_PX + width * _CELL_PX + 8, _HEAD_PX + height * _CELL_PX + 28)
    canvas = Image.new("RGB", size, GROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=12)
    for column in range(width):
        draw.text((_LABEL_PX + column * _CELL_PX + 8, 18), str(column), INK, font=font)
    draw.text((_LABEL_PX, 2), "cluster that a picture is nearest to", INK, font=font)
    for row, text in enumerate(confusion["texts"]):
        top = _HEAD_PX + row * _CELL_PX
        draw.text((6, top + 8), f"{confusion['own'][row]}  {_short(text)}", INK, font=font)
        for column in range(width):
            _draw_cell(draw, counts[row], column, row, font, is_own=confusion["own"][row] == column)
    draw.text(
        (6, size[1] - 20),
        f"framed: its own; guessing finds {chance:.0%} of the pictures there",
        INK,
        font=font,
    )
    save_webp(canvas, path)


def _draw_cell(
    draw: ImageDraw.ImageDraw, counts: np.ndarray, column: int, row: int, font: Any, *, is_own: bool
) -> None:
    left, top = _LABEL_PX + column * _CELL_PX, _HEAD_PX + row * _CELL_PX
    share = counts[column] / max(counts.sum(), 1)
    fill = tuple(
        round(dark + (light - dark) * share) for dark, light in zip((34, 34, 34), _FULL, strict=True)
    )
    box = (left + 1, top + 1, left + _CELL_PX - 2, top + _CELL_PX - 2)
    draw.rectangle(box, fill=fill, outline=INK if is_own else None)
    if counts[column]:
        ink = GROUND if share > 0.5 else INK
        draw.text((left + 10, top + 8), str(counts[column]), ink, font=font)


def _short(text: str, most: int = 42) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def draw_species(
    sample_galleries: Path,
    captioned_dataset: Path,
    rows: Sequence[Mapping[str, Any]],
    species: Sequence[Mapping[str, Any]],
    originals: Originals,
    path: Path,
) -> None:
    """A row per species in the order of the report: real images left, painted ones right, what is wrong below."""
    real = read_images(captioned_dataset, [name for names in originals.shown.values() for name in names])
    most_real = max(len(names) for names in originals.shown.values())
    columns = most_real + SHOWN_PAINTED
    blank = Image.new("RGB", (_TILE_PX, _TILE_PX), GROUND)
    tiles: list[Image.Image] = []
    labels: list[str] = []
    for entry in species[: MAX_GRID_PICTURES // columns]:
        name = entry["species_id"]
        left = [real[image_id] for image_id in originals.shown[name]]
        painted = [row for row in rows if row["species_id"] == name][:SHOWN_PAINTED]
        right = [open_picture(sample_galleries, row) for row in painted]
        tiles += [*left, *[blank] * (most_real - len(left)), *right, *[blank] * (SHOWN_PAINTED - len(right))]
        notes = [f"recognised {entry['recognised']:.0%}", *entry["faults"]]
        notes = notes[:SHOWN_PAINTED] + [""] * (SHOWN_PAINTED - len(notes))
        labels += [f"cluster {entry['cluster_id']}, real", *[""] * (most_real - 1), *notes]
    save_webp(contact_sheet(tiles, columns=columns, labels=labels, tile_px=_TILE_PX), path)


def draw_originals(
    sample_galleries: Path, captioned_dataset: Path, looked: Sequence[Looked], path: Path
) -> None:
    """Pictures beside the training image that each is most like, the most alike first, copies named as such."""
    worst = sorted(looked, key=lambda each: -each.original.correlation)[:SHOWN_ORIGINALS]
    real = read_images(captioned_dataset, [each.original.image_id for each in worst])
    tiles = [
        image
        for each in worst
        for image in (open_picture(sample_galleries, each.row), real[each.original.image_id])
    ]
    labels = [
        text
        for each in worst
        for text in (
            ("copy " if each.original.is_copied else "no copy ") + f"{each.original.correlation:.2f}",
            "trained on",
        )
    ]
    save_webp(contact_sheet(tiles, columns=min(8, len(tiles)), labels=labels, tile_px=_TILE_PX), path)
