"""The vocabulary: the most frequent pair first, ties by the alphabet, the same for the same texts."""

from collections import Counter

from fungal_assets.pocket.architecture import train_tokenizer
from fungal_assets.pocket.vocabulary import count_words, join_pair, learn_merges

TEXTS = ["a red cap on a log", "a red bell on a log", "the red cup", "red cap"] * 2


def naive_merges(word_counts, merges):
    """The definition, with everything counted afresh for each join."""
    words, learnt = {word: count for word, count in word_counts.items()}, []
    for _ in range(merges):
        counts = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:], strict=False):
                counts[pair] += count
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            return learnt
        learnt.append(best)
        joined = Counter()
        for word, count in words.items():
            joined[tuple(join_pair(word, best))] += count
        words = joined
    return learnt


def test_merges_are_those_of_the_definition():
    words = count_words(word for text in TEXTS for word in text.split())
    assert learn_merges(words, merges=40) == naive_merges(words, 40)


def test_the_same_texts_give_the_same_vocabulary():
    one, two = (train_tokenizer(TEXTS, vocabulary=600) for _ in range(2))
    assert one.get_vocab() == two.get_vocab()
    assert one("a red bell").input_ids == two("a red bell").input_ids


def test_frequent_words_are_one_token_each():
    tokenizer = train_tokenizer(TEXTS, vocabulary=600)
    assert len(tokenizer("a red cap on a log").input_ids) == 6 + 2
