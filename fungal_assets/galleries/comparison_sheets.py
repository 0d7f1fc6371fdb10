"""The pictures of a comparison: what each model makes of the same prompt and noise, and where each stands.

Belongs here: drawing. Which models there are, and in which order, is decided in `comparing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.figures import GROUND, INK, LINE, dress, open_figure
from fungal_assets.galleries.grids import save_webp
from fungal_assets.galleries.planning import BASE, TUNED
from fungal_assets.galleries.reading import open_picture, read_gallery
from fungal_assets.previews import contact_sheet
from fungal_assets.shards import read_table

TILE_PX, SHOWN_CONTROLS, SHOWN_SPECIES = 112, 12, 8
COLOURS = {"full": "#d9705f", "lora": "#e8b04a", "textual_inversion": "#8f9fd0", BASE: INK}
Row = Mapping[str, Any]


def draw_places(rows: Sequence[Row], path: Path) -> None:
    """Draw where each model stands: what it keeps, with its interval, over how well it draws the species."""
    figure = open_figure(8, 4.5)
    axes = figure.subplots()
    for row in rows:
        if row["retention"] is None or row["species_recognised"] is None:
            continue
        low, high = row["interval"]
        x, y = row["retention"], row["species_recognised"]
        colour = COLOURS.get(row["method"], INK)
        reach = [[max(x - low, 0.0)], [max(high - x, 0.0)]]
        axes.errorbar([x], [y], xerr=reach, fmt="o", color=colour, capsize=3)
        axes.annotate(row["name"], (x, y), (4, 6), textcoords="offset points", color=colour, fontsize=8)
    axes.axvline(1.0, color=LINE, linestyle=":")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    axes.set_xlabel("retention, all of the base model's at the dotted line", color=INK)
    axes.set_ylabel("species recognised", color=INK)
    dress(axes)
    figure.savefig(path, metadata={"Software": None})


def draw_beside(models: Sequence[tuple[str, Path, Path]], path: Path) -> None:
    """A column per model, the base model's first, a row per prompt: controls that most models lost first, then species.

    Args:
        models: Name, gallery and forgetting report of each, all asked alike.
        path: Where the sheet goes.
    """
    galleries = [_first_pictures(gallery) for _, gallery, _ in models]
    seen = [_recognised(report) for *_, report in models]
    controls = _worst_first([key for key in galleries[0] if key[0] == "control" and key[2] == BASE], seen)
    species = [key for key in galleries[0] if key[0] == "species"][:SHOWN_SPECIES]
    blank = Image.new("RGB", (TILE_PX, TILE_PX), GROUND)
    tiles: list[Image.Image] = []
    labels: list[str] = []
    for kind, prompt_id, _ in [*controls[:SHOWN_CONTROLS], *species]:
        base = galleries[0].get((kind, prompt_id, BASE))
        text = galleries[0][kind, prompt_id, TUNED]["text"]
        tiles.append(open_picture(models[0][1], base) if base else blank)
        labels.append(f"{text}\nbase" if base else f"{text}\n")
        for (name, gallery, _), rows, recognised in zip(models, galleries, seen, strict=True):
            tiles.append(open_picture(gallery, rows[kind, prompt_id, TUNED]))
            is_seen = recognised.get((prompt_id, TUNED))
            labels.append(f"{name}\n{'' if is_seen is None else 'seen' if is_seen else 'not seen'}")
    sheet = contact_sheet(tiles, columns=len(models) + 1, labels=labels, tile_px=TILE_PX, ground=GROUND)
    save_webp(sheet, path)


def _first_pictures(gallery: Path) -> dict[tuple[str, str, str], Row]:
    """The first picture of each prompt and model, by kind, prompt id and model."""
    return {
        (row["kind"], row["prompt_id"], row["model"]): row
        for row in read_gallery(gallery)
        if row["index"] == 0
    }


def _recognised(report: Path) -> dict[tuple[str, str], bool]:
    """Whether the first picture of each control prompt and model is recognised, where it could be judged."""
    found: dict[tuple[str, str], bool] = {}
    for row in read_table(report / "scores.parquet"):
        if row["recognised"] is not None:
            found.setdefault((row["prompt_id"], row["model"]), row["recognised"])
    return found


def _worst_first(
    controls: Sequence[tuple[str, str, str]], seen: Sequence[Mapping[tuple[str, str], bool]]
) -> list[tuple[str, str, str]]:
    """Prompts that fewest models still draw first; those that the base model does not draw last."""

    def lost(key: tuple[str, str, str]) -> tuple[bool, int]:
        return not seen[0].get((key[1], BASE), False), sum(each.get((key[1], TUNED), False) for each in seen)

    return sorted(controls, key=lost)
