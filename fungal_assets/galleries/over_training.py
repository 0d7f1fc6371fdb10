"""When knowledge goes: the retention at each look of a training, by kind and by prompt, as numbers and as pictures.

Looks are at the weights in the making themselves, before `pruned_weights.strength` draws them back towards the base
model; so the last look may find less than the report on the gallery does. Each look draws one picture of each watched
prompt, always from the same noise.
Belongs here: what looks found, put together. Their files are read in `looking_back`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.figures import GROUND, INK, LINE, dress, name_lines, open_figure
from fungal_assets.galleries.grids import save_webp
from fungal_assets.galleries.judging import FUNGUS
from fungal_assets.galleries.looking_back import KeptLook, read_looks
from fungal_assets.galleries.retention import Course, Pair, Retention, measure_retention
from fungal_assets.previews import contact_sheet
from fungal_assets.profiles import METHODS_OF_NAMES
from fungal_assets.shards import read_table

MOST_COLUMNS, SHOWN_PROMPTS, TILE_PX = 8, 16, 96
RETENTION, SPECIES, EXPORTED = "#5fa88c", "#e8b04a", "#d9705f"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Watched:
    """A training as its looks saw it.

    Args:
        looks: The looks, the base model's first.
        found: What each of them found, as the report has it.
        prompts: What became of each control prompt that could be judged, the first to go first.
        groups: The same of each kind of thing, the worst last look first.
        step_kept: The step whose weights were kept.
        rehearsal_share: Share of the batches that was rehearsal; None of a method that needs none.
    """

    looks: Sequence[KeptLook]
    found: Sequence[Row]
    prompts: Sequence[Row]
    groups: Sequence[Row]
    step_kept: int
    rehearsal_share: float | None

    def course(self, min_retention: float) -> Course:
        """What bears on the advice."""
        known = [row for row in self.found if row["step"] and row["retention"] is not None]
        is_short = bool(known) and all(row["retention"] < min_retention for row in known)
        return Course(
            self.rehearsal_share, self.last_enough(min_retention), known[0]["step"] if is_short else None
        )

    def last_enough(self, min_retention: float) -> int | None:
        """The last step at whose look enough was left, where there was a later one with too little."""
        enough = [
            row["step"]
            for row in self.found
            if row["step"] and row["retention"] is not None and row["retention"] >= min_retention
        ]
        last = self.found[-1]["step"]
        return enough[-1] if enough and enough[-1] != last else None

    def as_json(self, min_retention: float) -> dict[str, Any]:
        """What the report says of it."""
        return {
            "finding": phrase_course(self, min_retention),
            "step_kept": self.step_kept,
            "judge": dict(self.looks[0].judge),
            "looks": list(self.found),
            "groups": list(self.groups),
            "prompts": list(self.prompts),
        }


def watch_again(fine_tuned_weights: Path) -> Watched | None:
    """What the looks of a training found; None where it was not looked at, or no control picture could be judged."""
    looks = read_looks(fine_tuned_weights)
    if len(looks) < 2 or not looks[0].controls:
        return None
    species = {
        row["step"]: row["species_recognised"] for row in read_table(fine_tuned_weights / "looks.parquet")
    }
    found = [_describe(look, looks[0].controls, species.get(look.step)) for look in looks]
    prompts = [_follow_prompt(row, looks) for row in looks[0].controls]
    training = json.loads((fine_tuned_weights / "training.json").read_text(encoding="utf-8"))
    share = None if training.get("method") in METHODS_OF_NAMES else training.get("rehearsal_share")
    worst_first = sorted(prompts, key=_how_bad)
    return Watched(looks, found, worst_first, _follow_groups(looks), training["step_kept"], share)


def _describe(look: KeptLook, base: Sequence[Row], species_recognised: float | None) -> dict[str, Any]:
    measured = _measure(base, look.controls)
    return {
        "step": look.step,
        "pairs": measured.pairs,
        "retention": measured.retention,
        "interval": measured.interval,
        "base_recognised": measured.base_recognised,
        "tuned_recognised": measured.tuned_recognised,
        "tuned_fungal": measured.tuned_fungal,
        "species_recognised": species_recognised,
    }


def _measure(base: Sequence[Row], tuned: Sequence[Row]) -> Retention:
    now = {row["prompt_id"]: row for row in tuned}
    return measure_retention(
        [
            Pair(
                row["recognised"],
                now[row["prompt_id"]]["recognised"],
                row["nearest"] == FUNGUS,
                now[row["prompt_id"]]["nearest"] == FUNGUS,
            )
            for row in base
        ]
    )


def _follow_prompt(base: Row, looks: Sequence[KeptLook]) -> dict[str, Any]:
    """One control prompt through all looks, and the step by which it was gone for good, if it was there."""
    course = [next(row for row in look.controls if row["prompt_id"] == base["prompt_id"]) for look in looks]
    seen = [row["recognised"] for row in course]
    gone = None
    if seen[0] and not seen[-1]:
        gone = looks[len(seen) - seen[::-1].index(True)].step
    return {
        "prompt_id": base["prompt_id"],
        "text": base["text"],
        "group": base["group"],
        "recognised": seen,
        "nearest": [row["nearest"] for row in course],
        "gone_by": gone,
    }


def _how_bad(prompt: Row) -> tuple[bool, float, int, str]:
    gone = prompt["gone_by"]
    return gone is None, gone or 0, sum(prompt["recognised"]), prompt["text"]


def _follow_groups(looks: Sequence[KeptLook]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(str(row["group"]) for row in looks[0].controls))
    of = {
        name: [[row for row in look.controls if str(row["group"]) == name] for look in looks]
        for name in names
    }
    groups = [
        {"name": name, "retention": [_measure(courses[0], rows).retention for rows in courses]}
        for name, courses in of.items()
    ]
    return sorted(groups, key=lambda each: (each["retention"][-1] is None, each["retention"][-1] or 0.0))


def phrase_course(watched: Watched, min_retention: float) -> str:
    """What went when, in a few sentences."""
    first, *rest = watched.found
    had = round(first["base_recognised"] * first["pairs"])
    if not had:
        return f"None of the {first['pairs']} watched control prompts is recognised of the base model."
    left = ", ".join(f"{round(row['tuned_recognised'] * row['pairs'])} at step {row['step']}" for row in rest)
    said = [
        f"Of {first['pairs']} watched control prompts {had} are recognised of the base model; then {left}."
    ]
    gone = [row for row in watched.prompts if row["gone_by"] is not None]
    if gone:
        names = ", ".join(f"{row['text']!r} by step {row['gone_by']}" for row in gone[:4])
        more = f" and {len(gone) - 4} more" if len(gone) > 4 else ""
        said.append(f"Gone for good: {names}{more}.")
    last = watched.last_enough(min_retention)
    if last is not None:
        said.append(f"The last look with a retention of at least {min_retention:.0%} is that at step {last}.")
    return " ".join(said)


def draw_course(watched: Watched, exported: Retention, min_retention: float, path: Path) -> None:
    """Draw retention with its interval at each look, the species recognised, and what the exported weights keep."""
    figure = open_figure(8, 4)
    axes = figure.subplots()
    axes.axhline(min_retention, color=LINE, linestyle="--", label="wanted")
    axes.axvline(watched.step_kept, color=LINE, linestyle=":", label="weights kept")
    known = [row for row in watched.found if row["retention"] is not None]
    _plot_interval(
        axes,
        [row["step"] for row in known],
        [(row["retention"], row["interval"]) for row in known],
        RETENTION,
        "retention at a look",
    )
    species = [(row["step"], row["species_recognised"]) for row in watched.found]
    shown = [(step, share) for step, share in species if share is not None]
    if shown:
        axes.plot(*zip(*shown, strict=True), "s-", color=SPECIES, markersize=4, label="species recognised")
    if exported.retention is not None and exported.interval is not None:
        beside = watched.found[-1]["step"] * 1.06
        _plot_interval(axes, [beside], [(exported.retention, exported.interval)], EXPORTED, "of the gallery")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step", color=INK)
    dress(axes)
    name_lines(axes, fontsize=8, loc="lower left")
    figure.savefig(path, metadata={"Software": None})


def _plot_interval(
    axes: Any,
    steps: Sequence[float],
    values: Sequence[tuple[float, tuple[float, float]]],
    colour: str,
    label: str,
) -> None:
    shares = [share for share, _ in values]
    below = [max(share - low, 0.0) for share, (low, _) in values]
    above = [max(high - share, 0.0) for share, (_, high) in values]
    axes.errorbar(
        steps, shares, yerr=[below, above], fmt="o-", color=colour, capsize=3, markersize=4, label=label
    )


def draw_when(watched: Watched, path: Path) -> None:
    """A row per control prompt, the first to go first, a column per look: what it drew, and whether that is seen."""
    chosen = _columns(len(watched.looks))
    pictures = [watched.looks[number].open_pictures() for number in chosen]
    tiles: list[Image.Image] = []
    labels: list[str] = []
    for prompt in watched.prompts[:SHOWN_PROMPTS]:
        for number, images in zip(chosen, pictures, strict=True):
            tiles.append(images[prompt["prompt_id"]])
            step = watched.looks[number].step
            seen = "seen" if prompt["recognised"][number] else f"like {prompt['nearest'][number]}"
            labels.append(f"step {step}\n{seen}" if step else f"{prompt['text']}\nbase model: {seen}")
    sheet = contact_sheet(tiles, columns=len(chosen), labels=labels, tile_px=TILE_PX, ground=GROUND)
    save_webp(sheet, path)


def _columns(count: int) -> list[int]:
    """Which looks are shown: all, or as many as fit, the first and the last among them."""
    shown = min(count, MOST_COLUMNS)
    return [round(place * (count - 1) / max(shown - 1, 1)) for place in range(shown)]
