import json
import shutil
from dataclasses import replace

import pytest

from fungal_assets.nomenclature.checks import check_species_are_distinct, check_species_are_new
from fungal_assets.nomenclature.colours import COLOUR_TERMS
from fungal_assets.nomenclature.habitats import HABITAT_WORDS
from fungal_assets.nomenclature.lexicon import compile_lexicon, read_lexicon
from fungal_assets.nomenclature.species import (
    MEMBERS_NAME,
    RealNames,
    _name_all,
    count_shared_images,
    read_species,
    slug_of,
)
from fungal_assets.shards import read_table, write_table
from fungal_assets_tests.nomenclature.growths import KINDS, name_growth


def test_every_cluster_has_a_species_of_its_measured_colour(growth):
    species = read_species(growth.species)
    assert [one.cluster_id for one in species] == [0, 1, 2]
    assert [one.colour_names[0] for one in species] == [colour for colour, _, _ in KINDS]
    assert [one.size for one in species] == [4, 4, 4]


def test_a_species_grows_where_most_of_its_pictures_show_it(growth):
    assert [one.habitat for one in read_species(growth.species)] == [
        HABITAT_WORDS[ground] for _, _, ground in KINDS
    ]


def test_a_species_in_several_places_has_none_of_its_own(growth, tmp_path):
    """Half of each cluster's pictures are given to the next one."""
    clusters = tmp_path / "clusters"
    shutil.copytree(growth.clusters, clusters)
    rows = read_table(growth.clusters / "assignments.parquet")
    mixed = [{**row, "cluster_id": (row["cluster_id"] + number % 2) % 3} for number, row in enumerate(rows)]
    write_table(clusters / "assignments.parquet", mixed)
    name_growth(replace(growth, clusters=clusters), tmp_path, seed=7)
    assert [one.habitat for one in read_species(tmp_path)] == [None, None, None]


def test_what_older_code_wrote_has_no_place(growth, tmp_path):
    rows = json.loads((growth.species / "species.json").read_text())["species"]
    for row in rows:
        del row["habitat"]
    (tmp_path / "species.json").write_text(json.dumps({"species": rows}))
    assert [one.habitat for one in read_species(tmp_path)] == [None, None, None]


def test_no_name_says_a_colour_that_was_not_measured(growth):
    words = read_lexicon(growth.name_lexicon).words
    for one in read_species(growth.species):
        for word in one.common_name.split():
            assert not words[word].colours or set(words[word].colours) & set(one.colour_names)


def test_the_name_of_two_colours_says_the_first_alone(growth):
    """Cups that are orange and a little less brown: not one of sixty is dusky, russet or tawny."""
    lexicon = read_lexicon(growth.name_lexicon)
    real = RealNames.of(lexicon)
    shares = {0: dict.fromkeys(COLOUR_TERMS, 0.0) | {"orange": 0.5, "brown": 0.45}}
    said = set()
    for seed in range(60):
        cluster = {"cluster_id": 0, "medoid_id": "cup", "size": 3}
        (one,) = _name_all([cluster], shares, {0: "cup"}, lexicon, real, seed, {})
        assert one.colour_names == ["orange", "brown"]
        said |= {
            lexicon.words[word].colours for word in one.common_name.split() if lexicon.words[word].colours
        }
    assert said and all("orange" in colours for colours in said)


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


@pytest.fixture
def regrown(growth, tmp_path):
    """Names the growth once more, by another seed, keeping the growth's names, after its clusters were changed."""

    def name(change=lambda owners: owners, *, earlier=growth.species, **folders):
        """`change` gets the cluster of each image, by id; gives it anew, some of them left out."""
        rows = read_table(growth.clusters / "assignments.parquet")
        owners = change({row["image_id"]: row["cluster_id"] for row in rows})
        clusters, out = tmp_path / "clusters", tmp_path / "named"
        shutil.rmtree(out, ignore_errors=True)
        clusters.mkdir(exist_ok=True)
        out.mkdir()
        kept = [{**row, "cluster_id": owners[row["image_id"]]} for row in rows if row["image_id"] in owners]
        write_table(clusters / "assignments.parquet", kept)
        found = [
            {"cluster_id": one, "size": list(owners.values()).count(one), "medoid_id": ids[0]}
            for one in sorted(set(owners.values()))
            if (ids := sorted(image_id for image_id, owner in owners.items() if owner == one))
        ]
        (clusters / "clusters.json").write_text(json.dumps({"clusters": found}))
        name_growth(replace(growth, clusters=clusters, **folders), out, seed=99, earlier=earlier)
        return read_species(out)

    return name


def _names(species):
    return [(one.common_name, one.scientific_name) for one in species]


def test_clusters_that_persist_keep_their_names_whatever_the_seed(growth, regrown):
    assert _names(regrown()) == _names(read_species(growth.species))


def test_the_same_species_are_the_same_file_whether_their_names_were_kept_or_made(growth, regrown, tmp_path):
    regrown()
    kept, made = (folder / "species.json" for folder in (tmp_path / "named", growth.species))
    assert kept.read_bytes() == made.read_bytes()


