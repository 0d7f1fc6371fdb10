"""Ten thousand names of five hundred growths, and the page in docs that shows twenty."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from fungal_assets.nomenclature.latin import Genera
from fungal_assets.nomenclature.novelty import KnownNames
from fungal_assets.nomenclature.tables import (
    real_genera,
    rude_words,
    shipped_names,
    shipped_stems,
    shipped_words,
    stopwords,
)

DOCS = Path(__file__).parents[2] / "docs"
GROWTHS, SPECIES = 500, 20
ORDER = ("possessive", "quality", "texture", "colour", "place", "animal", "object", "head")
"""Of the parts of a name, from its first word to its last."""
GENDERS = ("masculine", "feminine", "neuter")


@pytest.fixture(scope="module")
def page():
    """The module that draws names for docs/names.md."""
    spec = importlib.util.spec_from_file_location("drawn_names", DOCS / "names.py")
    module = sys.modules["drawn_names"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["drawn_names"]


@pytest.fixture(scope="module")
def growths(page):
    namer = page.Namer.shipped()
    return [list(namer.draw_growth(seed, SPECIES)) for seed in range(GROWTHS)]


@pytest.fixture(scope="module")
def drawn(growths):
    return [one for growth in growths for one in growth]


def test_no_name_is_given_twice_in_a_growth(growths):
    assert sum(map(len, growths)) == 10_000
    for growth in growths:
        for names in ([one.common_name for one in growth], [one.scientific_name for one in growth]):
            assert len(set(names)) == SPECIES


def test_none_is_real_or_nearly(drawn):
    common, genera = KnownNames(name.common_name for name in shipped_names()), Genera()
    assert not [one for one in drawn if common.nearest(one.common_name)]
    assert not [one for one in drawn if not genera.is_new(one.scientific_name.split()[0])]
    assert not {one.scientific_name.split()[0] for one in drawn} & set(real_genera())


def test_none_is_rude_in_a_word_or_over_its_spaces(drawn):
    """A rude word may stand within one harmless word only, as in `grass`."""
    for one in drawn:
        words = one.common_name.split()
        assert not set(words) & set(stopwords())
        for rude in rude_words():
            inside = sum(word.count(rude) for word in words)
            assert "".join(words).count(rude) == inside, one


def test_all_common_names_are_well_formed(drawn):
    known = shipped_words()
    for one in drawn:
        assert re.fullmatch(r"[a-z]+(?:'s|s')?(?: [a-z]+){1,2}", one.common_name), one
        *before, head = [known[word] for word in one.common_name.split()]
        places = [ORDER.index(word.part) for word in before]
        assert head.part == "head" and places == sorted(set(places)), one
        assert not head.word.endswith("s"), one
        assert not head.morphotypes or one.morphotype in head.morphotypes, one
        for word in (*before, head):
            assert not word.colours or set(word.colours) & set(one.colours), one


def test_all_binomials_are_well_formed_and_agree_in_gender(drawn):
    ends = {stem.stem: stem.form for stem in shipped_stems() if stem.part == "genus_end"}
    endings = {
        gender: {
            stem.stem + ("" if ending == "-" else ending)
            for stem in shipped_stems()
            if stem.part == "epithet"
            for ending in [stem.form.split()[GENDERS.index(gender)]]
        }
        for gender in GENDERS
    }
    for one in drawn:
        assert re.fullmatch(r"[A-Z][a-z]{4,} [a-z]{3,}", one.scientific_name), one
        genus, epithet = one.scientific_name.split()
        (end,) = [end for end in ends if genus.endswith(end)]
        assert epithet in endings[ends[end]], one


def test_heads_and_qualities_are_paired_in_thousands_of_ways(drawn):
    known = shipped_words()
    pairs = {
        (word, words[-1])
        for words in (one.common_name.split() for one in drawn)
        for word in words
        if known[word].part == "quality"
    }
    assert len(pairs) >= 2000


def test_the_page_shows_twenty_names_that_the_code_makes(page):
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.write_page(text) == text
    assert len(re.findall(r"\*[A-Z][a-z]+ [a-z]+\* \|$", text, flags=re.MULTILINE)) == 20


def test_the_page_counts_the_tables_rightly(page):
    text, names = page.PAGE.read_text(encoding="utf-8"), shipped_names()
    assert f"| `names.csv` | {len(names)} |" in text
    assert f"by hand; {sum(name.source != 'by hand' for name in names)} binomials" in text
    assert f" {sum(name.common_source != 'by hand' for name in names)} of the common names" in text
    assert f"| `real_genera.csv` | {len(real_genera()):,} |" in text
