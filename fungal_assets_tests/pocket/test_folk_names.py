"""Folk names say what is true, in words that species are named with."""

from __future__ import annotations

import numpy as np
import pytest

from fungal_assets.nomenclature.tables import shipped_words
from fungal_assets.pocket.fungarium import HABITATS, MORPHOTYPES, sample_traits
from fungal_assets.pocket.fungarium.folk_names import (
    PLACES,
    SPOTTED,
    TEXTURES,
    colour_words,
    head_nouns,
    name_folk,
)
from fungal_assets.pocket.fungarium.palette import COLORS


def _words(table: dict[str, str]) -> list[str]:
    return [word for words in table.values() for word in words.split()]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        pytest.param(_words(PLACES), "place", id="places"),
        pytest.param([*_words(TEXTURES), *SPOTTED.split()], "texture", id="textures"),
    ],
)
def test_every_word_is_one_that_species_are_named_with(words: list[str], part: str):
    assert [word for word in words if shipped_words()[word].part != part] == []


def test_a_head_noun_means_one_morphotype_and_nearly_every_head_noun_means_one():
    told = [word for word in shipped_words().values() if word.morphotypes]
    assert all(word.part == "head" and len(word.morphotypes) == 1 for word in told)
    untold = {word.word for word in shipped_words().values() if word.part == "head" and not word.morphotypes}
    assert untold == {"mushroom", "fungus", "aldercap"}


def test_every_morphotype_and_habitat_has_words():
    assert {name for word in shipped_words().values() for name in word.morphotypes} == set(MORPHOTYPES)
    assert all(len(head_nouns(morphotype)) >= 2 for morphotype in MORPHOTYPES)
    assert set(PLACES) == set(HABITATS)


@pytest.mark.parametrize("colour", COLORS)
def test_every_colour_has_words_and_is_one_of_them(colour: str):
    assert colour in colour_words(colour)
    assert len(colour_words(colour)) >= 3


def test_a_folk_name_is_true_of_the_traits():
    for seed in range(100):
        traits = sample_traits(seed)
        *words, head = name_folk(traits, np.random.default_rng(seed)).split()
        assert head in head_nouns(traits.morphotype)
        told = [shipped_words()[word] for word in words]
        assert [word.word for word in told if word.part == "colour"][0] in colour_words(traits.cap_color)
        assert all(word.word in PLACES[traits.habitat] for word in told if word.part == "place")
        textures = SPOTTED if traits.spots else TEXTURES[traits.texture]
        assert all(word.word in textures for word in told if word.part == "texture")
