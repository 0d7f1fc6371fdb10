from random import Random

import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.latin import coin_binomial, decline
from fungal_assets.nomenclature.tables import Stem, shipped_names, shipped_stems, taken_genera

KNOWN = [name.scientific_name for name in shipped_names()]


@pytest.mark.parametrize(
    ("form", "forms"),
    [
        ("us a um", ("aureus", "aurea", "aureum")),
        ("is is e", ("aureis", "aureis", "auree")),
        ("- - -", ("aure", "aure", "aure")),
    ],
)
def test_an_epithet_takes_the_ending_of_the_gender(form, forms):
    stem = Stem("aure", "epithet", form, "golden")
    assert tuple(decline(stem, gender) for gender in ("masculine", "feminine", "neuter")) == forms


def test_every_coined_binomial_agrees_in_gender_and_is_new():
    ends = {stem.stem: stem.form for stem in shipped_stems() if stem.part == "genus_end"}
    epithets = [stem for stem in shipped_stems() if stem.part == "epithet"]
    for seed in range(60):
        name = coin_binomial(Random(seed), measured_colours=["brown"], known=KNOWN, used=set())
        genus, epithet = name.split()
        gender = next(form for end, form in ends.items() if genus.endswith(end))
        assert epithet in {decline(stem, gender) for stem in epithets}
        assert genus not in taken_genera()
        assert name not in KNOWN


def test_a_binomial_says_no_colour_that_was_not_measured():
    wrong = {decline(s, g) for s in shipped_stems() if s.part == "epithet" and s.colours and "blue" not in s.colours
             for g in ("masculine", "feminine", "neuter")}  # fmt: skip
    for seed in range(40):
        name = coin_binomial(Random(seed), measured_colours=["blue"], known=KNOWN, used=set())
        assert name.split()[1] not in wrong


def test_used_up_stems_are_told():
    used = {stem.stem + end.stem for stem in shipped_stems() for end in shipped_stems()}
    with pytest.raises(InputError, match="stems.csv"):
        coin_binomial(Random(0), measured_colours=["red"], known=[], used=used)
