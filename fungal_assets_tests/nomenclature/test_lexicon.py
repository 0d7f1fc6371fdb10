import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.lexicon import compile_lexicon, read_lexicon, read_names
from fungal_assets.nomenclature.tables import shipped_names


def test_the_lexicon_comes_back_as_it_was_compiled(growth):
    lexicon = read_lexicon(growth.name_lexicon)
    assert lexicon.names == shipped_names()
    assert lexicon.words["amber"].part == "colour"
    assert "orange" in lexicon.words["amber"].colours
    assert lexicon.words["bonnet"].part == "head"


def test_a_users_names_are_added_and_their_unknown_words_tagged_by_place(tmp_path):
    (tmp_path / "own.csv").write_text(
        "common_name,scientific_name\nZebra’s Quirky  Flumph,Flumphus zebrinus\n"
    )
    figures = compile_lexicon(tmp_path, extra_names=str(tmp_path / "own.csv"))
    lexicon = read_lexicon(tmp_path)
    assert figures["extra"] == 1
    parts = {word: lexicon.words[word].part for word in ("zebra's", "quirky", "flumph")}
    assert parts == {"zebra's": "possessive", "quirky": "quality", "flumph": "head"}


def test_bad_rows_of_a_users_table_are_all_named_by_line(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("common_name,scientific_name\nfine cap,Finus bonus\n123,Finus malus\nother cap,finus\n")
    with pytest.raises(InputError, match=r"2 bad entries.*line 3.*'123'.*line 4.*'finus'"):
        read_names(path)


def test_a_missing_table_is_refused_by_its_path(tmp_path):
    with pytest.raises(InputError, match="nowhere.csv cannot be read"):
        read_names(tmp_path / "nowhere.csv")
