"""The pyramid to cut and fold: true to scale, for the screen that the film is shown on.

The frame is a square of the screen's shorter side L. The foot takes a fifth of it; faces at 45 degrees rise 0.4 L until
they are as wide as the screen. Such a face is a trapezoid with sides L/5 and L and a height of 0.4 sqrt(2) L, and its
angle at the long side is atan(sqrt(2)) = 54.7 degrees. Belongs here: that drawing. Nothing here has been built.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SVG_NAME, PDF_NAME = "pyramid_template.svg", "pyramid_template.pdf"
FOOT_SHARE, RISE_SHARE = 0.2, 0.4
BASE_ANGLE_DEG = math.degrees(math.atan(math.sqrt(2)))
APEX_ANGLE_DEG = 180 - 2 * BASE_ANGLE_DEG
_TAB_MM, _EDGE_MM, _NOTES_MM, _LEAST_MM = 8.0, 10.0, 52.0, 170.0


def net(screen_mm: float) -> np.ndarray:
    """The four faces side by side, ready to fold: float64, shape (4, 4, 2), millimetres, y up.

    Each face has the corners long side left, long side right, short side right, short side left, seen with the apex of
    all at the origin; the faces follow each other to the right.
    """
    far = screen_mm / 2 / math.cos(math.radians(BASE_ANGLE_DEG))
    near = far * FOOT_SHARE
    middle_deg = 90 + 1.5 * APEX_ANGLE_DEG - APEX_ANGLE_DEG * np.arange(4)
    left, right = (np.radians(middle_deg + sign * APEX_ANGLE_DEG / 2) for sign in (1, -1))
    corners = [(far, left), (far, right), (near, right), (near, left)]
    return np.stack([np.stack([r * np.cos(a), r * np.sin(a)], -1) for r, a in corners], 1)


def draw_templates(folder: Path, *, screen_mm: float, screen: str) -> None:
    """Write the template as SVG and as PDF, one sheet, to be printed at 100 %.

    Args:
        folder: Where the two files go.
        screen_mm: The shorter side of the screen.
        screen: Where it lies, 'below' or 'above' the pyramid.
    """
    import matplotlib
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    faces = net(screen_mm)
    low = faces.reshape(-1, 2).min(0) - _EDGE_MM - [_TAB_MM, _NOTES_MM]
    high = faces.reshape(-1, 2).max(0) + _EDGE_MM
    width_mm, height_mm = high - low
    beside = max(0.0, _LEAST_MM - width_mm) / 2
    low, high, width_mm = low - [beside, 0], high + [beside, 0], width_mm + 2 * beside
    figure = Figure(figsize=(width_mm / 25.4, height_mm / 25.4))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_axis_off()
    _draw_net(axes, faces)
    _draw_measures(axes, faces, screen_mm)
    _draw_notes(axes, low, screen_mm, screen, width_mm, height_mm)
    with matplotlib.rc_context({"svg.hashsalt": "pyramid", "svg.fonttype": "path", "pdf.fonttype": 42}):
        FigureCanvasSVG(figure).print_svg(str(folder / f".{SVG_NAME}"), metadata={"Date": None})
        FigureCanvasPdf(figure).print_pdf(str(folder / f".{PDF_NAME}"), metadata={"CreationDate": None})
    for name in (SVG_NAME, PDF_NAME):
        (folder / f".{name}").replace(folder / name)


def _draw_net(axes: Axes, faces: np.ndarray) -> None:
    """Cuts as full lines, folds as dashes, a tab to glue."""
    along = (faces[0, 0] - faces[0, 3]) / np.linalg.norm(faces[0, 0] - faces[0, 3])
    inward = np.array([-along[1], along[0]])
    tab = [faces[0, 3] + _TAB_MM * (inward + along), faces[0, 0] + _TAB_MM * (inward - along)]
    cut = np.array([faces[0, 0], *faces[:, 1], *faces[::-1, 2], faces[0, 3]])
    axes.plot(*cut.T, color="black", linewidth=0.8, gid="cut", solid_joinstyle="miter")
    axes.plot(*np.array([faces[0, 3], *tab, faces[0, 0]]).T, color="grey", linewidth=0.8, gid="tab")
    folds = [faces[0, [0, 3]], *(face[[1, 2]] for face in faces[:-1])]
    for index, fold in enumerate(folds):
        axes.plot(*fold.T, color="black", linewidth=0.6, linestyle=(0, (6, 4)), gid=f"fold-{index}")


def _draw_measures(axes: Axes, faces: np.ndarray, screen_mm: float) -> None:
    """Millimetres and angles on the second face."""
    face = faces[1]
    across = face[1] - face[0]
    turn_deg = math.degrees(math.atan2(across[1], across[0]))
    middle = (face[0] + face[1]) / 2
    down = ((face[2] + face[3]) / 2 - middle) / np.linalg.norm((face[2] + face[3]) / 2 - middle)
    size = max(5.0, min(10.0, screen_mm / 14))
    style: dict[str, Any] = {
        "ha": "center",
        "va": "center",
        "fontsize": size,
        "rotation": turn_deg,
        "rotation_mode": "anchor",
    }
    rise = math.sqrt(2) * RISE_SHARE * screen_mm
    axes.plot(*np.array([middle, middle + down * rise]).T, color="grey", linewidth=0.4, linestyle=":")
    _write(axes, middle + 0.07 * rise * down, f"{screen_mm:.1f} mm", **style)
    _write(axes, middle + 0.92 * rise * down, f"{FOOT_SHARE * screen_mm:.1f} mm", **style)
    aside = across / np.linalg.norm(across)
    beside = style | {"rotation": turn_deg - 90}
    _write(axes, middle + 0.45 * rise * down + 0.05 * rise * aside, f"{rise:.1f} mm", **beside)
    for end, sign in ((face[0], 1), (face[1], -1)):
        _write(axes, end + sign * 0.24 * rise * aside + 0.14 * rise * down, f"{BASE_ANGLE_DEG:.1f}°", **style)


def _write(axes: Axes, place: np.ndarray, text: str, **style: Any) -> None:
    axes.text(float(place[0]), float(place[1]), text, **style)


def _draw_notes(
    axes: Axes, low: np.ndarray, screen_mm: float, screen: str, width_mm: float, height_mm: float
) -> None:
    """What to do with it, and a line to measure whether the printer kept the scale."""
    left, bottom = low + _EDGE_MM
    axes.plot([left, left + 50], [bottom, bottom], color="black", linewidth=0.8, gid="ruler")
    for end in (left, left + 50):
        axes.plot([end, end], [bottom - 1.5, bottom + 1.5], color="black", linewidth=0.8)
    axes.text(
        left + 53,
        bottom,
        "50 mm: measure this line; print at 100 %, not fitted to the page",
        fontsize=7,
        va="center",
    )
    stands = (
        "on the middle of the screen"
        if screen == "below"
        else "under the middle of the screen that faces down"
    )
    lines = (
        f"Pepper's-ghost pyramid for a screen whose shorter side is {screen_mm:g} mm.",
        f"Small end {stands}.",
        f"Faces at 45°, {RISE_SHARE * screen_mm:.1f} mm high, {BASE_ANGLE_DEG:.1f}° at the long side.",
        "Film: cut along full lines, score and fold along dashes, glue the grey tab inside.",
        "Acrylic: cut four faces; they meet at 120°. Show pyramid.mp4 full screen, in a loop, in the dark.",
        f"This sheet has {width_mm:.0f} x {height_mm:.0f} mm.",
    )
    axes.text(left, bottom + 5, "\n".join(lines), fontsize=7, va="bottom", linespacing=1.5)
