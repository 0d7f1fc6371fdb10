from random import Random

import pytest

from fungal_assets.nomenclature.novelty import LEAST_EDITS, KnownNames, edit_distance
from fungal_assets.nomenclature.tables import real_genera


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [("cap", "cap", 0), ("cap", "cup", 1), ("kitten", "sitting", 3), ("", "abc", 3), ("flaw", "lawn", 2)],
)
def test_edit_distance_counts_letters_put_in_left_out_or_changed(first, second, edits):
    assert edit_distance(first, second, limit=9) == edit_distance(second, first, limit=9) == edits


def test_edit_distance_stops_at_its_limit():
    assert edit_distance("amanita", "zzzzzzz", limit=3) == 3


def test_a_name_within_two_edits_of_a_real_one_is_not_new():
    assert KnownNames(["death cap"]).nearest("Death Caps") == "death cap"
    assert KnownNames(["death cap"]).nearest("amber hollow bonnet") is None
    assert KnownNames([]).nearest("death cap") is None


def test_the_look_up_finds_what_comparing_with_every_name_finds():
    rng = Random(0)

    def word(letters, longest):
        return "".join(rng.choice(letters) for _ in range(rng.randint(0, longest)))

    for _ in range(200):
        names = [word("ab", 9) for _ in range(12)]
        known = KnownNames(names)
        for _ in range(20):
            asked = word("abc", 10)
            found = known.nearest(asked)
            least = min(edit_distance(asked, name, limit=LEAST_EDITS) for name in names)
            assert (found is None) == (least == LEAST_EDITS)
            assert found is None or edit_distance(asked, found, limit=LEAST_EDITS) == least


@pytest.mark.parametrize("spoil", [lambda g: g[:-2], lambda g: "X" + g[1:-1] + "x", lambda g: g + "xx"])
def test_every_real_genus_is_found_two_edits_away(spoil):
    known = KnownNames(real_genera())
    assert all(known.nearest(spoil(genus)) is not None for genus in real_genera())
