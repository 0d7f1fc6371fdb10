"""What is counted, on rows whose figures are known by hand."""

from fungal_assets.dataset.contents import (
    SAMPLES,
    CaptionStatistics,
    count_credits,
    count_splits,
    pick_samples,
)


def texts(**species):
    """Rows by id: `cap=3` are three of the species `cap`."""
    return {
        f"{name}-{number:02d}": {"species_id": name, "caption": f"a {name}, {number}"}
        for name, count in species.items()
        for number in range(count)
    }


def test_samples_are_the_first_of_each_species_in_turn_and_none_that_is_held_out():
    rows = texts(bolete=9, cap=9, morel=2)
    held_out = frozenset({"bolete-00", "morel-01"})
    chosen = pick_samples(rows, held_out)
    assert list(chosen)[:4] == ["bolete-01", "cap-00", "morel-00", "bolete-02"]
    assert len(chosen) == SAMPLES and not held_out & chosen.keys()
    assert chosen["cap-00"] == "a cap, 0"


def test_fewer_pictures_than_samples_are_all_shown():
    assert len(pick_samples(texts(cap=3), frozenset({"cap-01"}))) == 2


def test_splits_are_counted_by_species_and_an_empty_one_is_left_out():
    rows = texts(bolete=3, cap=2)
    assert count_splits(rows, frozenset({"cap-00"})) == {"train": {"bolete": 3, "cap": 1}, "test": {"cap": 1}}
    assert count_splits(rows, frozenset()) == {"train": {"bolete": 3, "cap": 2}}


def test_credits_are_counted_by_source_and_licence():
    rows = [
        {"source": "a", "licence": "MIT"},
        {"source": "a", "licence": None},
        {"source": "a", "licence": "MIT"},
    ]
    assert count_credits(rows) == {("a", "MIT"): 2, ("a", "unknown"): 1}


def test_captions_are_measured_by_words_characters_texts_and_attributes():
    rows = [
        {
            "image_id": "0",
            "caption": "a Cap, brown",
            "habitat": "in moss",
            "colour_names": [],
            "is_wet": True,
        },
        {"image_id": "1", "caption": "a cap", "habitat": None, "colour_names": ["red"], "is_wet": False},
        {"image_id": "2", "caption": "a cap", "habitat": "in moss", "colour_names": ["red"], "is_wet": True},
    ]
    found = CaptionStatistics.of(rows)
    assert found.distinct == 2 and found.vocabulary == 3
    assert found.words == (2, 2, 3) and found.characters == (5, 5, 12)
    assert found.told == {"habitat": 2, "colour_names": 2}
    assert found.habitats == {"in moss": 2} and found.habitats_told == 0
    assert CaptionStatistics.of([row | {"is_habitat_told": row["is_wet"]} for row in rows]).habitats_told == 2


def test_no_captions_have_no_spread():
    assert CaptionStatistics.of([]).words == (0, 0, 0)
