"""The loss curve as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from fungal_assets.shards import write_table

CURVE_SCHEMA = pa.schema(
    [("step", pa.int64())]
    + [(name, pa.float64()) for name in ("loss", "specimen_loss", "rehearsal_loss", "learning_rate")]
)


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and those before it, `window` of them at most."""
    spans = (values[max(0, end - window) : end] for end in range(1, len(values) + 1))
    return [sum(span) / len(span) for span in spans]


def write_curve(folder: Path, curve: Sequence[Mapping[str, float | None]]) -> None:
    """Write `loss.parquet` (one row per step; a null where a batch had no such rows) and `loss.png`."""
    write_table(folder / "loss.parquet", curve, CURVE_SCHEMA)
    _draw(folder / "loss.png", curve)


def _draw(path: Path, curve: Sequence[Mapping[str, float | None]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), dpi=100, layout="constrained", facecolor="#101010")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor="#101010")
    window = max(1, len(curve) // 20)
    for name, colour in (("specimen_loss", "#e8b04a"), ("rehearsal_loss", "#5fa88c")):
        points = [(row["step"], row[name]) for row in curve if row[name] is not None]
        if points:
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, ".", color=colour, alpha=0.25, markersize=3)
            axes.plot(steps, smoothed(values, window), color=colour, label=name.replace("_", " "))
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_xlabel("step", color="#e8e4da")
    axes.tick_params(colors="#e8e4da")
    axes.spines[:].set_color("#555555")
    if curve:
        axes.legend(facecolor="#101010", edgecolor="#555555", labelcolor="#e8e4da")
    figure.savefig(path, metadata={"Software": None})
