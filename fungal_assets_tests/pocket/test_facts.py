"""What the judge's texts say is true of the pictures that they are right for, and of no others."""

from __future__ import annotations

import numpy as np
import pytest

from fungal_assets.pocket.facts import (
    Facts,
    facts_of_drawing,
    facts_of_fungus,
    is_right,
    say,
    truths,
    word_fungus,
)
from fungal_assets.pocket.fungarium import MORPHOTYPES, sample_traits
from fungal_assets.pocket.world import WORLD_CONCEPTS
from fungal_assets.words import with_article

RED_MOREL = Facts(("morel mushroom", "morel"), "a", "red", "in moss", "side view")
RED_CUP = Facts(("cup fungus", "elf cup"), "a", "red", "in snow", "side view")
APPLE = Facts(("apple", "fruit"), "an")


def test_a_text_is_right_for_all_that_it_is_true_of_and_for_nothing_else():
    """By hand: the first text says the thing, the second thing and colour, the third colour and view."""
    brown_morel = Facts(RED_MOREL.thing, "a", "brown", "in moss", "seen from above")
    truth = truths([RED_MOREL, brown_morel, RED_CUP])
    said = np.array(
        [
            [True, False, False, False, False],
            [True, False, True, False, False],
            [False, False, True, False, True],
        ]
    )
    expected = np.array([[True, False, True], [True, True, False], [False, False, True]])
    np.testing.assert_array_equal(is_right(truth, said), expected)


def test_what_cannot_be_said_of_a_picture_is_not_taken_for_what_can_be_said_of_others():
    truth = truths([APPLE, RED_MOREL])
    says_all = np.ones((2, 5), bool)
    np.testing.assert_array_equal(is_right(truth, says_all), np.eye(2, dtype=bool))
    assert truth[0, 2:].tolist() == [-1, -1, -1] and (truth[1] >= 0).all()


@pytest.mark.parametrize("facts", [RED_MOREL, RED_CUP, APPLE], ids=["morel", "cup", "apple"])
def test_a_text_says_what_its_flags_say_and_is_right_for_its_own_picture(facts):
    rng, texts = np.random.default_rng(0), set()
    for _ in range(200):
        text, said = say(facts, rng)
        texts.add(text)
        assert any(name in text for name in facts.thing) and said[0] and not said[1]
        parts = (facts.color, facts.place, facts.view)
        for part, is_said in zip(parts, said[2:], strict=True):
            assert is_said == (part is not None and part in text)
        assert is_right(truths([facts]), np.array([said]))[0, 0]
    assert len(texts) >= 8
    assert any(facts.thing[1] in text and facts.thing[0] not in text for text in texts), "synonyms are used"
    assert not any(f"a {name}" in text for name in ("apple", "elf") for text in texts)


def test_the_same_chance_says_the_same():
    assert say(RED_MOREL, np.random.default_rng(5)) == say(RED_MOREL, np.random.default_rng(5))


@pytest.mark.parametrize("morphotype", MORPHOTYPES)
def test_the_facts_of_a_fungus_are_its_traits(morphotype):
    traits = sample_traits(11, morphotype=morphotype, habitat="dark_room", view="seen from above")
    facts = facts_of_fungus(traits)
    assert facts.color == traits.cap_color and facts.view == "seen from above"
    assert facts.place == "on a black background"
    assert facts_of_fungus(traits, is_snapshot=True).place == "on a table"


def test_every_form_has_names_of_its_own():
    names = [facts_of_fungus(sample_traits(1, morphotype=name)).thing for name in MORPHOTYPES]
    flat = [one for thing in names for one in thing]
    assert len(set(flat)) == len(flat)


def test_a_drawing_is_called_by_its_name_or_a_synonym():
    concept = next(one for one in WORLD_CONCEPTS if one.name == "father christmas")
    facts = facts_of_drawing(concept)
    assert facts.thing == ("father christmas", "santa") and facts.article == ""
    assert (facts.color, facts.place, facts.view) == (None, None, None)


def test_texts_of_fungi_read_as_captions_do():
    text = word_fungus("morel mushroom", color="orange", place="in moss", view="side view")
    assert text == "a photo of an orange morel mushroom, in moss, side view"
    assert word_fungus("ink cap") == "a photo of an ink cap"
    assert with_article("oyster mushroom") == "an oyster mushroom"
