import pytest

from fungal_assets.nomenclature.novelty import edit_distance, nearest_known


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [("cap", "cap", 0), ("cap", "cup", 1), ("kitten", "sitting", 3), ("", "abc", 3), ("flaw", "lawn", 2)],
)
def test_edit_distance_counts_letters_put_in_left_out_or_changed(first, second, edits):
    assert edit_distance(first, second, limit=9) == edit_distance(second, first, limit=9) == edits


def test_edit_distance_stops_at_its_limit():
    assert edit_distance("amanita", "zzzzzzz", limit=3) == 3


def test_a_name_within_two_edits_of_a_real_one_is_not_new():
    assert nearest_known("Death Caps", ["death cap"]) == "death cap"
    assert nearest_known("amber hollow bonnet", ["death cap"]) is None