def test_names_are_kept_from_an_output_of_older_code_that_says_more_of_each(growth, regrown, tmp_path):
    earlier = _spoilt(growth, tmp_path / "earlier", kept_from="0123456789abcdef")
    assert _names(regrown(earlier=earlier)) == _names(read_species(growth.species))


def test_renumbered_clusters_take_their_names_with_them(growth, regrown):
    before = read_species(growth.species)
    after = regrown(lambda owners: {image_id: 2 - owner for image_id, owner in owners.items()})
    assert _names(after) == _names(before)[::-1]
    assert [one.species_id for one in after] == ["species-00", "species-01", "species-02"]
    assert [one.cluster_id for one in after] == [0, 1, 2]


def test_a_new_cluster_gets_a_new_name_and_the_others_keep_theirs(growth, regrown):
    """One image of four is a cluster of its own by now."""

    def split(owners):
        moved = sorted(image_id for image_id, owner in owners.items() if owner == 0)[:1]
        return owners | dict.fromkeys(moved, 7)

    before, after = read_species(growth.species), regrown(split)
    assert _names(after)[:3] == _names(before)
    assert after[3].common_name not in {one.common_name for one in before}
    words = [
        word for one in after for name in (one.common_name, one.scientific_name) for word in name.split()
    ]
    assert len(words) == len(set(words))


def test_merged_clusters_have_one_name_and_a_vanished_one_leaves_none(growth, regrown):
    before = read_species(growth.species)
    merged = regrown(lambda owners: {image_id: max(owner, 1) for image_id, owner in owners.items()})
    assert len(merged) == 2 and _names(merged)[1] == _names(before)[2]
    assert merged[0].common_name in {before[0].common_name, before[1].common_name}
    gone = regrown(lambda owners: {image_id: owner for image_id, owner in owners.items() if owner != 1})
    assert _names(gone) == [_names(before)[0], _names(before)[2]]


def test_no_earlier_names_means_that_all_are_new(growth, regrown):
    after = regrown(earlier=None)
    assert not set(_names(after)) & set(_names(read_species(growth.species)))


def _spoilt(growth, folder, **changed):
    """A copy of the growth's species whose first has other values."""
    shutil.copytree(growth.species, folder)
    document = json.loads((folder / "species.json").read_text())
    document["species"][0] |= changed
    (folder / "species.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"common_name": "azure willow funnel"}, id="a colour that is not there"),
        pytest.param({"common_name": "flumphy willow funnel"}, id="a word that the lexicon lacks"),
        pytest.param({"common_name": "terracotta willow stinkhorn"}, id="another form"),
        pytest.param({"common_name": "alder aldercap"}, id="a word within another"),
        pytest.param({"common_name": "field mushroom"}, id="a real name"),
        pytest.param({"scientific_name": "Trichoderma lignicola"}, id="a real genus"),
        pytest.param({"scientific_name": "Microboletus aureus"}, id="an epithet of another colour"),
        pytest.param({"scientific_name": "Chrysoboletus lentus"}, id="a genus of another colour"),
    ],
)
def test_a_name_that_does_not_hold_any_more_is_not_kept(growth, regrown, tmp_path, changed):
    earlier = _spoilt(growth, tmp_path / "earlier", **changed)
    after = regrown(earlier=earlier)
    assert _names(after)[1:] == _names(read_species(growth.species))[1:]
    assert not set(changed.values()) & {after[0].common_name, after[0].scientific_name}


def test_a_name_of_a_form_that_is_nearly_the_likeliest_is_kept(growth, regrown, tmp_path):
    """The first cluster is a chanterelle and nearly a parasol."""
    earlier = _spoilt(growth, tmp_path / "earlier", common_name="terracotta willow parasol")
    after = regrown(earlier=earlier)
    assert after[0].common_name == "terracotta willow parasol" and after[0].morphotype == "chanterelle"


def test_a_name_that_the_users_table_holds_by_now_is_not_kept(growth, regrown, tmp_path):
    first = read_species(growth.species)[0]
    table = tmp_path / "own.csv"
    table.write_text(f"common_name,scientific_name\n{first.common_name},Flumphus bonus\n")
    lexicon = tmp_path / "lexicon"
    lexicon.mkdir()
    compile_lexicon(lexicon, extra_names=str(table))
    after = regrown(name_lexicon=lexicon)
    assert after[0].common_name != first.common_name
    assert _names(after)[1:] == _names(read_species(growth.species))[1:]


def test_members_are_kept_for_the_growth_that_comes_after(growth, tmp_path):
    owners = {one.cluster_id: one.species_id for one in read_species(growth.species)}
    rows = read_table(growth.clusters / "assignments.parquet")
    expected = {row["image_id"]: owners[row["cluster_id"]] for row in rows}
    found = read_table(growth.species / MEMBERS_NAME)
    assert {row["image_id"]: row["species_id"] for row in found} == expected
    assert count_shared_images([growth.species], growth.clusters) == [len(rows)]
    another = {"image_id": "another", "cluster_id": 0, "distance": 0.0}
    write_table(tmp_path / "assignments.parquet", [another, *rows[:3]])
    assert count_shared_images([growth.species], tmp_path) == [3]
    write_table(tmp_path / "assignments.parquet", [another])
    assert count_shared_images([growth.species], tmp_path) == [0]
