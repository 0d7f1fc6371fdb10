import json

import pytest

from fungal_assets.errors import InputError
from fungal_assets.galleries.planning import picture_seed, plan_gallery, read_prompts
from fungal_assets.profiles import PROFILES
from fungal_assets_tests.galleries.conftest import write_prompts


def prompt(kind, number, **more):
    return {
        "prompt_id": f"{kind}-{number}",
        "kind": kind,
        "species_id": None,
        "text": f"{kind} {number}",
        **more,
    }


def test_a_seed_hangs_on_run_prompt_and_index_only():
    assert picture_seed(1, "hamburger", 0) == picture_seed(1, "hamburger", 0)
    seeds = {picture_seed(run, name, index) for run in range(5) for name in ("a", "b") for index in range(5)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_base_and_tuned_have_the_same_seeds_for_controls_and_only_controls_have_a_base_picture():
    rows = [prompt("species", 0), prompt("control", 0, expected="cat"), prompt("control", 1, expected="dog")]
    plan = plan_gallery(rows, images_per_prompt=3, controls=1, seed=0)
    names = {model: [(p.prompt_id, p.seed) for p in plan if p.model == model] for model in ("tuned", "base")}
    assert len(plan) == 3 + 3 + 3
    assert names["base"] == [name for name in names["tuned"] if name[0] == "control-0"]


def test_side_prompts_are_bounded_and_spread_over_the_list():
    rows = [prompt("species", 0), *(prompt("mutant", number) for number in range(20))]
    plan = plan_gallery(rows, images_per_prompt=2, controls=0, seed=0, side_prompts=4)
    assert [p.prompt_id for p in plan if p.kind == "mutant"] == [
        "mutant-0",
        "mutant-5",
        "mutant-10",
        "mutant-15",
    ]
    whole = plan_gallery(rows, images_per_prompt=2, controls=0, seed=0, side_prompts=100)
    assert [p.prompt_id for p in whole if p.kind == "mutant"] == [f"mutant-{number}" for number in range(20)]
    assert all(p.kind != "mutant" for p in plan_gallery(rows, images_per_prompt=2, controls=0, seed=0))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_in_every_profile_each_species_has_subspecies_and_context_pictures(profile):
    species = profile.settings["clusters"]["max_clusters"]
    rows = [
        prompt(kind, number, species_id=f"species-{number}")
        for kind in ("species", "subspecies", "context")
        for number in range(species)
    ]
    asked = {
        name: profile.settings["sample_galleries"][name]
        for name in ("images_per_prompt", "controls", "side_prompts")
    }
    plan = plan_gallery(rows, **asked, seed=0)
    for kind in ("species", "subspecies", "context"):
        assert len({p.species_id for p in plan if p.kind == kind}) == species


def test_the_plan_of_one_prompt_does_not_change_with_the_others():
    rows = [prompt("species", number) for number in range(4)]
    whole = plan_gallery(rows, images_per_prompt=2, controls=0, seed=0)
    alone = plan_gallery(rows[2:3], images_per_prompt=2, controls=0, seed=0)
    assert [p for p in whole if p.prompt_id == "species-2"] == alone


def test_all_faults_of_a_plan_are_named_at_once():
    rows = [prompt("species", 0), prompt("species", 0)]
    with pytest.raises(InputError, match=r"'species-0'.*images_per_prompt=0.*controls=-1"):
        plan_gallery(rows, images_per_prompt=0, controls=-1, seed=0)


def test_prompts_without_a_species_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing"):
        read_prompts(tmp_path)
    write_prompts(tmp_path)
    assert len(read_prompts(tmp_path)["prompts"]) == 12
    (tmp_path / "prompts.json").write_text(json.dumps({"prompts": [prompt("control", 0)]}))
    with pytest.raises(InputError, match="no prompt of kind 'species'"):
        read_prompts(tmp_path)
