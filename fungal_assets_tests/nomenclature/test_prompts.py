import json
import re

import pytest

from fungal_assets.diffusion.rehearsal import texts_to_rehearse
from fungal_assets.errors import InputError
from fungal_assets.galleries.planning import plan_gallery
from fungal_assets.nomenclature.bad_lines import read_bad_lines
from fungal_assets.nomenclature.prompts import (
    ARTISTS_CONTROLS,
    CONTROLS_PATH,
    PURPOSES,
    read_all_controls,
    read_controls,
    write_prompts,
)
from fungal_assets.nomenclature.species import read_species
from fungal_assets.nomenclature.templates import KINDS
from fungal_assets.nomenclature.wordings import depict
from fungal_assets.pocket.world import WORLD_CONCEPTS
from fungal_assets.profiles import PROFILES
from fungal_assets.words import with_article
from fungal_assets_tests.nomenclature.growths import ASKED, CLASS_NOUN, VIEW_WORDS, call_by_form

LEARNT_THINGS = 100
"""How many of the world's things the shipped model was taught (README, Limits)."""


def _prompts(growth):
    return json.loads((growth.prompts / "prompts.json").read_text())


def _write(growth, folder, **changed):
    asked = {"class_noun": CLASS_NOUN, "mutants": 0, "view_words": VIEW_WORDS, "seed": 1, **ASKED}
    figures = write_prompts(growth.species, growth.name_lexicon, folder, **asked | changed)
    return figures, json.loads((folder / "prompts.json").read_text())["prompts"]


def test_every_prompt_and_the_view_words_say_what_they_are_for(growth):
    found = _prompts(growth)
    assert all(one["purpose"] for one in found["prompts"])
    assert {one["kind"] for one in found["prompts"]} == {*KINDS, "control", "rehearsal"}
    assert found["purposes"] == PURPOSES and found["purposes"]["view_words"]


def test_every_species_has_its_five_kinds_of_prompts(growth):
    found = _prompts(growth)["prompts"]
    for one in read_species(growth.species):
        own = {prompt["kind"]: prompt["text"] for prompt in found if prompt["species_id"] == one.species_id}
        colours, subject = " and ".join(one.colour_names), depict(one.common_name, one.class_noun(CLASS_NOUN))
        assert own["form"] == f"{subject}, {colours}"
        assert own["species"] == f"{own['form']}, {one.habitat}"
        assert own["subspecies"].endswith(subject.split(maxsplit=4)[-1] + f", {colours}, {one.habitat}")
        assert own["context"].startswith(f"{own['form']}, ")


@pytest.mark.parametrize(("class_noun", "ending"), [("mushroom", " cup fungus"), ("", "")])
def test_species_and_mutants_of_a_sure_form_are_called_by_it_unless_names_are_said_alone(
    class_noun, ending, growth, tmp_path
):
    species = call_by_form(growth.species, tmp_path / "species", "cup fungus")
    asked = {"class_noun": class_noun, "mutants": 2, "view_words": VIEW_WORDS, "seed": 1, **ASKED}
    write_prompts(species, growth.name_lexicon, tmp_path, **asked)
    prompts = json.loads((tmp_path / "prompts.json").read_text())["prompts"]
    for one in read_species(species):
        subject = f"a photo of {with_article(one.common_name)}{ending}"
        own = [text["text"] for text in prompts if text["prompt_id"] == f"form-{one.slug}"]
        assert own == [f"{subject}, {' and '.join(one.colour_names)}"]
    mutants = [one["text"] for one in prompts if one["kind"] == "mutant"]
    assert len(mutants) == 2
    assert all(text.endswith("fungus") == bool(ending) for text in mutants)


def test_mutants_are_new_names_of_words_that_species_have(growth):
    names = [one.common_name for one in read_species(growth.species)]
    words = {word for name in names for word in name.split()}
    mutants = [
        one["text"].split(maxsplit=4)[-1].removesuffix(f" {CLASS_NOUN}")
        for one in _prompts(growth)["prompts"]
        if one["kind"] == "mutant"
    ]
    assert len(mutants) == len(set(mutants)) == 4
    assert all(set(mutant.split()) <= words and mutant not in names for mutant in mutants)


@pytest.mark.parametrize(("kind", "least"), [("control", 53), ("rehearsal", 30)])
def test_prompts_of_each_kind_are_many_and_spread_over_ten_groups(kind, least):
    groups = [one["group"] for one in read_controls(CONTROLS_PATH)[0] if one["kind"] == kind]
    assert len(groups) >= least
    assert len(set(groups)) == 10 and min(groups.count(group) for group in groups) >= 2


