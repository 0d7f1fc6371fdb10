"""Quilts for Looking Glass displays: one picture of many views, each from a little further to the right.

The cameras stand side by side and look the same way; each picture is sheared so that what lies in the middle of the
form stays in place, on the glass, and nothing is turned in (toe-in would lift the corners). View 0, the one furthest to
the left, is at the bottom left; then they go to the right, and up. The file's name tells the layout:
`NAME_qs<columns>x<rows>a<aspect>.png`. Belongs here: displays, their cameras, the layout and the name. Nothing here
has been seen on a display.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fungal_assets.errors import InputError

if TYPE_CHECKING:
    import torch

    from fungal_assets.forms.casting import Lens

CONE_DEG = 35.0
"""From the leftmost camera over the middle of the form to the rightmost."""
FOV_DEG = 14.0
"""Of the window's height: far away, as these displays are looked at."""
MOST_DISPARITY_PX = 5.0
"""By which a point of the form may move from one view to the next at the display's own size; more is torn apart."""
_MARGIN = 1.05


@dataclass(frozen=True)
class Display:
    """What the maker's software takes for a display by default.

    Args:
        columns, rows: Of the quilt.
        width_px, height_px: Of the whole quilt.
        aspect: Width over height of the glass; the tiles may be squeezed.
    """

    columns: int
    rows: int
    width_px: int
    height_px: int
    aspect: float

    @property
    def views(self) -> int:
        """How many there are."""
        return self.columns * self.rows

    def tile_px(self, quilt_px: int) -> tuple[int, int]:
        """Width and height of one view where the quilt is at most `quilt_px` wide; 0 for the display's own size.

        Both are even, so that in a film no view takes colour from its neighbour.
        """
        width, height = self.width_px // self.columns, self.height_px // self.rows
        scale = min(1.0, quilt_px / self.width_px) if quilt_px else 1.0
        return _even(width * scale), _even(height * scale)

    def name(self, stem: str, suffix: str) -> str:
        """The file name that tells players the layout."""
        return f"{stem}_qs{self.columns}x{self.rows}a{self.aspect:g}{suffix}"


DISPLAYS = {
    "portrait": Display(8, 6, 3360, 3360, 0.75),
    "go": Display(11, 6, 4092, 4092, 0.5625),
    "16-landscape": Display(7, 7, 5999, 5999, 1.77778),
    "16-portrait": Display(11, 6, 5995, 6000, 0.5625),
    "32-landscape": Display(7, 7, 8190, 8190, 1.77778),
    "32-portrait": Display(11, 6, 8184, 8184, 0.5625),
    "65": Display(8, 9, 8192, 8192, 1.77778),
}
"""By the name that the setting `display` takes."""


def get_display(name: str) -> Display:
    """The display of that name.

    Raises:
        InputError: There is none.
    """
    if name not in DISPLAYS:
        raise InputError(f"display is {name!r}; expected one of {', '.join(DISPLAYS)}.")
    return DISPLAYS[name]


def quilt_lenses(display: Display, points: torch.Tensor, front: Lens) -> list[Lens]:
    """The cameras of a quilt, view 0 first.

    Args:
        display: For which.
        points: Where the form is, float, shape (N, 3), about the origin.
        front: Whence the middle of them looks.

    Returns:
        Cameras side by side, from all of which the form is seen whole. Where neighbours would differ by more than
        `MOST_DISPARITY_PX` at the display's own size they stand closer.
    """
    row = _row(display, points, front, CONE_DEG)
    apart = disparity_px(row, points, display.tile_px(0)[0])
    return (
        row
        if apart <= MOST_DISPARITY_PX
        else _row(display, points, front, CONE_DEG * MOST_DISPARITY_PX / apart)
    )


def disparity_px(lenses: Sequence[Lens], points: torch.Tensor, width_px: int) -> float:
    """The most that a point moves from one view to the next, in pixels of views of that width."""
    across = np.stack([lens.project(points)[:, 0].numpy() for lens in lenses])
    return float(np.abs(np.diff(across, axis=0)).max()) * width_px / 2


def _row(display: Display, points: torch.Tensor, front: Lens, cone_deg: float) -> list[Lens]:
    """Cameras over a cone, as near as all of the form is seen by the outermost."""
    half = float(points.norm(dim=1).max())
    lenses: list[Lens] = []
    for _ in range(4):
        distance = half / math.tan(math.radians(FOV_DEG) / 2)
        reach = distance * math.tan(math.radians(cone_deg) / 2)
        lenses = [
            replace(front, distance=distance, half_height=half, aspect=display.aspect, shift=float(shift))
            for shift in np.linspace(-reach, reach, display.views)
        ]
        seen = [lenses[i].project(points).abs().max() for i in (0, display.views // 2, -1)]
        half *= float(max(seen)) * _MARGIN
    return lenses


def lay_out_quilt(display: Display, views: Sequence[np.ndarray]) -> np.ndarray:
    """The views as one picture.

    Args:
        display: How many columns and rows.
        views: View 0 first: uint8, each (h, w, 3).

    Returns:
        uint8, shape (rows h, columns w, 3), view 0 at the bottom left.
    """
    height, width = views[0].shape[:2]
    grid = np.stack(views).reshape(display.rows, display.columns, height, width, 3)[::-1]
    return grid.transpose(0, 2, 1, 3, 4).reshape(display.rows * height, display.columns * width, 3)


def cut_quilt(display: Display, quilt: np.ndarray) -> list[np.ndarray]:
    """The views of a quilt, view 0 first: uint8, each (h, w, 3).

    Raises:
        InputError: Its sides do not divide by its grid.
    """
    height, width = quilt.shape[0] // display.rows, quilt.shape[1] // display.columns
    if quilt.shape[:2] != (height * display.rows, width * display.columns):
        raise InputError(
            f"the quilt is {quilt.shape[1]}x{quilt.shape[0]} px, which {display.columns}x{display.rows} views do "
            "not fill evenly. Film it again: fungal grow --until videos_3d"
        )
    grid = quilt.reshape(display.rows, height, display.columns, width, 3).transpose(0, 2, 1, 3, 4)[::-1]
    return list(grid.reshape(-1, height, width, 3))


def _even(size_px: float) -> int:
    return max(2, int(size_px + 1e-6) // 2 * 2)
