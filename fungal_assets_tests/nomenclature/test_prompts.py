import json

import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.prompts import (
    ARTISTS_CONTROLS,
    CONTROLS_PATH,
    read_controls,
    write_prompts,
)
from fungal_assets.nomenclature.species import read_species
from fungal_assets.nomenclature.wordings import depict
from fungal_assets_tests.nomenclature.growths import CLASS_NOUN, VIEW_WORDS


def _prompts(growth):
    return json.loads((growth.prompts / "prompts.json").read_text())


def test_every_species_has_its_four_kinds_of_prompts(growth):
    found = _prompts(growth)["prompts"]
    for one in read_species(growth.species):
        own = {prompt["kind"]: prompt["text"] for prompt in found if prompt["species_id"] == one.species_id}
        colours = " and ".join(one.colour_names)
        assert own["species"] == f"{depict(one.common_name, CLASS_NOUN)}, {colours}"
        assert own["subspecies"].endswith(
            depict(one.common_name, CLASS_NOUN).split(maxsplit=4)[-1] + f", {colours}"
        )
        assert own["context"].startswith(f"{own['species']}, ")


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


@pytest.mark.parametrize("kind", ["control", "rehearsal"])
def test_thirty_prompts_and_more_of_each_kind_are_spread_over_ten_groups(kind):
    groups = [one["group"] for one in read_controls(CONTROLS_PATH) if one["kind"] == kind]
    assert len(groups) >= 30
    assert len(set(groups)) == 10 and min(groups.count(group) for group in groups) >= 2


def test_the_artists_prompts_are_measured_and_no_measured_prompt_is_rehearsed():
    texts = {
        kind: [one["text"] for one in read_controls(CONTROLS_PATH) if one["kind"] == kind]
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
    figures = write_prompts(
        growth.species,
        growth.name_lexicon,
        tmp_path,
        class_noun=CLASS_NOUN,
        mutants=0,
        view_words=VIEW_WORDS,
        seed=1,
    )
    assert figures["mutant"] == 0
    assert figures["species"] == 3


def test_faults_of_a_control_table_are_named_by_line(tmp_path):
    path = tmp_path / "controls.csv"
    rows = [
        "cat,cat,animals,measured",
        "cat,cat,animals,measured",
        "dog,,animals,measured",
        "bee,bee,animals,eaten",
    ]
    path.write_text("\n".join(["text,expected,group,use", *rows]))
    with pytest.raises(InputError) as caught:
        read_controls(path)
    assert "line 4: expected is empty; line 2: 'cat' is there twice" in str(caught.value)
    assert "line 5: use 'eaten' is none of measured, rehearsed" in str(caught.value)


def test_a_view_that_there_is_not_is_named(growth, tmp_path):
    with pytest.raises(
        InputError, match=r"\['inside'\]; the views are front, side, back, angled, above, below"
    ):
        write_prompts(
            growth.species,
            growth.name_lexicon,
            tmp_path,
            class_noun=CLASS_NOUN,
            mutants=0,
            view_words={"side": "side view", "inside": "cut open"},
            seed=1,
        )