def test_every_control_is_a_thing_that_the_pocket_model_was_taught():
    """Else its retention would be measured on things that it never drew."""
    learnt = {concept.name for concept in WORLD_CONCEPTS[:LEARNT_THINGS]}
    shipped, bad = read_controls(CONTROLS_PATH)
    assert bad == []
    assert {one["expected"] for one in shipped} <= learnt
    assert len({one["expected"] for one in shipped}) == len(shipped)


def test_the_first_controls_of_every_profile_are_of_all_ten_kinds():
    controls = [one for one in read_controls(CONTROLS_PATH)[0] if one["kind"] == "control"]
    for profile in PROFILES.values():
        asked = controls[: profile.settings["sample_galleries"]["controls"]]
        assert len({one["group"] for one in asked}) == 10


def test_the_artists_prompts_are_measured_and_no_measured_prompt_is_rehearsed():
    texts = {
        kind: [one["text"] for one in read_controls(CONTROLS_PATH)[0] if one["kind"] == kind]
        for kind in ("control", "rehearsal")
    }
    assert tuple(texts["control"][:3]) == ARTISTS_CONTROLS
    assert not set(texts["control"]) & set(texts["rehearsal"])


def test_prompt_ids_are_unique_and_file_names(growth):
    ids = [one["prompt_id"] for one in _prompts(growth)["prompts"]]
    assert len(ids) == len(set(ids))
    assert all(prompt_id.replace("-", "").isalnum() for prompt_id in ids)
    assert _prompts(growth)["view_words"] == VIEW_WORDS


def test_no_mutants_are_made_where_none_are_asked_for(growth, tmp_path):
    figures, _ = _write(growth, tmp_path)
    assert figures["mutant"] == 0
    assert figures["species"] == 3


def test_contexts_are_of_the_groups_that_are_asked_for_dealt_out_over_the_species(growth, tmp_path):
    _, prompts = _write(growth, tmp_path, context_groups=["closeness"])
    endings = [one["text"].split(", ")[-1] for one in prompts if one["kind"] == "context"]
    assert sorted(set(endings)) == ["from afar", "up close"] and len(endings) == 3
    figures, prompts = _write(growth, tmp_path, context_groups=[])
    assert figures["context"] == 0 and not [one for one in prompts if one["kind"] == "context"]


def test_ones_own_templates_take_the_place_of_the_shipped_and_bad_lines_are_told(growth, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "kind,group,template,purpose\n"
        'species,,"an oil painting of {subject}",for the wall\n'
        "mutant,,{nonsense},why\n"
        'context,season,"{subject} at {colours} dusk",for the mood\n'
    )
    figures, prompts = _write(
        growth, tmp_path, templates=str(path), context_groups=["season"], mutants=3, class_noun=""
    )
    own = {one["kind"]: one for one in prompts if one["species_id"] == "species-00"}
    name, colours = read_species(growth.species)[0].common_name, read_species(growth.species)[0].colour_names
    assert own["species"]["text"].startswith("an oil painting of a") and own["species"]["text"].endswith(name)
    assert own["species"]["purpose"] == "for the wall"
    assert own["context"]["text"].endswith(f"{name} at {' and '.join(colours)} dusk")
    assert "subspecies" not in own and figures["mutant"] == figures["subspecies"] == 0
    assert figures["bad_lines"] == 1
    assert json.loads((tmp_path / "bad_lines.json").read_text())[0]["line"] == 3


def test_ones_own_controls_come_right_after_the_artists_and_bad_lines_are_told(tmp_path):
    path = tmp_path / "own.csv"
    rows = ["cat,cat,animals,measured", "yak,yak,animals,measured", "dog sled,,animals,measured"]
    path.write_text("\n".join(["text,expected,group,use", *rows]))
    prompts, bad = read_all_controls(str(path))
    assert [one["text"] for one in prompts][:4] == [*ARTISTS_CONTROLS, "yak"]
    assert len(prompts) == len(read_controls(CONTROLS_PATH)[0]) + 1
    assert [str(one) for one in bad] == [
        "own.csv line 2: 'cat' is there twice",
        "own.csv line 4: expected is empty",
    ]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_profile_measures_and_rehearses_ones_own_controls(growth, tmp_path, profile):
    path = tmp_path / "own.csv"
    path.write_text("text,expected,group,use\nyak,yak,animals,measured\nzebu,zebu,animals,rehearsed\n")
    _, prompts = _write(growth, tmp_path, extra_controls=str(path))
    asked = profile.settings["sample_galleries"]
    gallery = plan_gallery(prompts, images_per_prompt=1, controls=asked["controls"], seed=0)
    assert {"yak", *ARTISTS_CONTROLS} <= {one.text for one in gallery if one.kind == "control"}
    assert "zebu" in texts_to_rehearse(tmp_path, profile.settings["rehearsal"]["rehearsal_prompts"])


