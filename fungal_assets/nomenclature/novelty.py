"""Whether a name is new: not a real one, and not so near to one that a reader would take it for it.

Nearness is the edit distance of Levenshtein (1966): the least number of letters put in, left out or changed. Real
names are looked up by their pieces: of a name cut in three, two edits leave one piece whole, and at most two letters
from where it stood (Li, Deng, Wang and Feng 2011, "Pass-Join", PVLDB 5). Belongs here: the distance, the look-up and
the test. Making names does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LEAST_EDITS = 3
_MOST_EDITS = LEAST_EDITS - 1


def edit_distance(first: str, second: str, *, limit: int) -> int:
    """Edits between two texts, or `limit` if there are that many or more."""
    if abs(len(first) - len(second)) >= limit:
        return limit
    first, second = _differing(first, second)
    row = list(range(len(second) + 1))
    for index, letter in enumerate(first, 1):
        above, row = row, [index]
        for place, other in enumerate(second, 1):
            row.append(min(row[-1] + 1, above[place] + 1, above[place - 1] + (letter != other)))
        if min(row) >= limit:
            return limit
    return min(row[-1], limit)


def _differing(first: str, second: str) -> tuple[str, str]:
    """Both without the letters that they begin and end with alike, which cost no edit."""
    shorter = min(len(first), len(second))
    start = next((at for at in range(shorter) if first[at] != second[at]), shorter)
    left = shorter - start
    same = next((back for back in range(left) if first[-1 - back] != second[-1 - back]), left)
    return first[start : len(first) - same], second[start : len(second) - same]


class KnownNames:
    """Names that are taken, to be asked which of them is near to another; cases are ignored.

    Args:
        names: The taken names.
    """

    def __init__(self, names: Iterable[str]):
        self._names = list(dict.fromkeys(names))
        self._by_piece: dict[tuple[int, int, str], list[int]] = {}
        for number, name in enumerate(self._names):
            for place, (start, end) in enumerate(_cuts(len(name))):
                self._by_piece.setdefault((len(name), place, name[start:end].lower()), []).append(number)

    def nearest(self, name: str) -> str | None:
        """The nearest taken name within two edits, the first given of several, or None if `name` is new."""
        lower = name.lower()
        found = {number for key in _keys(lower) for number in self._by_piece.get(key, ())}
        told = (
            (edit_distance(lower, self._names[number].lower(), limit=LEAST_EDITS), number) for number in found
        )
        edits, number = min(told, default=(LEAST_EDITS, 0))
        return self._names[number] if edits < LEAST_EDITS else None


def _cuts(length: int) -> list[tuple[int, int]]:
    """Where a text of that length is cut into one piece more than the edits that could spoil one."""
    bounds = [length * piece // LEAST_EDITS for piece in range(LEAST_EDITS + 1)]
    return list(zip(bounds, bounds[1:], strict=False))


def _keys(name: str) -> Iterator[tuple[int, int, str]]:
    """Every piece that a name within two edits could have left whole in `name`.

    A piece is moved by no more edits than there are pieces before it, and from the end by no more than are behind it:
    with more of them on one side, a piece on the other side is whole as well.
    """
    for length in range(max(0, len(name) - _MOST_EDITS), len(name) + _MOST_EDITS + 1):
        longer = len(name) - length
        for place, (start, end) in enumerate(_cuts(length)):
            behind = _MOST_EDITS - place
            for shift in range(max(-place, longer - behind), min(place, longer + behind) + 1):
                if start + shift >= 0 and end + shift <= len(name):
                    yield length, place, name[start + shift : end + shift]
