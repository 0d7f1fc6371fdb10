"""What sources say of places, in the words of captions."""

import pytest

from fungal_assets.nomenclature.places import word_place


@pytest.mark.parametrize(
    ("habitat", "substrate", "words"),
    [
        pytest.param(None, "rotting log", "on a log", id="known noun"),
        pytest.param("deciduous forest", "Moss on oak logs", "on a log", id="log before moss"),
        pytest.param("Grassland", None, "in a field", id="habitat alone"),
        pytest.param("Oak woodland", None, "in oak woodland", id="said as it is"),
        pytest.param("meadow", "cow dung", "on cow dung", id="substrate first"),
        pytest.param("under Betula", None, "under Betula", id="own preposition"),
        pytest.param("oak woodland; roadside", None, "in oak woodland", id="first clause"),
        pytest.param("dunes", "unknown", "in sand", id="unknown substrate"),
        pytest.param("catalogue", None, "in catalogue", id="no part of a word"),
        pytest.param("forest", "not on wood", "in forest", id="negated"),
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
        "<b>wood</b>",
        "https://a.example/1",
        "{'a': 1}",
        "a long remark about the walk of that day and the weather",
        "3",
    ],
)
def test_what_is_not_plain_is_left_out(text):
    assert word_place(habitat=text, substrate=text) is None