def test_controls_in_any_script_have_ids_of_their_own_that_name_files(tmp_path):
    path = tmp_path / "own.csv"
    texts = ["велосипед", "кошка", "猫", "yak", "yak!", "Як yak", "кошка", "Cat"]
    rows = [f"{text},thing,things,{'rehearsed' if text == '猫' else 'measured'}" for text in texts]
    path.write_text("\n".join(["text,expected,group,use", *rows]), encoding="utf-8")
    prompts, bad = read_all_controls(str(path))
    assert [one["text"] for one in prompts][3:9] == texts[:6]
    assert [one.reason for one in bad] == ["'кошка' is there twice", "'Cat' is there twice"]
    ids = [one["prompt_id"] for one in prompts]
    assert len(ids) == len(set(ids)) and "control-yak" in ids
    assert all(re.fullmatch("(control|rehearsal)(-[a-z0-9]+)+", prompt_id) for prompt_id in ids)


def _own_templates(tmp_path, *lines):
    path = tmp_path / "own.csv"
    header = "kind,group,template,purpose\nspecies,,a sketch of {subject},to see\n"
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return str(path)


def test_ones_own_templates_may_lack_groups_that_the_profile_asks_for(growth, tmp_path):
    templates = _own_templates(tmp_path, "context,habitat,{subject} in a bog,why")
    said = []
    figures, prompts = _write(growth, tmp_path, templates=templates, tell=said.append)
    contexts = [one["text"] for one in prompts if one["kind"] == "context"]
    assert figures["context"] == 3 and all(text.endswith(" in a bog") for text in contexts)
    assert [text for text in said if "about closeness" in text]


@pytest.mark.parametrize("lines", [(), ("context,habitat,{subject} in a bog,",)], ids=["none", "a bad one"])
def test_ones_own_templates_without_a_good_context_line_give_no_contexts_and_tell_bad_ones(
    growth, tmp_path, lines
):
    figures, prompts = _write(growth, tmp_path, templates=_own_templates(tmp_path, *lines))
    assert figures["context"] == 0 and figures["species"] == 3
    assert [one.reason for one in read_bad_lines(tmp_path)] == ["purpose is empty"] * len(lines)


def test_ones_own_context_lines_of_which_none_is_asked_for_are_refused_with_the_remedy(growth, tmp_path):
    lines = ["context,season,{subject} in May,why", "context,habitat,{subject} in a bog,"]
    templates = _own_templates(tmp_path, *lines)
    message = (
        "context lines about season. Left out as bad: own.csv line 4: purpose is empty. "
        "Set prompts.context_groups=[season] or mend those lines."
    )
    with pytest.raises(InputError, match=re.escape(message)):
        _write(growth, tmp_path, templates=templates)


def test_a_group_that_the_shipped_templates_lack_is_refused(growth, tmp_path):
    with pytest.raises(InputError, match=r"names \['wether'\]; .* Set prompts.context_groups=\[habitat,"):
        _write(growth, tmp_path, context_groups=["habitat", "wether"])


def test_faults_of_a_control_table_are_named_by_line(tmp_path):
    path = tmp_path / "controls.csv"
    rows = [
        "cat,cat,animals,measured",
        "cat,cat,animals,measured",
        "dog,,animals,measured",
        "bee,bee,animals,eaten",
    ]
    path.write_text("\n".join(["text,expected,group,use", *rows]))
    good, bad = read_controls(path)
    assert [one["text"] for one in good] == ["cat"]
    assert [str(one) for one in bad] == [
        "controls.csv line 3: 'cat' is there twice",
        "controls.csv line 4: expected is empty",
        "controls.csv line 5: use 'eaten' is none of measured, rehearsed",
    ]


def test_a_control_table_without_a_good_line_is_refused(tmp_path):
    path = tmp_path / "controls.csv"
    path.write_text("text,expected,group,use\ndog,,animals,measured\n")
    with pytest.raises(InputError, match="no line that can be used: controls.csv line 2: expected is empty"):
        read_controls(path)


def test_a_view_that_there_is_not_is_named(growth, tmp_path):
    with pytest.raises(
        InputError, match=r"\['inside'\]; the views are front, side, back, angled, above, below"
    ):
        _write(growth, tmp_path, view_words={"side": "side view", "inside": "cut open"})
