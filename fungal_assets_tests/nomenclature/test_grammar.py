from random import Random

import pytest

from fungal_assets.nomenclature.grammar import coin_common_name, reads_well
from fungal_assets.nomenclature.lexicon import read_lexicon
from fungal_assets.nomenclature.novelty import KnownNames
from fungal_assets.nomenclature.tables import stopwords


def _names(lexicon, count, colours, *, morphotype="agaric", seed=0):
    known = KnownNames(name.common_name for name in lexicon.names)
    names: list[str] = []
    for index in range(count):
        rng = Random(f"{seed}:{index}")
        names.append(
            coin_common_name(
                rng, lexicon, fitting_colours=colours, morphotype=morphotype, used_names=names, known=known
            )
        )
    return names


def test_names_are_two_or_three_words_with_a_head_noun_last(growth):
    lexicon = read_lexicon(growth.name_lexicon)
    for name in _names(lexicon, 20, ["brown"]):
        words = name.split()
        assert 2 <= len(words) <= 3
        assert lexicon.words[words[-1]].part == "head"
        assert not set(words) & set(stopwords())


def test_a_brown_cluster_is_never_called_a_colour_that_brown_is_not(growth):
    lexicon = read_lexicon(growth.name_lexicon)
    for name in _names(lexicon, 20, ["brown"]):
        for word in name.split():
            assert not lexicon.words[word].colours or "brown" in lexicon.words[word].colours


def test_a_bracket_is_never_called_a_bonnet(growth):
    lexicon = read_lexicon(growth.name_lexicon)
    heads = [name.split()[-1] for name in _names(lexicon, 30, ["brown"], morphotype="bracket")]
    assert set(heads) <= {"bracket", "crust", "mazegill", "polypore", "sawgill"}


def test_a_cluster_of_no_one_colour_gets_no_colour_word(growth):
    lexicon = read_lexicon(growth.name_lexicon)
    assert not [
        w for name in _names(lexicon, 12, []) for w in name.split() if lexicon.words[w].part == "colour"
    ]


def test_names_of_a_growth_share_no_word_while_words_last(growth):
    words = [
        word
        for name in _names(read_lexicon(growth.name_lexicon), 15, ["red", "white"])
        for word in name.split()
    ]
    assert len(words) == len(set(words))


def test_names_are_new_and_the_same_for_the_same_seed(growth):
    lexicon = read_lexicon(growth.name_lexicon)
    known = KnownNames(name.common_name for name in lexicon.names)
    names = _names(lexicon, 12, ["brown"], seed=3)
    assert names == _names(lexicon, 12, ["brown"], seed=3) != _names(lexicon, 12, ["brown"], seed=4)
    assert not [name for name in names if known.nearest(name)]


def test_many_clusters_still_get_distinct_names_when_words_run_out(growth):
    names = _names(read_lexicon(growth.name_lexicon), 60, ["purple"])
    assert len(set(names)) == 60


@pytest.mark.parametrize(
    "name",
    ["dwarf agaric", "lilac umbrella bonnet", "swan knight", "cup cupcap"],
    ids=["over a space", "over the first of two", "over the other", "nested"],
)
def test_no_rude_word_reaches_over_a_space_and_no_word_holds_another(name):
    assert not reads_well(name.split())


def test_a_rude_word_that_lies_within_a_harmless_one_is_no_fault():
    assert reads_well(["amber", "grass", "bonnet"])


def test_a_species_is_one_thing(growth):
    names = _names(read_lexicon(growth.name_lexicon), 40, ["brown"], morphotype="coral")
    assert "spindles" not in {name.split()[-1] for name in names}
