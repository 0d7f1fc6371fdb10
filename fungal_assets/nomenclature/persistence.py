"""Which clusters of an earlier growth persist in this one, so that a species keeps its name while a collection grows.

Clusters are compared by their members, those images left out that only one of the growths had: what was added or
taken away says nothing about what is the same. The likeness of two clusters is that of Jaccard (1912), members in
common over members of either, and pairs are assigned so that its sum is greatest (Kuhn 1955, the Hungarian method); a
pair less like than `LEAST_OVERLAP` is none. So of a cluster that split the greater part goes on, of several that
merged the greatest, and where neither has half, none. Belongs here: the matching. What a name must be to be kept does
not (`species`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

LEAST_OVERLAP = 0.5
_Before = TypeVar("_Before", bound=Hashable)
_Now = TypeVar("_Now", bound=Hashable)


def match_clusters(
    before: Mapping[_Before, frozenset[str]], now: Mapping[_Now, frozenset[str]]
) -> dict[_Now, _Before]:
    """The earlier cluster that each present one goes on from; those that go on from none are left out.

    Args:
        before: Ids of the members of the earlier clusters.
        now: Those of the present ones.
    """
    from scipy.optimize import linear_sum_assignment

    shared = frozenset().union(*before.values()) & frozenset().union(*now.values())
    overlaps = np.array(
        [[_jaccard(old & shared, new & shared) for new in now.values()] for old in before.values()]
    ).reshape(len(before), len(now))
    olds, news = list(before), list(now)
    pairs = zip(*linear_sum_assignment(overlaps, maximize=True), strict=True)
    return {news[new]: olds[old] for old, new in pairs if overlaps[old, new] >= LEAST_OVERLAP}


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Members in common over members of either, 0 where both are empty."""
    either = first | second
    return len(first & second) / len(either) if either else 0.0
