import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.tables import (
    PARTS,
    read_csv,
    shipped_names,
    shipped_stems,
    shipped_words,
    stopwords,
)


def test_the_shipped_table_holds_three_hundred_real_names_each_once():
    names = shipped_names()
    assert len(names) >= 300
    assert (
        len({name.common_name for name in names})
        == len(names)
        == len({name.scientific_name for name in names})
    )
    assert {"fly agaric", "death cap", "penny bun"} <= {name.common_name for name in names}


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
