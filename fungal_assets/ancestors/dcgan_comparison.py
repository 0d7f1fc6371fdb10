"""The artist's road with numbers: a DCGAN's pictures and the tuned diffusion model's, by the same measures.

Of each: the kernel distance to all real pictures, the variety, how many are copies, how many would pass for a species
(within the reach of its cluster, what all pictures of one model share left out) and how many species are among these.
A DCGAN cannot be asked for a species, so that only the diffusion model's are recognised by name.
Belongs here: vectors to numbers, and the sheet of both beside real pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fungal_assets.figures import GROUND, INK
from fungal_assets.galleries.copies import Original
from fungal_assets.galleries.distances import mean_distance, mmd_interval, squared_mmd
from fungal_assets.galleries.grids import save_webp
from fungal_assets.galleries.novelty import measure_reaches
from fungal_assets.morphology.projection import Projection, to_unit
from fungal_assets.previews import contact_sheet
from fungal_assets.shards import read_table

ROWS = {
    "pictures": "pictures",
    "kid": "kernel distance to all real pictures",
    "kid_interval": "95 % of it from subsets",
    "variety": "variety, of that of real pictures",
    "copies": "copies",
    "placed": "would pass for a species",
    "species_met": "species among these",
    "species_recognised": "recognised as the species asked for",
}
"""The measures in order, and what a reader is told that they are."""
_SHOWN, _COLUMNS, _TILE_PX, _HEAD_PX = 16, 4, 96, 20


class Species:
    """The clusters that a picture may pass for.

    Args:
        clusters: Output of `clusters.find_clusters`.
        image_ids: Ids of real pictures.
        vectors: Their vectors by the extractor that found the clusters, float32, shape (m, d), unit rows.
    """

    def __init__(self, clusters: Path, image_ids: Sequence[str], vectors: np.ndarray):
        self._projection = Projection.load(clusters / "projection.npz")
        self._centres = np.load(clusters / "centroids.npy", allow_pickle=False)
        own = {row["image_id"]: row["cluster_id"] for row in read_table(clusters / "assignments.parquet")}
        number = np.array([own.get(image_id, -1) for image_id in image_ids])
        points = self._projection.project(vectors)
        members = {cluster_id: points[number == cluster_id] for cluster_id in range(len(self._centres))}
        reaches = measure_reaches({key: rows for key, rows in members.items() if len(rows)}, self._centres)
        self._reaches = np.array([reaches.get(key, 0.0) for key in range(len(self._centres))])

    def __len__(self) -> int:
        return len(self._centres)

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """The cluster that each picture would pass for, int, shape (n,); -1 for none."""
        middle = self._centres.mean(axis=0)
        points = self._projection.project(vectors)
        points = points - points.mean(axis=0)
        distances = 1 - to_unit(points) @ to_unit(self._centres - middle).T
        nearest = distances.argmin(axis=1)
        is_within = distances[np.arange(len(points)), nearest] <= self._reaches[nearest]
        return np.where(is_within, nearest, -1)


def measure_model(
    vectors: np.ndarray, real: np.ndarray, originals: Sequence[Original], species: Species, seed: int
) -> dict[str, Any]:
    """All measures of one model's pictures but what it recognises by name.

    Args:
        vectors: Of its pictures, float32, shape (n, d), unit rows.
        real: Of real ones, shape (m, d).
        originals: Of each picture the real one that it is most like.
        species: What it may pass for.
        seed: Of the subsets.
    """
    low, high = mmd_interval(vectors, real, seed)
    placed = species.place(vectors)
    return {
        "pictures": len(vectors),
        "kid": round(squared_mmd(vectors, real), 4),
        "kid_interval": [round(low, 4), round(high, 4)],
        "variety": round(mean_distance(vectors) / max(mean_distance(real), 1e-9), 4),
        "copies": sum(each.is_copied for each in originals),
        "placed": round(float((placed >= 0).mean()), 4),
        "species_met": int(len(set(placed[placed >= 0].tolist()))),
        "species": len(species),
        "species_recognised": None,
    }


def evenly(count: int, most: int) -> list[int]:
    """`most` of `count` places, spread evenly; all where there are no more."""
    return [at * count // most for at in range(most)] if count > most else list(range(count))


def table_of(models: Mapping[str, Mapping[str, Any]]) -> str:
    """The measures as a Markdown table, a column for each model."""
    lines = [f"| | {' | '.join(models)} |", f"|---{'|---' * len(models)}|"]
    lines += [
        f"| {told} | {' | '.join(_phrase(name, row) for row in models.values())} |"
        for name, told in ROWS.items()
    ]
    return "\n".join(lines) + "\n"


def _phrase(name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    if value is None:
        return "cannot be asked"
    if name == "kid_interval":
        return f"{value[0]:.2f} to {value[1]:.2f}"
    if name == "species_met":
        return f"{value} of {row['species']}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def draw_comparison(
    pictures: Mapping[str, Sequence[Image.Image]], models: Mapping[str, Mapping[str, Any]], path: Path
) -> None:
    """Sheets of real pictures and of each model's side by side, under each its figures."""
    sheets = {
        name: contact_sheet(images[:_SHOWN], columns=_COLUMNS, tile_px=_TILE_PX)
        for name, images in pictures.items()
    }
    font = ImageFont.load_default(size=12)
    width, height = next(iter(sheets.values())).size
    notes = [name for name in ROWS if name != "pictures"]
    canvas = Image.new("RGB", (width * len(sheets), height + _HEAD_PX * (len(notes) + 2)), GROUND)
    draw = ImageDraw.Draw(canvas)
    for column, (name, sheet) in enumerate(sheets.items()):
        left = column * width
        draw.text((left + 6, 3), name, INK, font=font)
        canvas.paste(sheet, (left, _HEAD_PX))
        for line, note in enumerate(notes if name in models else ()):
            text = f"{ROWS[note]}: {_phrase(note, models[name])}"
            draw.text((left + 6, height + _HEAD_PX * (line + 1) + 6), text, INK, font=font)
    save_webp(canvas, path)
