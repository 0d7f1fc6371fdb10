"""The grids of a gallery: all pictures at one look, labelled.

Belongs here: which pictures stand beside which. Drawing a grid is in `previews`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.galleries.planning import BASE, TUNED
from fungal_assets.galleries.reading import open_pictures
from fungal_assets.previews import contact_sheet

MAX_GRID_PICTURES = 400
MAX_TILE_PX = 128
_VARIANTS_A_ROW = 4
Rows = Sequence[Mapping[str, Any]]


def write_grids(folder: Path, rows: Rows) -> None:
    """Write `grids/species.webp`, `grids/variants.webp` and `grids/controls.webp`, those that have pictures.

    A species grid has one row per species. A control grid has one row per prompt, the base model's pictures
    left and the tuned model's, of the same seeds, right. A grid shows at most `MAX_GRID_PICTURES`, whole rows
    of them.
    """
    (folder / "grids").mkdir(exist_ok=True)
    species = [row for row in rows if row["kind"] == "species"]
    controls = pair_controls(rows)
    variants = [row for row in rows if row["kind"] not in ("species", "control")]
    per_prompt = 1 + max((row["index"] for row in species), default=0)
    _write(folder, "species", species, per_prompt, [row["text"] for row in species])
    _write(folder, "variants", variants, _VARIANTS_A_ROW, [row["text"] for row in variants])
    labels = [f"{row['model']}: {row['text']}" for row in controls]
    _write(folder, "controls", controls, 2 * per_prompt, labels)


def pair_controls(rows: Rows) -> list[Mapping[str, Any]]:
    """The control rows, prompt by prompt: all of the base model's, then the tuned model's."""
    controls = [row for row in rows if row["kind"] == "control"]
    prompt_ids = list(dict.fromkeys(row["prompt_id"] for row in controls))
    return [
        row
        for prompt_id in prompt_ids
        for model in (BASE, TUNED)
        for row in controls
        if row["prompt_id"] == prompt_id and row["model"] == model
    ]


def _write(folder: Path, name: str, rows: Rows, columns: int, labels: Sequence[str]) -> None:
    shown = min(len(rows), MAX_GRID_PICTURES // columns * columns)
    if not shown:
        return
    images = list(open_pictures(folder, rows[:shown]))
    tile_px = min(MAX_TILE_PX, max(images[0].size))
    grid = contact_sheet(images, columns=columns, labels=labels[:shown], tile_px=tile_px)
    save_webp(grid, folder / "grids" / f"{name}.webp")


def save_webp(image: Image.Image, path: Path) -> None:
    """Write a WebP under a temporary name, and rename it."""
    temporary = path.with_name(f".{path.name}")
    image.save(temporary, "WEBP", quality=90, method=4)
    temporary.replace(path)
