"""The forgetting report's scores, prompt by prompt.

Belongs here: tallying rows of `scores.parquet` for the table of the page. Judging pictures does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True)
class Tally:
    """How many of one model's pictures of a prompt were recognised, and their mean likeness to it.

    Args:
        recognised: By the judge that decides.
        pictures: How many there are.
        similarity: Their mean likeness by that judge.
        by_text: How many the second judge recognised; None where it did not judge.
    """

    recognised: int
    pictures: int
    similarity: float | None
    by_text: int | None = None

    @property
    def share(self) -> float:
        """0 to 1; 0 where no picture was judged."""
        return self.recognised / self.pictures if self.pictures else 0.0


@dataclass(frozen=True)
class ControlRow:
    """One control prompt: both models' tallies, and what the tuned model's failures look like."""

    text: str
    group: str
    base: Tally
    tuned: Tally
    taken_for: str


def tally_controls(scores: Sequence[Mapping[str, Any]]) -> list[ControlRow]:
    """One row per control prompt, the greatest loss first. Pictures that no judge could judge are left out."""
    judged = [row for row in scores if row["recognised"] is not None]
    rows = []
    for prompt_id in dict.fromkeys(row["prompt_id"] for row in judged):
        own = [row for row in judged if row["prompt_id"] == prompt_id]
        base, tuned = ([row for row in own if row["model"] == model] for model in ("base", "tuned"))
        group = own[0]["group"] or ""
        rows.append(ControlRow(own[0]["text"], group, _tally(base), _tally(tuned), _name_failures(tuned)))
    return sorted(rows, key=lambda row: (row.tuned.share - row.base.share, row.text))


def _tally(rows: Sequence[Mapping[str, Any]]) -> Tally:
    likeness = [row["similarity"] for row in rows if row["similarity"] is not None]
    second = [row["recognised_by_text"] for row in rows if row.get("recognised_by_text") is not None]
    return Tally(
        sum(row["recognised"] for row in rows),
        len(rows),
        fmean(likeness) if likeness else None,
        sum(second) if second else None,
    )


def _name_failures(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the pictures that were not recognised are most often taken for."""
    taken = Counter(row["nearest"] for row in rows if not row["recognised"] and row.get("nearest"))
    return taken.most_common(1)[0][0] if taken else ""
