import json
import pickle
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.forms import guessing
from fungal_assets.forms.checks import check_consistency, check_guide, check_silhouettes, check_solidity
from fungal_assets.forms.distillation import distill
from fungal_assets.forms.gltf import write_glb
from fungal_assets.forms.growing import grow_form, grow_forms
from fungal_assets.forms.guidance import DiffusionGuide
from fungal_assets.forms.keeping import list_forms, load_volume, save_volume
from fungal_assets.forms.known import known_volume
from fungal_assets.forms.meshing import mesh_volume
from fungal_assets.forms.planning import (
    choose_species,
    find_named,
    measure_portrayal,
    plan_growths,
    read_species,
    settle_species,
    species_prompts,
    species_seed,
)
from fungal_assets.forms.uploads import load_upload
from fungal_assets.forms.volume import EMPTY, Volume
from fungal_assets.pocket.fungarium import sample_portrait
from fungal_assets.store import hash_file
from fungal_assets_tests.forms.shapes import mushroom, toadstool

SETTINGS = {
    "species_names": ["pale wood cup", "dusky oak spike"],
    "iterations": 4, "grid_size": 16, "view_size_px": 16,
    "views_per_step": 1, "guidance_scale": 2.0,
    "grounds": {"on a black background": 0.0, "in the snow": 0.9}, "first_guess": "revolved", "first_guesses": 0,
    "guess_guidance_scale": 2.0, "distillation": "sds", "shaded_share": 0.0, "warm_up": 0.0,
    "first_meshes": {}, "tiny_encoder": "", "processes": 1, "seed": 5,
}  # fmt: skip


def _grow(pruned_weights, world, folder, *, earlier=None, **changes):
    inputs = (world / name for name in ("species", "prompts", "clusters"))
    return grow_forms(pruned_weights, *inputs, earlier, folder, **SETTINGS | changes)


