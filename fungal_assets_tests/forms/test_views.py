import pytest
import torch

from fungal_assets.forms.views import BARE, orbit, sample_cameras, view_prompts, word_shares
from fungal_assets.forms.volume import Camera

WORDS = {"front": "front view", "side": "side view", "back": "back view", "above": "seen from above",
         "below": "seen from below"}  # fmt: skip


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "name"),
    [(0, 5, "front"), (90, 5, "side"), (270, 5, "side"), (180, 5, "back"), (33, 60, "above"), (200, -20, "below"),
     (90, 36, BARE)],
)  # fmt: skip
def test_each_word_has_its_own_part_of_the_sphere(azimuth_deg, elevation_deg, name):
    assert word_shares(Camera(azimuth_deg, elevation_deg), WORDS) == pytest.approx({name: 1.0})


@pytest.mark.parametrize("names", [WORDS, {}, {"side": "side view"}, {"above": "seen from above"}])
def test_shares_add_up_to_one_everywhere_and_change_slowly(names):
    before = {}
    for azimuth_deg in range(-40, 400):
        shares = word_shares(Camera(azimuth_deg, azimuth_deg / 4), names)
        assert sum(shares.values()) == pytest.approx(1)
        assert set(shares) <= {*names, BARE} and min(shares.values()) > 0
        if before:
            assert all(abs(shares.get(name, 0) - before.get(name, 0)) < 0.06 for name in {*shares, *before})
        before = shares


def test_half_way_between_front_and_side_both_count_the_same():
    assert word_shares(Camera(45, 0), WORDS) == pytest.approx({"front": 0.5, "side": 0.5})


def test_cameras_go_all_round_and_repeat_for_their_generator():
    first, again = (sample_cameras(4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first == again
    turns = sorted(camera.azimuth_deg for camera in first)
    assert max(b - a for a, b in zip(turns, [*turns[1:], turns[0] + 360], strict=True)) <= 140
    many = [
        camera for seed in range(100) for camera in sample_cameras(2, torch.Generator().manual_seed(seed))
    ]
    assert 0.55 < sum(3 <= camera.elevation_deg <= 19 for camera in many) / len(many) < 0.75
    assert 0.1 < sum(camera.elevation_deg >= 52 for camera in many) / len(many) < 0.3
    assert all(3 <= camera.elevation_deg <= 70 for camera in many)


def test_orbit_starts_in_front():
    assert [camera.azimuth_deg for camera in orbit(4)] == [0, 90, 180, 270]


def test_view_words_come_after_the_prompt():
    prompts = view_prompts("a photo of a golden field bonnet", {"side": "side view"})
    assert prompts == {
        BARE: "a photo of a golden field bonnet",
        "side": "a photo of a golden field bonnet, side view",
    }


@pytest.mark.parametrize(
    ("elevation_deg", "shares"),
    [(22, {"side": 1.0}), (29, {"side": 0.5, "angled": 0.5}), (36, {"angled": 1.0}), (50, {"above": 1.0})],
)
def test_a_view_from_halfway_up_has_its_own_word_where_there_is_one(elevation_deg, shares):
    names = dict.fromkeys(("front", "side", "back", "angled", "above", "below"))
    assert word_shares(Camera(90, elevation_deg), names) == pytest.approx(shares)
