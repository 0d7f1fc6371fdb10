import pytest

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.habitats import HABITAT_WORDS
from fungal_assets.nomenclature.templates import (
    KINDS,
    TEMPLATES_PATH,
    Template,
    of_groups,
    of_kind,
    read_templates,
)
from fungal_assets.nomenclature.wordings import depict
from fungal_assets.profiles import PROFILES

HEADER = "kind,group,template,purpose\n"
SPECIES = 'species,,"a photo of {subject}, {colours}",to see it\n'


def _read(tmp_path, *lines):
    path = tmp_path / "own.csv"
    path.write_text(HEADER + "".join(lines))
    return read_templates(path)


def test_the_shipped_templates_are_all_good_of_every_kind_and_say_what_they_are_for():
    good, bad = read_templates(TEMPLATES_PATH)
    assert bad == []
    assert {one.kind for one in good} == set(KINDS)
    assert all(one.purpose for one in good)


def test_a_shipped_prompt_of_a_species_opens_as_its_captions_do():
    template = of_kind(read_templates(TEMPLATES_PATH)[0], "species")
    assert (
        template.fill("an amber bonnet", "brown and white") == "a photo of an amber bonnet, brown and white"
    )
    assert template.fill("an amber bonnet", "", "in moss") == "a photo of an amber bonnet, in moss"
    assert template.fill("an amber bonnet", "") == depict("amber bonnet", "")


def test_a_shipped_prompt_of_a_form_says_no_place():
    """A form is shown on grounds of its own, which are said beside its prompt."""
    template = of_kind(read_templates(TEMPLATES_PATH)[0], "form")
    assert template.fill("an amber bonnet", "brown", "in moss") == "a photo of an amber bonnet, brown"


def test_there_is_a_context_line_for_every_habitat_that_captions_name():
    habitats = [one.ending for one in of_groups(read_templates(TEMPLATES_PATH)[0], ["habitat"])]
    assert {ending.removeprefix("growing ") for ending in habitats} == set(HABITAT_WORDS.values())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_profile_asks_for_groups_that_there_are(profile):
    groups = profile.settings["prompts"]["context_groups"]
    assert {one.group for one in of_groups(read_templates(TEMPLATES_PATH)[0], groups)} == set(groups)


def test_the_pocket_models_context_lines_are_of_words_that_it_learnt():
    from fungal_assets.pocket.fungarium.captions import describe
    from fungal_assets.pocket.fungarium.sampling import sample_traits

    learnt = {
        word
        for seed in range(800)
        for word in describe(sample_traits(seed), rng_seed=seed).replace(",", " ").split()
    }
    groups = PROFILES["pocket"].settings["prompts"]["context_groups"]
    lines = of_groups(read_templates(TEMPLATES_PATH)[0], groups)
    assert not {word for one in lines for word in one.ending.split()} - learnt


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("poem,,{subject},why\n", "kind 'poem' is none of species, form, subspecies, mutant, context"),
        ("mutant,,{name} of {subject},why\n", "{name} is none of {subject}, {colours}, {place}"),
        ("mutant,,{subject} and {subject},why\n", "{subject} stands 2 times"),
        ("mutant,,a mushroom,why\n", "{subject} stands 0 times"),
        ("mutant,,{subject,why\n", "{ is none of {subject}, {colours}, {place}"),
        ("mutant,,{subject},\n", "purpose is empty"),
        ("context,,{subject} in a field,why\n", "group is empty"),
        (SPECIES, "a second template of kind species"),
    ],
    ids=["kind", "gap", "twice", "no subject", "brace", "purpose", "group", "second"],
)
def test_a_bad_line_is_left_out_and_told_and_the_good_ones_beside_it_are_used(tmp_path, line, reason):
    good, bad = _read(tmp_path, SPECIES, line, "context,season,{subject} in summer,why\n")
    assert [one.kind for one in good] == ["species", "context"]
    assert [(one.table, one.line) for one in bad] == [("own.csv", 3)]
    assert reason in bad[0].reason


def test_a_context_that_is_there_twice_is_told(tmp_path):
    line = "context,season,{subject} in summer,why\n"
    assert "is there twice" in _read(tmp_path, SPECIES, line, line)[1][0].reason


def test_a_file_without_a_good_template_for_species_is_refused(tmp_path):
    with pytest.raises(InputError, match="no line that can be used: own.csv line 2: kind 'poem'"):
        _read(tmp_path, "poem,,{subject},why\n")


def test_a_group_that_there_is_not_is_named_with_those_that_there_are(tmp_path):
    good, _ = _read(tmp_path, SPECIES, "context,season,{subject} in summer,why\n")
    with pytest.raises(InputError, match=r"\['weather'\]; the templates have context lines about season"):
        of_groups(good, ["season", "weather"])


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("{subject}, {colours}, on a log", "on a log"),
        ("{subject} on a log", ""),
        ("{subject}, {colours}", ""),
    ],
)
def test_the_ending_is_what_every_subject_shares(text, ending):
    assert Template("context", "habitat", text, "why").ending == ending
