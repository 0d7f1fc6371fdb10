"""Contact sheets: many pictures in a grid, to look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fungal_assets.pocket.fungarium.rendering import render

if TYPE_CHECKING:
    from fungal_assets.pocket.fungarium.traits import Traits


def contact_sheet(
    rows: Iterable[Iterable[Traits]], *, size_px: int = 128, supersample: int = 1
) -> Image.Image:
    """Renders rows of traits into one picture, each cell `size_px` wide."""
    lines = []
    for row in rows:
        cells = [render(t, size_px=size_px, supersample=supersample).cpu().numpy() for t in row]
        lines.append(np.concatenate(cells, 1))
    return Image.fromarray((np.concatenate(lines, 0) * 255).round().astype(np.uint8))
