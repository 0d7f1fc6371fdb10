"""Pictures of an evolution: the forms that were kept, and the way that each came, from its ancestor on.

Belongs here: sheets. Films stand with the forms. Heavy libraries: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fungal_assets.ancestors.expression import grow_form
from fungal_assets.ancestors.fields import Field
from fungal_assets.ancestors.genomes import from_json
from fungal_assets.ancestors.judging import photograph
from fungal_assets.figures import GROUND, INK, LINE
from fungal_assets.forms.volume import Volume
from fungal_assets.previews import contact_sheet

STAGES = 6
TILE_PX, _GAP_PX, _LABEL_PX = 128, 10, 30
_GRID, _SHEET_PX = 40, 160


def draw_forms(volumes: Sequence[Volume], labels: Sequence[str]) -> Image.Image:
    """The forms side by side, each from the front and from the left."""
    tiles = [view for volume in volumes for view in photograph(volume, first=2, size_px=_SHEET_PX, finer=2)]
    texts = [text for label in labels for text in (label, "")]
    return contact_sheet(tiles, columns=min(6, len(tiles)), labels=texts, tile_px=_SHEET_PX)


def show_stage(kept: Mapping[str, Any], fields: Sequence[Field]) -> Image.Image:
    """The form of a genome, given as JSON, from the front."""
    return photograph(grow_form(from_json(kept)[0], fields, _GRID), first=1, size_px=TILE_PX, finer=2)[0]


def choose_stages(descent: Sequence[Mapping[str, Any]], count: int = STAGES) -> list[Mapping[str, Any]]:
    """Some genomes of a line of descent, spread evenly over it, the first and the last among them."""
    places = np.unique(np.linspace(0, len(descent) - 1, min(count, len(descent))).round().astype(int))
    return [descent[place] for place in places]


def draw_lineage(
    lines: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
    show: Callable[[Mapping[str, Any]], Image.Image],
) -> Image.Image:
    """The way of each form or picture, a row each, from its first genome on; below each stage what was new in it.

    Args:
        lines: The name of each, and the genomes that it descends from and itself, as JSON.
        show: Draws a genome, `TILE_PX` wide and high.
    """
    step = TILE_PX + 3 * _GAP_PX
    height = TILE_PX + _LABEL_PX + 2 * _GAP_PX
    canvas = Image.new("RGB", (STAGES * step + _GAP_PX, len(lines) * height + _GAP_PX), GROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=10)
    for row, (name, descent) in enumerate(lines):
        top = _GAP_PX + row * height
        stages = choose_stages(descent)
        for column, kept in enumerate(stages):
            left = _GAP_PX + column * step
            if column:
                middle = top + TILE_PX // 2
                draw.line((left - 3 * _GAP_PX, middle, left, middle), fill=LINE, width=2)
                draw.polygon([(left, middle), (left - 6, middle - 4), (left - 6, middle + 4)], fill=LINE)
            canvas.paste(show(kept), (left, top))
            is_last = column == len(stages) - 1
            title = name if is_last else f"generation {kept['generation']}"
            news = ", ".join(kept["mutations"][:2]) or ("a first form" if column == 0 else "")
            for line, text in enumerate((title, news)):
                shown = text if font.getlength(text) <= step - 6 else text[: int((step - 6) / 5.4)] + "…"
                draw.text(
                    (left, top + TILE_PX + 3 + 13 * line), shown, INK if line == 0 else "#8a877f", font=font
                )
    return canvas
