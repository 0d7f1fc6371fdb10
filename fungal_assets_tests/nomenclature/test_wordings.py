"""The grammar of wordings: many, distinct, true to what is known, the same again."""

import re
from dataclasses import replace

import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.attributes import Attributes
from fungal_assets.nomenclature.wordings import MOST_WORDINGS, OPENING, word_class, word_image

FULL = Attributes(
    ("brown", "white"), "small", "in moss", "a group", "from afar", "side view", "in dim light", False
)
BARE = Attributes(("red",), None, None, None, None, None, "in soft light", False)
DARK = Attributes(("grey",), None, "on a black background", None, "up close", None, "in dim light", False)
NAME, SNAPSHOT = "amber hollow bonnet", "a snapshot of"
KNOWN = {"full": FULL, "bare": BARE, "dark": DARK}
ATTRIBUTES = "red|brown|white|grey|moss|black background|afar|close|group|side view|dim|soft"


def named(attributes, number=0, *, opening=OPENING, count=MOST_WORDINGS, seed=0, **settings):
    return word_image(
        NAME, "mushroom", attributes, f"id{number}", opening=opening, count=count, seed=seed, **settings
    )


def nameless(attributes, number=0, *, opening=OPENING, count=MOST_WORDINGS, seed=0, noun="mushroom"):
    return word_class(noun, attributes, f"id{number}", opening=opening, count=count, seed=seed)


@pytest.mark.parametrize("opening", [OPENING, SNAPSHOT])
@pytest.mark.parametrize("attributes", KNOWN.values(), ids=KNOWN)
def test_there_are_as_many_distinct_wordings_as_are_asked_for(attributes, opening):
    for number in range(60):
        for texts in (
            named(attributes, number, opening=opening),
            nameless(attributes, number, opening=opening),
        ):
            assert len(set(texts)) == len(texts) == MOST_WORDINGS
    assert len(named(attributes, count=3)) == 3 and nameless(attributes, count=0) == []


@pytest.mark.parametrize("attributes", KNOWN.values(), ids=KNOWN)
def test_a_wording_says_the_name_and_nothing_that_was_not_measured(attributes):
    known = " ".join([*attributes.colour_names, str(attributes.habitat), str(attributes.closeness)])
    known += f" {attributes.view} {attributes.light} {attributes.count}"
    for number in range(60):
        for text in named(attributes, number):
            assert f"{NAME} mushroom" in text
            assert set(re.findall(ATTRIBUTES, text)) <= set(re.findall(ATTRIBUTES, known))
        for text in nameless(attributes, number):
            assert NAME not in text and re.search(r"mushroom|fung(us|i)", text)
            assert set(re.findall(ATTRIBUTES, text)) <= set(re.findall(ATTRIBUTES, known))


def test_the_first_wording_is_the_fullest():
    said = set()
    for number in range(60):
        first, *others = named(FULL, number)
        assert set(re.findall(ATTRIBUTES, first)) == {"brown", "white", "moss", "afar", "group", "side view"}
        said |= {len(re.findall(ATTRIBUTES, text)) for text in others}
    assert said >= {2, 3, 4, 5, 6}, "attributes are left away"


def test_a_view_is_said_in_most_wordings_and_left_away_in_others():
    texts = [text for number in range(60) for text in (*named(FULL, number)[1:], *nameless(FULL, number))]
    share = sum("side view" in text for text in texts) / len(texts)
    assert 0.3 < share < 0.8


def test_wordings_differ_in_more_than_their_order():
    texts = [text for number in range(60) for text in named(FULL, number)[1:]]
    for pattern in (
        rf"^{OPENING} a group of brown and white {NAME}",
        r" with brown and white colours",
        r"^in moss, ",
        r" growing in moss",
        r"; they are brown and white and grow in moss$",
        r"; they grow in moss$",
    ):
        assert sum(bool(re.search(pattern, text)) for text in texts) >= 5, pattern


def test_what_is_seen_from_above_is_not_said_to_be_seen_twice():
    above = replace(FULL, view="seen from above")
    texts = [text for number in range(60) for text in named(above, number)]
    assert any("it is" in text or "they" in text for text in texts)
    assert max(text.count("seen") for text in texts) == 1
    assert any("seen from afar" in text for number in range(60) for text in named(FULL, number))


def test_a_group_is_said_in_the_plural_and_one_in_the_singular():
    assert all(f"{NAME} mushrooms" in text for text in named(FULL)[1:])
    assert not any("mushrooms" in text or "they" in text for text in named(BARE))
    assert any(text == "fungi in moss" for number in range(60) for text in nameless(FULL, number))
    assert any(text in ("a mushroom", "a fungus") for number in range(60) for text in nameless(BARE, number))


@pytest.mark.parametrize(
    ("name", "class_noun", "said"),
    [
        pytest.param("amber hollow tooth", "", "an amber hollow tooth in a group", id="tooth"),
        pytest.param("amber hollow tooth", "tooth", "an amber hollow tooth in a group", id="its own noun"),
        pytest.param("amber woollyfoot", "", "an amber woollyfoot in a group", id="woollyfoot"),
        pytest.param("amber hollow fungus", "fungus", "an amber hollow fungus in a group", id="fungus"),
        pytest.param("amber jelly", "", "an amber jelly in a group", id="jelly"),
        pytest.param("amber hollow bonnet", "", "a group of amber hollow bonnets", id="bonnet"),
        pytest.param("amber hollow tooth", "fungus", "a group of amber hollow tooth fungi", id="noun behind"),
    ],
)
def test_a_name_is_kept_whole_in_the_plural(name, class_noun, said):
    settings = {"opening": OPENING, "count": MOST_WORDINGS, "seed": 0}
    texts = [text for id_ in "abcdefgh" for text in word_image(name, class_noun, FULL, id_, **settings)]
    assert all(name in text for text in texts)
    assert any(f"{OPENING} {said}" in text for text in texts)
    assert sum("group" in text for text in texts) == len(texts)


def test_nothing_grows_on_a_black_background():
    texts = [text for number in range(60) for text in (*named(DARK, number), *nameless(DARK, number))]
    assert not any("grow" in text for text in texts)
    assert any("on a black background" in text for text in texts)


def test_every_wording_of_clutter_is_a_snapshot():
    for number in range(60):
        for text in (*named(FULL, number, opening=SNAPSHOT), *nameless(FULL, number, opening=SNAPSHOT)):
            assert SNAPSHOT in text and OPENING not in text


def test_the_same_id_and_seed_give_the_same_wordings():
    assert named(FULL, 3) == named(FULL, 3) != named(FULL, 4)
    assert named(FULL, 3, seed=1) != named(FULL, 3)
    assert named(FULL, 3, count=3) == named(FULL, 3)[:3]


def test_what_a_captioner_says_is_the_second_wording():
    texts = named(FULL, described="a mushroom on a table", count=4)
    assert texts[1] == f"{OPENING} an {NAME} mushroom, a mushroom on a table" and len(texts) == 4


def test_without_a_class_noun_the_class_is_fungus():
    assert all(re.search(r"fung(us|i)", text) for text in nameless(FULL, noun=""))


def test_more_wordings_than_there_are_is_an_error_that_says_so():
    with pytest.raises(InputError, match=r"image 'id0' has only \d+ distinct wordings, 500 were asked for"):
        named(BARE, count=500)
