"""Progress of long work, told through a plain callback at a bearable rate.

Pure code gets `tell: Tell` and calls it with a done count, a total and optional figures; it never sees Dagster.
The Dagster layer passes a callback that logs and, where there are figures, draws a curve on the asset page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

Tell = Callable[[str], None]
OnStep = Callable[[int, Mapping[str, float]], None]
"""Hears of a step done: its number, from 1, and its figures."""
Item = TypeVar("Item")


def stay_silent(_: str) -> None:
    """Tell nobody; the default of every `tell` argument."""


def ignore_step(_step: int, _figures: Mapping[str, float]) -> None:
    """Do nothing with a step; the default of every `on_step` argument."""


class Ticker:
    """Says how far a piece of work is, with the time that is left, at most every few seconds.

    Args:
        tell: Where a line goes.
        label: What is being done, such as `"training"`.
        total: How many items there are in all.
        every_s: The least time between two lines, in seconds.
        done: Items that an earlier run has done already.
    """

    def __init__(self, tell: Tell, label: str, total: int, *, every_s: float = 5.0, done: int = 0):
        self._tell, self._label, self._total, self._every_s = tell, label, total, every_s
        self._start_s, self._first, self._last_s = time.monotonic(), done, float("-inf")

    def tick(self, done: int, figures: Mapping[str, float] | None = None) -> bool:
        """Tell that `done` items are done; returns whether a line was due and told."""
        now_s = time.monotonic()
        if now_s - self._last_s < self._every_s and done < self._total:
            return False
        self._last_s = now_s
        spent_s = now_s - self._start_s
        left_s = spent_s / max(done - self._first, 1) * (self._total - done)
        notes = "".join(f", {name} {value:.4g}" for name, value in (figures or {}).items())
        self._tell(f"{self._label}: {done} of {self._total}, {left_s:.0f} s left{notes}")
        return True


def follow(items: Iterable[Item], tell: Tell, label: str, total: int) -> Iterator[Item]:
    """Yield the items and tell how far the loop over them is."""
    ticker = Ticker(tell, label, total)
    for done, item in enumerate(items, 1):
        yield item
        ticker.tick(done)
