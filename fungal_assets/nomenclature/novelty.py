"""Whether a name is new: not a real one, and not so near to one that a reader would take it for it.

Nearness is the edit distance of Levenshtein (1966): the least number of letters put in, left out or changed.
Belongs here: the distance and the test. Making names does not.
"""

from __future__ import annotations

from collections.abc import Iterable

LEAST_EDITS = 3


def edit_distance(first: str, second: str, *, limit: int) -> int:
    """Edits between two texts, or `limit` if there are that many or more."""
    if abs(len(first) - len(second)) >= limit:
        return limit
    row = list(range(len(second) + 1))
    for index, letter in enumerate(first, 1):
        above, row = row, [index]
        for place, other in enumerate(second, 1):
            row.append(min(row[-1] + 1, above[place] + 1, above[place - 1] + (letter != other)))
        if min(row) >= limit:
            return limit
    return min(row[-1], limit)


def nearest_known(name: str, known: Iterable[str]) -> str | None:
    """A known name within two edits of `name`, cases ignored, or None if it is new."""
    lower = name.lower()
    for other in known:
        if edit_distance(lower, other.lower(), limit=LEAST_EDITS) < LEAST_EDITS:
            return other
    return None