@pytest.fixture(scope="module")
def grown(pruned_weights, named_world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms_3d")
    return folder, _grow(pruned_weights, named_world, folder)


def test_the_best_portrayed_species_of_each_colour_are_chosen_first_and_small_ones_last():
    sizes, colours = (9, 3, 7, 9, 9), ("red", "blue", "white", "white", "red")
    rows = [
        {
            "common_name": str(i),
            "slug": str(i),
            "species_id": f"species-{i}",
            "cluster_id": i,
            "size": size,
            "colour_names": [colour, "grey"],
        }
        for i, (size, colour) in enumerate(zip(sizes, colours, strict=True))
    ]
    portrayal = {f"species-{i}": merit for i, merit in enumerate((0.4, 0.9, 0.7, 0.6, 0.2))}
    for at_most, expected in ((1, [2]), (2, [0, 2]), (3, [0, 2, 3]), (4, [0, 2, 3, 4]), (5, [0, 1, 2, 3, 4])):
        chosen = choose_species(rows, at_most, portrayal=portrayal)
        assert [row["cluster_id"] for row in chosen] == expected


def test_a_whole_thing_that_is_recognised_is_portrayed_and_noise_is_not(named_world):
    """Both discs are alike; half of the pictures of one are recognised and all of the other's."""
    portrayal = measure_portrayal(named_world / "sample_galleries")
    assert sorted(portrayal) == ["species-00", "species-01", "species-02"]
    assert portrayal["species-00"] < 0.15
    assert portrayal["species-01"] > 0.35
    assert portrayal["species-02"] == pytest.approx(portrayal["species-01"] / 0.75)


def test_the_chosen_species_are_grown_in_the_order_of_their_clusters(grown):
    folder, figures = grown
    assert [form["common_name"] for form in list_forms(folder)] == ["pale wood cup", "dusky oak spike"]
    shares = ("r_precision", "janus_share", "silhouette_likeness", "opaque_share")
    assert figures["forms"] == 2 and all(0 <= figures[name] <= 1 for name in shares)
    assert {"recognised", "janus_share", "silhouette_likeness", "opaque_share"} <= list_forms(folder)[
        0
    ].keys()


def test_a_sheet_shows_every_form_in_a_row(grown):
    with Image.open(grown[0] / "forms.webp") as sheet:
        assert sheet.size == (84 + 8 * 96, 2 * 96)


def test_each_form_is_kept_with_its_files_and_notes(grown, pruned_weights):
    folder, _ = grown
    notes = json.loads((folder / "pale-wood-cup" / "form.json").read_text())
    assert {path.name for path in (folder / "pale-wood-cup").iterdir()} == {
        "form.npz", "form.json", "views.webp",
    }  # fmt: skip
    assert notes["prompt"] == "a photo of a pale wood cup"
    assert notes["seed"] == species_seed(5, "pale-wood-cup")
    assert notes["iterations"] == 4
    assert load_volume(folder / "pale-wood-cup" / "form.npz").density.shape == (16, 16, 16)
    assert check_guide(folder, pruned_weights).passed


def test_no_resume_state_is_left_and_no_time_is_among_what_is_kept(grown):
    assert not list((grown[0] / ".resume").glob("*.safetensors"))
    notes = [json.loads(path.read_text()) for path in grown[0].glob("*/form.json")]
    assert notes and not any("seconds" in name for note in notes for name in note)


def test_a_complete_species_is_not_grown_again(grown, pruned_weights, named_world, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(grown[0], folder)
    shutil.rmtree(folder / "dusky-oak-spike")
    kept = (folder / "pale-wood-cup" / "form.npz").stat().st_mtime_ns
    _grow(pruned_weights, named_world, folder)
    assert (folder / "pale-wood-cup" / "form.npz").stat().st_mtime_ns == kept
    for name in ("density", "colour"):
        first, second = (np.load(root / "dusky-oak-spike" / "form.npz")[name] for root in (grown[0], folder))
        assert np.array_equal(first, second)


def _plan(pruned_weights, world, **changes):
    chosen = {"species_names", "processes"}
    settings = {name: value for name, value in (SETTINGS | changes).items() if name not in chosen}
    return plan_growths(pruned_weights, world / "species", world / "prompts", **settings)


def test_a_growth_can_be_sent_to_another_process(pruned_weights, named_world):
    growth = _plan(pruned_weights, named_world)[0]
    assert pickle.loads(pickle.dumps(growth)) == growth
    assert pickle.loads(pickle.dumps(grow_form)) is grow_form


def test_one_more_species_drops_none_that_is_there(grown, pruned_weights, named_world, tmp_path):
    growths = _plan(pruned_weights, named_world)
    names = settle_species(
        growths, named_world / "sample_galleries", grown[0], names=["golden field bonnet"], at_most=2
    )
    assert names == ["golden field bonnet", "pale wood cup", "dusky oak spike"]
    figures = _grow(pruned_weights, named_world, tmp_path / "more", species_names=names, earlier=grown[0])
    assert figures["forms"] == 3 and figures["taken_over"] == 2
    for name in ("form.npz", "views.webp"):
        assert (tmp_path / "more" / "pale-wood-cup" / name).read_bytes() == (
            grown[0] / "pale-wood-cup" / name
        ).read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"iterations": 2},
        {"grounds": {"on white paper": 0.0, "in the snow": 0.9}},
        {"first_guess": "lifted"},
        {"first_guesses": 1},
        {"seed": 6},
        {"distillation": "ism"},
        {"shaded_share": 0.5},
        {"warm_up": 0.5},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_work_is_neither_kept_nor_taken_over(grown, pruned_weights, named_world, changes):
    growths = _plan(pruned_weights, named_world, **changes)
    assert settle_species(
        growths, named_world / "sample_galleries", grown[0], names=["golden field bonnet"], at_most=2
    ) == ["golden field bonnet"]
    same, other = _plan(pruned_weights, named_world)[1], growths[1]
    assert same.species == other.species and same.work_sha256 != other.work_sha256


def test_forms_of_other_weights_are_dropped(grown, pruned_weights, named_world, tmp_path):
    other = tmp_path / "weights"
    other.mkdir()
    (other / "weights.json").write_text(json.dumps({"pipeline_sha256": "0" * 64}))
    growths = _plan(other, named_world)
    assert settle_species(
        growths, named_world / "sample_galleries", grown[0], names=["golden field bonnet"], at_most=2
    ) == ["golden field bonnet"]


def test_a_damaged_earlier_form_is_grown_again(grown, pruned_weights, named_world, tmp_path):
    earlier = tmp_path / "earlier"
    shutil.copytree(grown[0], earlier)
    (earlier / "pale-wood-cup" / "form.json").write_text("{")
    names = settle_species(
        _plan(pruned_weights, named_world), named_world / "sample_galleries", earlier, names=[], at_most=2
    )
    (tmp_path / "forms" / "dusky-oak-spike").mkdir(parents=True)
    (tmp_path / "forms" / "dusky-oak-spike" / "half-written").touch()
    figures = _grow(pruned_weights, named_world, tmp_path / "forms", species_names=names, earlier=earlier)
    assert figures["forms"] == 2 and figures["taken_over"] == 1


def test_a_guide_that_shows_no_free_subject_leaves_the_form_an_egg(pruned_weights, named_world, tmp_path):
    _grow(pruned_weights, named_world, tmp_path / "forms", first_guesses=2, species_names=["pale wood cup"])
    notes = [json.loads(path.read_text()) for path in (tmp_path / "forms").glob("*/form.json")]
    assert [note["began_as"] for note in notes] == ["egg"] and notes[0]["start"] == 0.9


@pytest.mark.parametrize("road", ["lifted", "revolved"])
def test_a_form_begins_as_a_picture_that_its_guide_paints(
    road, pruned_weights, named_world, tmp_path, monkeypatch
):
    """Killed in the middle, it goes on from the same guess, which is not painted again, to the same form."""
    painted, texts = mushroom(), []

    def paint(self, text, seeds, *, guidance_scale):
        assert guidance_scale == 2.0
        texts.append(text)
        return [painted] * len(seeds)

    def kill(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(DiffusionGuide, "paint", paint)
    settings = {"first_guess": road, "first_guesses": 2, "species_names": ["pale wood cup"]}
    _grow(pruned_weights, named_world, tmp_path / "whole", **settings)
    assert len(texts) == 2 and "on a black background" in texts[0] and "in the snow" in texts[1]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("fungal_assets.forms.distillation._take_step", kill)
        _grow(pruned_weights, named_world, tmp_path / "broken", **settings)
    _grow(pruned_weights, named_world, tmp_path / "broken", **settings)
    assert len(texts) == 4
    whole, broken = (next((tmp_path / name).glob("*/form.json")).parent for name in ("whole", "broken"))
    for name in ("form.npz", "first_guess.webp", "form.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()
    notes = json.loads((whole / "form.json").read_text())
    decided = [notes[name] for name in ("began_as", "iterations", "start", "density_rate", "colour_rate")]
    assert decided == [road, *((1, 0.3, 0.04, 0.002) if road == "lifted" else (4, 0.55, 0.04, 0.004))]
    assert 0 < notes["proportions_kept"] <= 1
    assert not list((tmp_path / "broken" / ".resume").glob("*.npz"))


def test_what_loses_a_part_in_being_lifted_is_turned_if_it_is_even_enough(
    pruned_weights, named_world, monkeypatch
):
    growth = _plan(pruned_weights, named_world, first_guess="lifted")[0]
    upright, leaning = mushroom(), mushroom(lean=40)
    assert guessing._guess([upright], growth).road == "lifted"
    for lost in ("_LEAST_AGREEMENT", "_LEAST_WHOLE"):
        with monkeypatch.context() as patch:
            patch.setattr(guessing, lost, 1.01)
            assert guessing._guess([upright], growth).road == "revolved"
            assert guessing._guess([leaning], growth).road == "lifted"
    assert guessing._guess([np.zeros_like(upright)], growth) is None


def test_a_body_of_the_named_form_is_likest_and_a_fog_is_like_none():
    bodies = [known_volume(sample_portrait(3, morphotype=name), 64) for name in ("morel", "puffball")]
    fog = Volume(torch.full((24, 24, 24), 2.0), torch.zeros(3, 24, 24, 24))
    for place, name in enumerate(("morel", "puffball")):
        appraise = guessing._appraiser(name)
        assert appraise(bodies[place]) > 2 * appraise(bodies[1 - place]) and appraise(fog) == 0
    assert guessing._appraiser(None)(fog) == 1.0


def test_an_egg_is_shown_before_what_is_painted_but_begins_as_none_of_it(
    pruned_weights, named_world, tmp_path, monkeypatch
):
    monkeypatch.setattr(DiffusionGuide, "paint", lambda self, text, seeds, **_: [mushroom()] * len(seeds))
    settings = {"first_guess": "egg", "first_guesses": 1, "species_names": ["pale wood cup"]}
    _grow(pruned_weights, named_world, tmp_path, **settings)
    notes = json.loads((tmp_path / "pale-wood-cup" / "form.json").read_text())
    assert notes["began_as"] == "egg" and notes["start"] == 0.9
    assert not (tmp_path / "pale-wood-cup" / "first_guess.webp").exists()


def test_other_weights_are_refused_before_anything_is_grown(pruned_weights, named_world, tmp_path):
    swapped = tmp_path / "weights"
    shutil.copytree(pruned_weights, swapped)
    (swapped / "pipeline" / "unet" / "config.json").write_text("{}")
    with pytest.raises(ProvenanceError, match="not the tuned weights"):
        _grow(swapped, named_world, tmp_path / "forms")
    assert not (tmp_path / "forms").exists()


@pytest.mark.parametrize(
    ("density", "fault"),
    [(EMPTY, "the form is empty"), (-1.0, "the form is a fog: it fills 100% of its box")],
)
def test_a_form_that_is_no_body_is_listed_with_its_fault_and_the_others_go_through(
    density, fault, pruned_weights, named_world, tmp_path, monkeypatch
):
    lost_seed = species_seed(5, "pale-wood-cup")

    def distill_but_one(guide, embeddings, recipe, **rest):
        grown = distill(guide, embeddings, recipe, **rest)
        even = torch.full_like(grown.density, density)
        return replace(grown, density=even) if recipe.seed == lost_seed else grown

    monkeypatch.setattr("fungal_assets.forms.distillation.distill", distill_but_one)
    figures = _grow(pruned_weights, named_world, tmp_path)
    assert (figures["forms"], figures["failed"]) == (1, 1)
    assert [form["common_name"] for form in list_forms(tmp_path)] == ["dusky oak spike"]
    assert not (tmp_path / "pale-wood-cup").exists() and (tmp_path / "dusky-oak-spike").is_dir()
    verdict = check_solidity(tmp_path)
    assert not verdict.passed and f"pale wood cup became no form: {fault}" in verdict.finding
    with pytest.raises(InputError, match="no species became a form; pale wood cup: the form is"):
        _grow(pruned_weights, named_world, tmp_path, species_names=["pale wood cup"])


def test_an_unknown_species_is_refused_and_all_names_listed(named_world):
    rows = read_species(named_world / "species")
    with pytest.raises(InputError, match="'blue elephant' not known.*'golden field bonnet', 'pale wood cup'"):
        find_named(rows, ["pale wood cup", "blue elephant"])


def test_named_species_are_chosen_by_name_or_slug(named_world):
    rows = read_species(named_world / "species")
    chosen = find_named(rows, ["dusky-oak-spike", "golden field bonnet", "dusky oak spike"])
    assert [row["cluster_id"] for row in chosen] == [0, 2]


def test_a_species_without_a_prompt_is_refused(named_world):
    with pytest.raises(InputError, match="no species prompt for 'golden field bonnet'"):
        species_prompts([], read_species(named_world / "species")[:1])


def test_a_form_is_asked_for_by_its_own_prompt_where_there_is_one(named_world):
    one = read_species(named_world / "species")[:1]
    named = {"species_id": one[0]["species_id"]}
    species, form = (
        {"kind": "species", "text": "in snow"} | named,
        {"kind": "form", "text": "anywhere"} | named,
    )
    assert set(species_prompts([species, form], one).values()) == {"anywhere"}
    assert set(species_prompts([species], one).values()) == {"in snow"}


def test_seeds_differ_by_species_and_by_seed():
    seeds = {species_seed(seed, slug) for seed in (0, 1) for slug in ("a", "b")}
    assert len(seeds) == 4 and all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("is_first_empty", [False, True])
def test_a_guess_comes_from_the_first_ground_that_gives_one(
    is_first_empty, pruned_weights, named_world, tmp_path, monkeypatch
):
    """In light a shadow is taken for a foot; so a better outline on the second ground must not win."""
    leaning, upright = mushroom(lean=12), mushroom(ground=(240, 240, 244))
    first = np.zeros_like(leaning) if is_first_empty else leaning

    def paint(self, text, seeds, *, guidance_scale):
        return [first if "on a black background" in text else upright] * len(seeds)

    monkeypatch.setattr(DiffusionGuide, "paint", paint)
    _grow(pruned_weights, named_world, tmp_path, first_guesses=1, species_names=["pale wood cup"])
    shown = np.asarray(Image.open(tmp_path / "pale-wood-cup" / "first_guess.webp").convert("RGB"))
    expected = upright if is_first_empty else leaning
    assert np.abs(shown.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("is_painted", [True, False])
def test_a_form_begins_as_the_mesh_that_is_uploaded_for_its_species(
    is_painted, pruned_weights, named_world, tmp_path
):
    mesh = tmp_path / "mine.glb"
    write_glb(mesh, mesh_volume(toadstool(32), max_faces=800), name="mine", extras={})
    if not is_painted:
        mesh.write_bytes(mesh.read_bytes().replace(b'"COLOR_0":2', b'"_OTHER_":2'))
    settings = {"species_names": ["pale wood cup"], "first_meshes": {"pale wood cup": str(mesh)}}
    _grow(pruned_weights, named_world, tmp_path / "forms", **settings)
    notes = json.loads((tmp_path / "forms" / "pale-wood-cup" / "form.json").read_text())
    assert notes["began_as"] == "mesh" and notes["first_mesh_sha256"] == hash_file(mesh)
    assert notes["start"] == 0.55 and notes["colour_rate"] == (0.004 if is_painted else 0.08)
    grown_volume = load_volume(tmp_path / "forms" / "pale-wood-cup" / "form.npz")
    first, body = (v.cell_alpha() > 0.5 for v in (load_upload(mesh, 16).volume, grown_volume))
    assert float((first & body).sum() / (first | body).sum()) > 0.6, "tidying hardens thin parts, no more"


def test_another_first_mesh_is_other_work_and_the_same_in_another_place_is_not(
    pruned_weights, named_world, tmp_path
):
    meshes = [tmp_path / name for name in ("a.glb", "b.glb", "c.glb")]
    for mesh, text in zip(meshes, ("one", "one", "two"), strict=True):
        mesh.write_text(text)
    plans = [_plan(pruned_weights, named_world, first_meshes={"pale-wood-cup": str(mesh)}) for mesh in meshes]
    first, same, other = (plan[1].work_sha256 for plan in plans)
    assert first == same != other and first != _plan(pruned_weights, named_world)[1].work_sha256
    assert plans[0][0].first_mesh == "" and plans[0][1].first_mesh == str(meshes[0])


def test_a_mesh_for_an_unknown_species_or_none_at_all_is_refused(pruned_weights, named_world, tmp_path):
    with pytest.raises(InputError, match="species 'blue elephant' not known"):
        _plan(pruned_weights, named_world, first_meshes={"blue elephant": __file__})
    with pytest.raises(InputError, match="first_meshes names .*none.glb', where there is no file"):
        _plan(pruned_weights, named_world, first_meshes={"pale wood cup": str(tmp_path / "none.glb")})
    with pytest.raises(InputError, match="tiny_encoder is .*, where there is no config.json"):
        _plan(pruned_weights, named_world, tiny_encoder=str(tmp_path))


def _judged(folder, *, janus=(0.0, 0.0), likeness=(0.8, 0.9), **of_the_first):
    """A folder of two forms with those figures."""
    forms = [
        {"common_name": name, "janus_share": j, "silhouette_likeness": value}
        for name, j, value in zip(("ashen cap", "golden cup"), janus, likeness, strict=True)
    ]
    forms[0] |= of_the_first
    (folder / "forms.json").write_text(json.dumps({"forms": forms}))
    return folder


def test_a_two_faced_form_fails_its_check_and_a_single_odd_view_of_many_does_not(tmp_path):
    assert check_consistency(_judged(tmp_path)).passed
    verdict = check_consistency(_judged(tmp_path, janus=(0.0, 0.5)))
    assert not verdict.passed and "two-faced: golden cup (50%)" in verdict.finding
    assert check_consistency(_judged(tmp_path, janus=(0.0, 0.1))).passed
    assert not check_consistency(_judged(tmp_path, janus=(0.125, 0.125))).passed


def test_a_form_that_lost_a_part_of_its_picture_fails_its_check(tmp_path):
    assert check_silhouettes(_judged(tmp_path, proportions_kept=0.8)).passed
    verdict = check_silhouettes(_judged(tmp_path, proportions_kept=0.4))
    assert not verdict.passed and "a part is lost, such as a stem, of: ashen cap (0.40)" in verdict.finding
    assert verdict.figures["maimed"] == 1 and verdict.figures["odd"] == 0


def test_an_outline_like_no_fungus_fails_its_check(tmp_path):
    assert check_silhouettes(_judged(tmp_path)).passed
    verdict = check_silhouettes(_judged(tmp_path, likeness=(0.5, 0.9)))
    assert not verdict.passed and "ashen cap (0.50)" in verdict.finding


@pytest.mark.parametrize(("density", "finding"), [(-30.0, "covers 0.0%"), (-4.0, "is glassy|is a fog")])
def test_an_empty_volume_and_a_fog_fail_the_check_of_solidity(grown, tmp_path, density, finding):
    folder = tmp_path / "forms"
    shutil.copytree(grown[0], folder)
    fog = torch.full((16, 16, 16), -30.0)
    fog[4:-4, 4:-4, 4:-4] = density
    save_volume(folder / "pale-wood-cup" / "form.npz", Volume(fog, torch.zeros(3, 16, 16, 16)), {})
    verdict = check_solidity(folder)
    assert not verdict.passed and re.search(f"pale wood cup ({finding})", verdict.finding)
