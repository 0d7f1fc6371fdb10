"""A byte-pair vocabulary learnt from captions, the same for the same texts.

Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) joins the most frequent pair of neighbouring pieces again
and again. Written here because the trainer of the library `tokenizers` breaks ties by the order of a hash map: two runs
on one text gave two numberings, and a resumed training would read other words than it had learnt. Here a tie goes to
the pair that comes first in the alphabet.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

END_OF_WORD = "</w>"
Pair = tuple[str, str]


def learn_merges(word_counts: Counter[tuple[str, ...]], *, merges: int, least_count: int = 2) -> list[Pair]:
    """The first `merges` joins, most frequent first.

    Args:
        word_counts: How often each word occurs; a word is its characters, the last with `END_OF_WORD`.
        merges: The most joins to learn.
        least_count: A pair that occurs less often is not joined.
    """
    words = {index: (list(word), count) for index, (word, count) in enumerate(sorted(word_counts.items()))}
    counts: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for index, (word, count) in words.items():
        for pair in pairs_of(word):
            counts[pair] += count
            places[pair].add(index)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    learnt: list[Pair] = []
    while heap and len(learnt) < merges:
        negative, pair = heapq.heappop(heap)
        if -negative != counts[pair] or counts[pair] < least_count:
            continue
        learnt.append(pair)
        changed: set[Pair] = set()
        for index in sorted(places[pair]):
            word, count = words[index]
            joined = join_pair(word, pair)
            for old in pairs_of(word):
                counts[old] -= count
                changed.add(old)
            for new in pairs_of(joined):
                counts[new] += count
                places[new].add(index)
                changed.add(new)
            words[index] = (joined, count)
        for other in changed:
            if counts[other] > 0:
                heapq.heappush(heap, (-counts[other], other))
    return learnt


def pairs_of(word: Sequence[str]) -> list[Pair]:
    """The neighbouring pieces of a word."""
    return list(zip(word, word[1:], strict=False))


def join_pair(word: Sequence[str], pair: Pair) -> list[str]:
    """The word with every occurrence of the pair made one piece, from left to right."""
    joined: list[str] = []
    for piece in word:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def count_words(words: Iterable[str]) -> Counter[tuple[str, ...]]:
    """How often each word occurs, as characters with the end marked."""
    return Counter((*word[:-1], word[-1] + END_OF_WORD) for word in words if word)
