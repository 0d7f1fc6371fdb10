import math

import pytest

from fungal_assets.exhibition.forest import (
    ALONE,
    HABITATS,
    PATH_HALF,
    WAVES,
    Standing,
    path_radius,
    place_stations,
)
from fungal_assets.exhibition.solids import list_levels, pick_level

PAIR = (
    {**ALONE},
    {**ALONE, "x": 0.6, "z": -0.5, "scale": 0.5, "turn_deg": 30.0, "lean": 0.2, "lean_deg": 120.0},
)


def stand(habitat: str, *, height_m: float = 0.14, half_width: float = 0.3, placements=PAIR) -> Standing:
    return Standing("slug", "Name", "Nomen novum", "x.html", habitat, height_m, placements, half_width, [])


@pytest.fixture(scope="module")
def stations():
    return place_stations([stand(HABITATS[index % len(HABITATS)]) for index in range(14)])


def test_every_species_has_one_main_group_and_no_two_groups_touch(stations):
    assert sorted(one["species"] for one in stations if one["is_first"]) == list(range(14))
    for index, one in enumerate(stations):
        for other in stations[:index]:
            assert math.dist((one["x"], one["z"]), (other["x"], other["z"])) > one["reach"] + other["reach"]


def test_no_group_stands_on_the_path(stations):
    radius = 14 * 7.0 / math.tau
    for one in stations:
        turns = [step * math.tau / 2000 for step in range(2000)]
        path = [
            (path_radius(turn, radius) * math.sin(turn), path_radius(turn, radius) * math.cos(turn))
            for turn in turns
        ]
        nearest = min(math.dist(place, (one["x"], one["z"])) for place in path)
        assert nearest > one["reach"] + 0.6 * PATH_HALF


def test_species_of_one_habitat_stand_beside_each_other(stations):
    first = sorted(
        (one for one in stations if one["is_first"]),
        key=lambda one: math.atan2(one["x"], one["z"]) % math.tau,
    )
    habitats = [one["habitat"] for one in first]
    assert [habitat for index, habitat in enumerate(habitats) if habitat != habitats[index - 1]] == list(
        HABITATS
    )


def test_the_path_closes_and_is_never_narrower_than_its_waves():
    radii = [path_radius(step / 100, 10) for step in range(629)]
    deepest = 1 - sum(share for _, share, _ in WAVES)
    assert min(radii) >= 10 * deepest and path_radius(0, 10) == pytest.approx(path_radius(math.tau, 10))


def test_a_group_is_turned_as_one_body():
    (first, *_) = place_stations([stand("in moss")])
    old, young = first["individuals"]
    assert old[:2] == pytest.approx([first["x"], first["z"]], abs=1e-3)
    apart = [young[0] - old[0], young[1] - old[1]]
    assert math.hypot(*apart) == pytest.approx(math.hypot(0.6, -0.5), abs=1e-3)
    turn = old[3]
    assert math.atan2(*apart) == pytest.approx(
        math.remainder(math.atan2(0.6, -0.5) + turn, math.tau), abs=1e-3
    )
    assert young[3] == pytest.approx(turn + math.radians(30), abs=1e-3)
    assert young[6] == pytest.approx(turn + math.radians(120), abs=1e-3)


def test_a_taller_species_stands_taller_and_a_wide_group_is_made_smaller():
    short, tall, wide = (
        one["individuals"][0][2]
        for one in place_stations(
            [stand("in moss"), stand("in moss", height_m=0.2), stand("in moss", half_width=5)]
        )
        if one["is_first"]
    )
    assert tall / short == pytest.approx(0.2 / 0.14, abs=1e-3)
    assert wide * 5 == pytest.approx(1.7)


@pytest.mark.parametrize(
    ("habitat", "has_stump"), [("on a log", True), ("on a tree trunk", True), ("in sand", False)]
)
def test_species_of_wood_stand_on_stumps(habitat, has_stump):
    assert all(one["has_stump"] is has_stump for one in place_stations([stand(habitat)]))


def test_a_page_takes_the_finest_mesh_that_is_small_enough_or_else_the_coarsest(tmp_path):
    for level, size in enumerate((3000, 900, 200)):
        (tmp_path / f"cup_LOD{level}.glb").write_bytes(bytes(size))
    levels = list_levels(tmp_path, "cup")
    assert [pick_level(levels, most).name for most in (5000, 1000, 900, 10)] == [
        "cup_LOD0.glb", "cup_LOD1.glb", "cup_LOD1.glb", "cup_LOD2.glb",
    ]  # fmt: skip
    assert list_levels(None, "cup") == []
