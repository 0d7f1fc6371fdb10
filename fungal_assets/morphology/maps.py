"""Clusters as pictures: a montage with one row for each, and a map on which alike specimens lie together.

Belongs here: drawing. Which specimens are shown is decided in `clusters`.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fungal_assets.previews import contact_sheet

GROUND = "#101010"
MAP_PX, MAP_TILE_PX, FRAME_PX = 1280, 44, 3
MARGIN_PX = 40
MONTAGE_TILE_PX, ROW_LABEL_PX = 112, 92


def draw_montage(rows: Sequence[Sequence[Image.Image]], labels: Sequence[str]) -> Image.Image:
    """One row of tiles for each cluster, with its label on the left and its colour on the map beside it."""
    columns = max(len(row) for row in rows)
    blank = Image.new("RGB", (MONTAGE_TILE_PX, MONTAGE_TILE_PX), GROUND)
    tiles = [tile for row in rows for tile in [*row, *[blank] * (columns - len(row))]]
    grid = contact_sheet(tiles, columns=columns, tile_px=MONTAGE_TILE_PX, ground=GROUND)
    canvas = Image.new("RGB", (grid.width + ROW_LABEL_PX, grid.height), GROUND)
    canvas.paste(grid, (ROW_LABEL_PX, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=13)
    step_px = grid.height / len(rows)
    for index, label in enumerate(labels):
        top = round(index * step_px)
        draw.rectangle((4, top + 6, 8, top + step_px - 6), fill=cluster_colour(index))
        draw.multiline_text((16, top + 10), label, "#e8e4da", font=font, spacing=5)
    return canvas


def lay_out(points: np.ndarray, seed: int) -> np.ndarray:
    """Places on a plane for points of shape (n, c), by t-SNE: float, shape (n, 2), 0 to 1."""
    from sklearn.manifold import TSNE

    perplexity = max(2.0, min(30.0, (len(points) - 1) / 4))
    spread = TSNE(init="pca", perplexity=perplexity, random_state=seed, metric="cosine").fit_transform(points)
    low, high = spread.min(axis=0), spread.max(axis=0)
    return (spread - low) / np.maximum(high - low, 1e-9)


def draw_map(images: Sequence[Image.Image], places: np.ndarray, labels: np.ndarray) -> Image.Image:
    """Small pictures at their places, framed in the colour of their cluster, its number at its middle.

    Args:
        images: The pictures.
        places: float, shape (n, 2), x and y, 0 to 1.
        labels: int, shape (n,), cluster ids.
    """
    canvas = Image.new("RGB", (MAP_PX, MAP_PX), GROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=26)
    span_px = MAP_PX - 2 * MARGIN_PX - MAP_TILE_PX
    corners = np.rint(MARGIN_PX + places * span_px).astype(int)
    for image, (left, top), label in zip(images, corners, labels, strict=True):
        framed = Image.new("RGB", (MAP_TILE_PX, MAP_TILE_PX), cluster_colour(int(label)))
        inner_px = MAP_TILE_PX - 2 * FRAME_PX
        framed.paste(image.resize((inner_px, inner_px), Image.Resampling.LANCZOS), (FRAME_PX, FRAME_PX))
        canvas.paste(framed, (int(left), int(top)))
    for cluster_id in np.unique(labels):
        x, y = np.median(corners[labels == cluster_id], axis=0) + MAP_TILE_PX / 2
        colour = cluster_colour(int(cluster_id))
        draw.text((x, y), str(cluster_id), colour, font=font, anchor="mm", stroke_width=5, stroke_fill=GROUND)
    return canvas


def cluster_colour(cluster_id: int) -> tuple[int, int, int]:
    """The colour, RGB 0 to 255, that stands for a cluster; neighbours in number are far apart in hue."""
    hue = cluster_id * 0.618034 % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55 + 0.3 * (cluster_id % 2), 0.98)
    return round(red * 255), round(green * 255), round(blue * 255)
