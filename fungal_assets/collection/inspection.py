"""A look at every candidate of a source, going on where a stopped run was, whatever it was that stopped it.

Belongs here: in what order and in which process looks are taken. A single look is in `looking`, keeping them in
`journal`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from fungal_assets.collection.guarding import Guarded, ProcessDiedError, guard
from fungal_assets.collection.journal import PART_LOOKS, Journal, KnownLooks
from fungal_assets.collection.looking import Limits, Look, look_at
from fungal_assets.collection.parallel import MAX_THREADS, map_in_order
from fungal_assets.collection.sources import Candidate, Fault, Source
from fungal_assets.progress import Ticker

DEADLY = "deadly"
"""Reason of what killed the process that looked at it; kept, but looked at anew in the next collection."""
_MOST_AT_WORK = PART_LOOKS + 2 * MAX_THREADS
"""Looks that may not be on disk when a process is killed."""
LookAt = Callable[[Candidate, Limits], Look]


def look_at_all(
    source: Source,
    folder: Path,
    limits: Limits,
    ticker: Ticker,
    known: KnownLooks | None = None,
    look_at: LookAt = look_at,
) -> Journal:
    """The looks at all candidates of a source, those that `folder` keeps and those that are known taken from there.

    Where the process of the last run was killed, what it may have been looking at then is looked at in a process of its
    own: what kills or stops that one is a reject, and not the end of every run.

    What Pillow itself calls a decompression bomb (over 89 megapixels) is refused whatever the limits: here, and not by
    each look, since filters of warnings are those of all threads.
    """
    journal = Journal(folder)
    done = len(journal)
    unseen = itertools.islice(source.candidates(), done, None)
    with (
        warnings.catch_warnings(),
        _mark(folder / "at_work") as was_killed,
        guard(functools.partial(_look_strictly, limits, look_at)) as guarded,
    ):
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        suspects = itertools.islice(unseen, _MOST_AT_WORK if was_killed else 0)
        carefully = functools.partial(_look, known=known, guarded=guarded, look_at=None)
        freely = functools.partial(
            _look, known=known, guarded=guarded, look_at=lambda candidate: look_at(candidate, limits)
        )
        looks = itertools.chain(map(carefully, suspects), map_in_order(freely, unseen))
        for number, look in enumerate(looks, done + 1):
            journal.add(look)
            ticker.tick(number)
    journal.flush()
    return journal


@contextmanager
def _mark(path: Path) -> Iterator[bool]:
    """A file that stays where the block is killed or broken off by hand; whether it had stayed."""
    had_stayed = path.exists()
    path.touch()
    try:
        yield had_stayed
    except Exception:
        path.unlink()
        raise
    path.unlink()


def _look(
    candidate: Candidate,
    *,
    known: KnownLooks | None,
    guarded: Guarded[Candidate, Look],
    look_at: Callable[[Candidate], Look] | None,
) -> Look:
    """A look that is known, or by `look_at`, or guarded where there is none and at what has killed before."""
    found = None
    if known and candidate.fault is None:
        found = known.find(hashlib.sha256(candidate.data).hexdigest())
    is_deadly = found is not None and found.fault is not None and found.fault.reason == DEADLY
    if found and not is_deadly:
        return dataclasses.replace(found, origin=candidate.origin, is_known=True)
    if look_at and not is_deadly:
        return look_at(candidate)
    try:
        return guarded(candidate)
    except ProcessDiedError as died:
        sha256 = hashlib.sha256(candidate.data).hexdigest()
        return Look(candidate.origin, sha256, Fault(DEADLY, f"looking at it {died}"))


def _look_strictly(limits: Limits, look_at: LookAt, candidate: Candidate) -> Look:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return look_at(candidate, limits)
