"""What a run went through, as tables and as one picture: losses, learning rate, and what looks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fungal_assets.shards import write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_SCHEMA = pa.schema(
    [("step", pa.int64())]
    + [(name, pa.float64()) for name in ("loss", "specimen_loss", "rehearsal_loss", "learning_rate")]
)
LOOK_NAMES = (
    "learning_rate",
    "loss",
    "held_out_loss",
    "retention",
    "species_recognised",
    "species_likeness",
)
LOOK_SCHEMA = pa.schema([("step", pa.int64())] + [(name, pa.float64()) for name in LOOK_NAMES])

GROUND, INK, LINE = "#101010", "#e8e4da", "#555555"
COLOURS = {
    "specimen_loss": "#e8b04a",
    "rehearsal_loss": "#5fa88c",
    "held_out_loss": "#d9705f",
    "learning_rate": "#8f9fd0",
    "retention": "#5fa88c",
    "species_recognised": "#e8b04a",
    "species_likeness": "#a08040",
}
Rows = Sequence[Mapping[str, float | None]]


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and those before it, `window` of them at most."""
    spans = (values[max(0, end - window) : end] for end in range(1, len(values) + 1))
    return [sum(span) / len(span) for span in spans]


def write_curves(folder: Path, curve: Rows, looks: Rows) -> None:
    """Write what a run went through.

    Args:
        folder: Gets `loss.parquet`, one row per step, a null where a batch had no such rows; `looks.parquet`, one row
            per look, if there was any; and `curves.png`.
        curve: The steps' rows.
        looks: The looks' rows.
    """
    write_table(folder / "loss.parquet", curve, CURVE_SCHEMA)
    if looks:
        write_table(folder / "looks.parquet", looks, LOOK_SCHEMA)
    _draw(folder / "curves.png", curve, looks)


def _draw(path: Path, curve: Rows, looks: Rows) -> None:
    """Losses above, learning rate below them, and at the bottom the shares that looks found, over one axis of steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [3, 1, 2] if looks else [3, 1]
    figure = Figure(figsize=(7, 1 + sum(heights)), dpi=100, layout="constrained", facecolor=GROUND)
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    for name in ("specimen_loss", "rehearsal_loss"):
        _plot_steps(panels[0], curve, name)
    _plot_looks(panels[0], looks, "held_out_loss")
    panels[0].set_yscale("symlog", linthresh=1e-3)
    panels[1].plot(*_points(curve, "learning_rate"), color=COLOURS["learning_rate"], label="learning rate")
    if looks:
        for name in ("retention", "species_recognised", "species_likeness"):
            _plot_looks(panels[2], looks, name)
        panels[2].set_ylim(-0.05, 1.1)
    for axes in panels:
        _dress(axes)
    panels[-1].set_xlabel("step", color=INK)
    figure.savefig(path, metadata={"Software": None})


def _points(rows: Rows, name: str) -> tuple[list[float], list[float]]:
    """Steps and values of the rows that have one."""
    found = [
        (step, value)
        for row in rows
        if (step := row["step"]) is not None and (value := row[name]) is not None
    ]
    return [step for step, _ in found], [value for _, value in found]


def _plot_steps(axes: Axes, curve: Rows, name: str) -> None:
    """Every step as a dot, and their mean over a twentieth of the run as a line."""
    steps, values = _points(curve, name)
    if steps:
        axes.plot(steps, values, ".", color=COLOURS[name], alpha=0.25, markersize=3)
        means = smoothed(values, max(1, len(curve) // 20))
        axes.plot(steps, means, color=COLOURS[name], label=name.replace("_", " "))


def _plot_looks(axes: Axes, looks: Rows, name: str) -> None:
    steps, values = _points(looks, name)
    if steps:
        axes.plot(steps, values, "o-", color=COLOURS[name], markersize=4, label=name.replace("_", " "))


def _dress(axes: Axes) -> None:
    """The house's colours, and a legend where there is something to name."""
    axes.set_facecolor(GROUND)
    axes.tick_params(colors=INK)
    axes.spines[:].set_color(LINE)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(facecolor=GROUND, edgecolor=LINE, labelcolor=INK, fontsize=8)
