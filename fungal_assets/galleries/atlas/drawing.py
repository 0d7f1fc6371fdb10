"""The atlas as pictures: one figure of all that was measured, and the pictures that the walk ended in."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fungal_assets.figures import GROUND, INK, LINE, dress, name_lines, open_figure
from fungal_assets.galleries.atlas import FLOOR
from fungal_assets.galleries.atlas.findings import Atlas, mean_entropies
from fungal_assets.galleries.grids import save_webp
from fungal_assets.previews import contact_sheet

if TYPE_CHECKING:
    import torch

_COLOURS = ("#5fa88c", "#e8b04a", "#c8643c", "#8a7fb8", "#6fa0c8")
_TILE_PX = 160


def draw_pictures(pictures: Mapping[int, torch.Tensor], texts: Sequence[str], path: Path) -> None:
    """A row for each size, a column for each prompt."""
    images = [Image.fromarray(one.numpy()) for size in pictures for one in pictures[size]]
    labels = [f"{size} px: {text}" for size in pictures for text in texts]
    save_webp(contact_sheet(images, columns=len(texts), labels=labels, tile_px=_TILE_PX), path)


def draw_figure(atlas: Atlas, path: Path) -> None:
    """Likeness by block and step for each comparison, and below it attention and scales by size."""
    blocks = list(dict.fromkeys(row["block"] for row in atlas.alignments))
    height = 2.2 + 0.17 * len(blocks) + 3.2
    figure = open_figure(11, height)
    ((upper,), (lower,)) = figure.subfigures(2, 1, squeeze=False, height_ratios=[height - 3.4, 3.4])
    for part in (upper, lower):
        part.set_facecolor(GROUND)
    _draw_alignments(upper, atlas, blocks)
    for axes, draw in zip(lower.subplots(1, 3), (_draw_places, _draw_entropies, _draw_spectra), strict=True):
        draw(axes, atlas)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=GROUND)
    save_webp(Image.open(buffer).convert("RGB"), path)


def _draw_alignments(figure: Any, atlas: Atlas, blocks: Sequence[str]) -> None:
    many = figure.subplots(1, len(atlas.compared), sharey=True)
    for axes, name in zip(np.atleast_1d(many), atlas.compared, strict=True):
        rows = [row for row in atlas.alignments if row["compared"] == name]
        table = np.full((len(blocks), 1 + max(row["step"] for row in rows)), np.nan)
        for row in rows:
            value = row["alignment"]
            table[blocks.index(row["block"]), row["step"]] = np.nan if value is None else value
        drawn = axes.imshow(table, vmin=0, vmax=1, cmap="magma", aspect="auto")
        title = f"{atlas.native_px} px, {FLOOR}" if name == FLOOR else f"{name} px"
        axes.set_title(title, color=INK, fontsize=10)
        axes.set_xlabel("step", color=INK, fontsize=9)
        axes.set_yticks(range(len(blocks)), [_short(block) for block in blocks])
        dress(axes, labelsize=7)
    bar = figure.colorbar(drawn, ax=many, shrink=0.8)
    bar.set_label(f"likeness to {atlas.native_px} px, CKA", color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8)


def _draw_places(axes: Any, atlas: Atlas) -> None:
    blocks = list(dict.fromkeys(row["block"] for row in atlas.places))
    for size, colour in zip(atlas.sizes_px, _COLOURS, strict=False):
        rows = [row for row in atlas.places if row["size_px"] == size]
        axes.plot([row["shared"] for row in rows], color=colour, label=f"{size} px")
        axes.plot([row["shared_wrapped"] for row in rows], ":", color=colour, label=f"{size} px, no borders")
    axes.axhline(1 / atlas.pictures, color=LINE, linewidth=0.8)
    axes.set_xticks(range(len(blocks)), [_short(block) for block in blocks], rotation=90)
    axes.set_ylim(0, 1)
    axes.set_title("what all pictures share: where, not what", color=INK, fontsize=9)
    dress(axes, labelsize=7)
    name_lines(axes, fontsize=6)


def _draw_entropies(axes: Any, atlas: Atlas) -> None:
    spread = mean_entropies(atlas)
    names = [_short(name.split(".transformer_blocks")[0]) for name in spread]
    for size, colour in zip(atlas.sizes_px, _COLOURS, strict=False):
        values = [sizes[size] for sizes in spread.values()]
        axes.plot(range(len(names)), values, "o-", color=colour, label=f"{size} px", markersize=4)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_ylabel("entropy, share of the most", color=INK, fontsize=9)
    axes.set_title("how widely self-attention looks", color=INK, fontsize=9)
    dress(axes, labelsize=7)
    name_lines(axes, fontsize=8)


def _draw_spectra(axes: Any, atlas: Atlas) -> None:
    last = max(row["step"] for row in atlas.spectra)
    for size, colour in zip(atlas.sizes_px, _COLOURS, strict=False):
        rows = [row for row in atlas.spectra if row["size_px"] == size and row["step"] == last]
        # A wave of the same share of the picture and the same height has its power in as many more places as there are.
        heights = [row["power"] / size**2 for row in rows]
        axes.loglog([row["periods"] for row in rows], heights, color=colour, label=f"{size} px")
    axes.set_title("scales of the finished latent", color=INK, fontsize=9)
    axes.set_xlabel("waves across the picture", color=INK, fontsize=9)
    axes.set_ylabel("power per place", color=INK, fontsize=9)
    dress(axes, labelsize=7)
    name_lines(axes, fontsize=8)


def _short(block: str) -> str:
    words = {
        "down_blocks": "down",
        "up_blocks": "up",
        "mid_block": "mid",
        "resnets": "res",
        "attentions": "att",
    }
    return " ".join(words.get(part, part) for part in block.split("."))
