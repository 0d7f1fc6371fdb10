"""What sources say of places, in the words of captions."""

import pytest

from fungal_assets.nomenclature.places import word_place


@pytest.mark.parametrize(
    ("habitat", "substrate", "words"),
    [
        pytest.param(None, "rotting log", "on a log", id="known noun"),
        pytest.param("deciduous forest", "Moss on oak logs", "on a log", id="log before moss"),
        pytest.param("Grassland", None, "in a field", id="habitat alone"),
        pytest.param("Oak woodland", None, "in woodland", id="noun of the vocabulary"),
        pytest.param("meadow", "cow dung", "on dung", id="substrate first"),
        pytest.param("under Betula in a garden", None, "in a garden", id="preposition"),
        pytest.param("oak woodland; roadside", None, "on a roadside", id="nearer one first"),
        pytest.param("dunes", "unknown", "in sand", id="unknown substrate"),
        pytest.param("forest", "not on wood", "in a forest", id="negated"),
        pytest.param("wood", "Hardwood", "on wood", id="wood as a substrate"),
        pytest.param(None, "dead wood", "on dead wood", id="dead wood"),
        pytest.param(None, "moss-covered stump", "on a stump", id="no half of a compound"),
        pytest.param("forest floor near Anna Smith's house", None, "in a forest", id="a person left out"),
        pytest.param(None, "bark mulch", "on wood chips", id="mulch of bark"),
        pytest.param("beech woods, leg. Anna Smith", None, "in woodland", id="a collector left out"),
        pytest.param("on Anna's lawn", None, "in a field", id="an owner left out"),
        pytest.param("lawn / car park", None, "in a field", id="lawn by a car park"),
    ],
)
def test_what_a_source_says_becomes_a_place(habitat, substrate, words):
    assert word_place(habitat=habitat, substrate=substrate) == words


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "  ",
        "n/a",
        "forest?",
        "51.2 N, 4.3 E",
        "<b>bush</b>",
        "https://a.example/1",
        "{'a': 1}",
        "a long remark about the walk of that day and the weather",
        "3",
        "Wald",
        "catalogue",
        "Found by Anna Smith",
        "collected by Sally Field",
        "ask owner",
        "Field trip with school",
        "log book",
        "car park",
        "Anna's house",
        "driftwood",
    ],
)
def test_a_text_without_a_noun_of_the_vocabulary_tells_nothing(text):
    assert word_place(habitat=text, substrate=text) is None


@pytest.mark.parametrize("text", ["wood", "mixed hardwood", "wood edge"])
def test_a_wood_is_no_piece_of_wood(text):
    assert word_place(habitat=text, substrate=None) is None
    assert word_place(habitat=None, substrate=text) == "on wood"


@pytest.mark.parametrize(
    "text", ["Wald", "Found by Anna Smith", "beech woods, leg. Anna Smith", "on Anna's lawn"]
)
def test_nothing_is_said_in_the_words_of_the_source(text):
    said = word_place(habitat=text, substrate=text) or ""
    assert "anna" not in said.lower() and "wald" not in said and "leg" not in said
