from fungal_assets.nomenclature.checks import check_species_are_distinct, check_species_are_new
from fungal_assets.nomenclature.lexicon import read_lexicon
from fungal_assets.nomenclature.species import read_species, slug_of
from fungal_assets_tests.nomenclature.growths import KINDS, name_growth


def test_every_cluster_has_a_species_of_its_measured_colour(growth):
    species = read_species(growth.species)
    assert [one.cluster_id for one in species] == [0, 1, 2]
    assert [one.colour_names[0] for one in species] == [colour for colour, _, _ in KINDS]
    assert [one.size for one in species] == [4, 4, 4]


def test_no_name_says_a_colour_that_was_not_measured(growth):
    words = read_lexicon(growth.name_lexicon).words
    for one in read_species(growth.species):
        for word in one.common_name.split():
            assert not words[word].colours or set(words[word].colours) & set(one.colour_names)


def test_no_name_says_another_form_than_the_cluster_has(growth):
    words = read_lexicon(growth.name_lexicon).words
    for one in read_species(growth.species):
        head = words[one.common_name.split()[-1]]
        assert not head.morphotypes or one.morphotype in head.morphotypes


def test_the_same_clusters_and_seed_give_the_same_names(growth, tmp_path):
    (tmp_path / "again").mkdir()
    name_growth(growth, tmp_path / "again", seed=7)
    assert (tmp_path / "again/species.json").read_bytes() == (growth.species / "species.json").read_bytes()
    name_growth(growth, tmp_path, seed=8)
    assert read_species(tmp_path) != read_species(growth.species)


def test_the_names_stand_the_checks(growth):
    assert check_species_are_new(growth.species, growth.name_lexicon).passed
    assert check_species_are_distinct(growth.species, growth.clusters).passed


def test_a_slug_is_a_file_name():
    assert slug_of("widow's amber cap") == "widows-amber-cap"
