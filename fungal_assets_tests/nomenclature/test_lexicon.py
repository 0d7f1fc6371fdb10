import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.bad_lines import check_every_line_is_used, read_bad_lines
from fungal_assets.nomenclature.lexicon import EXTRA, compile_lexicon, read_lexicon, read_names
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


def test_bad_lines_of_a_users_table_are_all_named(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("common_name,scientific_name\nfine cap,Finus bonus\n123,Finus malus\nother cap,finus\n")
    good, bad = read_names(path)
    assert [name.common_name for name in good] == ["fine cap"]
    assert [str(one) for one in bad] == [
        "own.csv line 3: common_name '123' is not plain English words",
        "own.csv line 4: scientific_name 'finus' is not a genus and an epithet",
    ]


def test_good_lines_beside_bad_ones_are_used_and_nothing_is_lost(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "common_name,scientific_name,family\n"
        "quirky flumph,Flumphus bonus,Flumphaceae\n"
        "other cap,Flumphus malus,Flumphs\n"
        "fly agaric,Amanita muscaria,Amanitaceae\n"
    )
    told: list[str] = []
    figures = compile_lexicon(tmp_path, extra_names=str(path), tell=told.append)
    assert (figures["extra"], figures["extra_known_already"], figures["bad_lines"]) == (1, 1, 1)
    assert read_lexicon(tmp_path).names[-1].source == EXTRA
    assert [one.line for one in read_bad_lines(tmp_path)] == [3]
    assert any("own.csv line 3: family 'Flumphs' does not end in -aceae" in line for line in told)
    verdict = check_every_line_is_used(tmp_path)
    assert not verdict.passed and "own.csv line 3" in verdict.finding


def test_a_table_without_a_good_line_is_refused_with_every_line(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("common_name,scientific_name\n123,Finus malus\nother cap,finus\n")
    with pytest.raises(InputError, match=r"no line that can be used: .*line 2.*'123'.*line 3.*'finus'"):
        read_names(path)
    path.write_text("common_name,scientific_name\n")
    with pytest.raises(InputError, match="it is empty"):
        read_names(path)


def test_without_a_table_no_line_is_left_out(growth):
    assert check_every_line_is_used(growth.name_lexicon).passed


def test_a_missing_table_is_refused_by_its_path(tmp_path):
    with pytest.raises(InputError, match="nowhere.csv cannot be read"):
        read_names(tmp_path / "nowhere.csv")
