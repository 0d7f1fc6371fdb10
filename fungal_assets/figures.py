"""The look of figures that matplotlib draws: light lines on the ground of the contact sheets, without pyplot's state.

Belongs here: the colours, an empty figure, and the dress of its axes. What is plotted does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUND, INK, LINE = "#101010", "#e8e4da", "#555555"


def open_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure of 100 px an inch, laid out by what it will hold."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=100, layout="constrained", facecolor=GROUND)
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, **ticks: Any) -> None:
    """Give axes the colours; `ticks` go to `tick_params`."""
    axes.set_facecolor(GROUND)
    axes.tick_params(colors=INK, **ticks)
    axes.spines[:].set_color(LINE)


def name_lines(axes: Axes, **legend: Any) -> None:
    """Add a legend in the colours; `legend` goes to `Axes.legend`."""
    axes.legend(facecolor=GROUND, edgecolor=LINE, labelcolor=INK, **legend)
