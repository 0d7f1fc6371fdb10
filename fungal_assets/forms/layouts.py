"""Frames for screens: one view on a wide or a tall black ground, four views around a pyramid's foot.

A Pepper's-ghost pyramid touches the screen with its small end and widens away from it; its faces stand at 45 degrees.
What is lit at a distance s outside the foot is seen at the distance s from the screen, mirrored once. With the screen
below (looked at from above, the pyramid widening upwards) each tile is therefore its view flipped top to bottom, the
top outward; with the screen above (looked at from below, where left and right are exchanged) flipped left to right,
the top inward. Belongs here: where pixels go. Cameras and files do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

SCREENS = ("below", "above")
MOST_TILE_PX = 864
"""Its canvas is 2160 px, the most that ordinary players take."""


def canvas_px(tile_px: int) -> int:
    """Side of the pyramid's frame: the foot is a fifth of it, and half a tile wide."""
    return tile_px * 5 // 2


def tile_px(size_px: int) -> int:
    """Side of a pyramid's tile for views of that side: a multiple of 4, so that its frame is even."""
    return min(size_px, MOST_TILE_PX) // 4 * 4


def fit_tile(views: Sequence[np.ndarray], screen: str = "below") -> float:
    """By how much a form's views are to be made smaller so that no face of the pyramid cuts anything off.

    A face is as wide at its foot as the foot, and widens on either side by as much as one goes away from the foot.

    Args:
        views: All frames of a turn: uint8, each (S, S, 3).
        screen: As in `lay_out_pyramid`.

    Returns:
        The scale of the tile, its outer side staying at the rim; 1 at most.
    """
    side = views[0].shape[0]
    is_lit = np.max([view.any(2) for view in views], 0)
    rows, columns = np.nonzero(is_lit)
    from_foot = (side - 1 - rows if screen == "below" else rows) / side
    aside = np.abs(columns + 0.5 - side / 2) / side
    return min(1.0, float((1.25 / (1 + aside - from_foot)).min(initial=1.25)))


def lay_out_pyramid(views: Sequence[np.ndarray], *, screen: str = "below", scale: float = 1.0) -> np.ndarray:
    """One frame for the pyramid.

    Args:
        views: From azimuth a, a + 90, a + 180 and a + 270 degrees: uint8, each (S, S, 3), S a multiple of 4.
        screen: Where the screen is, 'below' or 'above'.
        scale: Of the views, their outer sides staying at the rim.

    Returns:
        uint8, shape (2.5 S, 2.5 S, 3): the first view to the south, the next to the east of it (to the west with the
        screen above, as it is then seen from below); black in the middle and outside the four faces.
    """
    side = views[0].shape[0]
    whole, inner = canvas_px(side), round(side * scale / 2) * 2
    place = np.arange(whole) + 0.5 - whole / 2
    is_south = place[:, None] >= np.abs(place)[None, :]
    canvas = np.zeros((whole, whole, 3), np.uint8)
    left, bottom = (whole - inner) // 2, whole - inner
    window = (slice(bottom, whole), slice(left, left + inner))
    is_face = is_south[window][..., None]
    for quarter, view in enumerate(views):
        small = view if inner == side else _shrink(view, inner)
        tile = small[::-1] if screen == "below" else small[:, ::-1]
        turned = np.rot90(canvas, -quarter if screen == "below" else quarter)
        np.copyto(turned[window], tile, where=is_face)
    return canvas


def _shrink(view: np.ndarray, side_px: int) -> np.ndarray:
    return np.asarray(Image.fromarray(view).resize((side_px, side_px), Image.Resampling.BILINEAR))


def lay_on_black(view: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """A view in the middle of a black frame: uint8, shape (height_px, width_px, 3)."""
    frame = np.zeros((height_px, width_px, 3), np.uint8)
    top, left = (height_px - view.shape[0]) // 2, (width_px - view.shape[1]) // 2
    frame[top : top + view.shape[0], left : left + view.shape[1]] = view
    return frame


def screen_px(size_px: int, *, is_portrait: bool) -> tuple[int, int]:
    """Width and height of a 9:16 or 16:9 frame whose shorter side is `size_px`; even."""
    longer = round(size_px * 16 / 9 / 2) * 2
    return (size_px, longer) if is_portrait else (longer, size_px)
