"""What a DCGAN went through, as one picture: losses, scores, and what looks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fungal_assets.diffusion.curves import smoothed
from fungal_assets.figures import INK, dress, name_lines, open_figure

PANELS = (
    ("generator_loss", "discriminator_loss"),
    ("real_score", "drawn_score"),
    ("kid",),
    ("variety",),
)
OF_LOOKS = ("kid", "variety")
COLOURS = {
    "generator_loss": "#e8b04a",
    "discriminator_loss": "#5fa88c",
    "real_score": "#5fa88c",
    "drawn_score": "#e8b04a",
    "kid": "#d9705f",
    "variety": "#8f9fd0",
}
Row = Mapping[str, float | None]


def draw_curves(path: Path, curve: Sequence[Row], looks: Sequence[Row], best: Row) -> None:
    """Plot losses and scores by step, and the distance and the variety of each look; the kept look has a line."""
    figure = open_figure(9, 8)
    panels = figure.subplots(len(PANELS), sharex=True, squeeze=False)[:, 0]
    for axes, names in zip(panels, PANELS, strict=True):
        for name in names:
            rows = looks if name in OF_LOOKS else curve
            steps, values = [row["step"] for row in rows], [row[name] or 0.0 for row in rows]
            if name in OF_LOOKS:
                axes.plot(steps, values, "o-", color=COLOURS[name], markersize=4, label=name)
            else:
                axes.plot(steps, values, color=COLOURS[name], alpha=0.25)
                means = smoothed(values, max(1, len(values) // 20))
                axes.plot(steps, means, color=COLOURS[name], label=name.replace("_", " "))
        axes.axvline(best["step"], color=INK, linewidth=0.6, linestyle=":")
        dress(axes)
        name_lines(axes, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    panels[-1].set_xlabel("step; the dotted line is the one that is kept", color=INK)
    figure.savefig(path, metadata={"Software": None})
