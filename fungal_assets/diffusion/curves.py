"""What a run went through, as tables and as one picture: losses, learning rate, and what looks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fungal_assets.figures import INK, dress, name_lines, open_figure
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
    """Losses, learning rate, and the shares that looks found, one below the other over one axis of steps.

    Rehearsal has a panel of its own: it begins at nothing, while specimens' losses fall by a tenth of themselves.
    """
    parts: list[tuple[float, Sequence[str], Sequence[str]]] = [
        (3, ["specimen_loss"], ["held_out_loss"]),
        (1.5, ["rehearsal_loss"], []),
        (1, ["learning_rate"], []),
        (2.5, [], ["retention", "species_recognised", "species_likeness"]),
    ]
    shown = [
        (height, of_steps, of_looks)
        for height, of_steps, of_looks in parts
        if any(_points(curve, name)[0] for name in of_steps)
        or any(_points(looks, name)[0] for name in of_looks)
    ]
    heights = [height for height, _, _ in shown]
    figure = open_figure(9, 1 + sum(heights))
    panels = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (_, of_steps, of_looks) in zip(panels, shown, strict=True):
        for name in of_steps:
            _plot_steps(axes, curve, name)
        for name in of_looks:
            _plot_looks(axes, looks, name)
        dress(axes)
        if axes.get_legend_handles_labels()[0]:
            # Beside the panel, so that it hides nothing.
            name_lines(axes, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
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
    """The mean over a twentieth of the run as a line, and behind it every step as a dot, where these differ."""
    steps, values = _points(curve, name)
    if name == "learning_rate":
        axes.plot(steps, values, color=COLOURS[name], label="learning rate")
    elif steps:
        axes.plot(steps, values, ".", color=COLOURS[name], alpha=0.25, markersize=3)
        means = smoothed(values, max(1, len(curve) // 20))
        axes.plot(steps, means, color=COLOURS[name], label=name.replace("_", " "))


def _plot_looks(axes: Axes, looks: Rows, name: str) -> None:
    steps, values = _points(looks, name)
    if steps:
        axes.plot(steps, values, "o-", color=COLOURS[name], markersize=4, label=name.replace("_", " "))
