"""The held-out pictures: whole groups, the same whatever else there is, and never more than a species can spare."""

import pytest

from fungal_assets.dataset.splitting import LEAST_TRAINING, hold_out

SHARE = 0.1


def collection(pictures, *, species=4, twins=1):
    """Groups of `twins` pictures, each group of one species."""
    ids = [f"picture-{number:05d}" for number in range(pictures)]
    groups = {image_id: ids[at - at % twins] for at, image_id in enumerate(ids)}
    return groups, {image_id: f"species-{at // twins % species}" for at, image_id in enumerate(ids)}


@pytest.mark.parametrize("twins", [1, 2, 5])
def test_whole_groups_are_held_out_about_as_many_as_asked_for(twins):
    groups, species_of = collection(6000, twins=twins)
    held_out = hold_out(groups, species_of, SHARE)
    assert 0.08 < len(held_out) / 6000 < 0.12
    assert {groups[image_id] for image_id in held_out}.isdisjoint(
        groups[image_id] for image_id in groups.keys() - held_out
    )


def test_new_pictures_move_no_others():
    groups, species_of = collection(3000)
    before = hold_out(groups, species_of, SHARE)
    more_groups, more_species = collection(4000)
    after = hold_out(more_groups, more_species, SHARE)
    assert after & groups.keys() == before and after - groups.keys()


def test_the_order_of_rows_and_what_a_group_is_called_decide_nothing():
    groups, species_of = collection(1200, twins=3)
    called_by_the_last = {
        image_id: f"{group[:-5]}{int(group[-5:]) + 2:05d}" for image_id, group in groups.items()
    }
    backwards = dict(reversed(called_by_the_last.items()))
    assert hold_out(backwards, species_of, SHARE) == hold_out(groups, species_of, SHARE)


def test_a_larger_share_holds_out_the_same_and_more():
    groups, species_of = collection(2000)
    assert hold_out(groups, species_of, 0.05) < hold_out(groups, species_of, SHARE)


@pytest.mark.parametrize("pictures", [1, LEAST_TRAINING])
def test_a_species_of_few_pictures_gives_none(pictures):
    groups, species_of = collection(pictures, species=1)
    assert not hold_out(groups, species_of, 0.5)


@pytest.mark.parametrize("pictures", [LEAST_TRAINING + 1, 14, 60])
def test_a_species_keeps_its_least_and_gives_at_most_twice_the_share(pictures):
    groups, species_of = collection(pictures * 50, species=50)
    held_out = hold_out(groups, species_of, SHARE)
    given = [
        sum(species_of[image_id] == species for image_id in held_out) for species in set(species_of.values())
    ]
    assert max(given) <= min(pictures - LEAST_TRAINING, 2 * SHARE * pictures) and max(given) > 0


def test_a_group_over_two_species_is_held_out_only_if_both_can_spare_it():
    names = [f"picture-{number}" for number in range(400)]
    groups = {name: names[at - at % 2] for at, name in enumerate(names)}
    common = {name: "common" for name in names[::2]}
    rare = {name: f"rare-{at // 8}" for at, name in enumerate(names[1::2])}
    assert not hold_out(groups, common | rare, 0.5)
    assert hold_out(groups, common | dict.fromkeys(rare, "common too"), 0.5)


def test_nothing_is_held_out_where_none_is_asked_for():
    assert hold_out(*collection(1000), 0.0) == frozenset()
