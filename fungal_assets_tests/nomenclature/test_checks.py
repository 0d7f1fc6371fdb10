import json
import shutil

import pytest

from fungal_assets.nomenclature.checks import (
    check_captions_are_complete,
    check_captions_say_enough,
    check_lexicon_is_clean,
    check_lexicon_is_rich,
    check_prompts_are_complete,
    check_species_are_distinct,
    check_species_are_new,
    check_wordings,
)
from fungal_assets.shards import read_table, write_table


def test_a_sound_growth_passes_every_check(growth):
    verdicts = [
        check_lexicon_is_rich(growth.name_lexicon),
        check_lexicon_is_clean(growth.name_lexicon),
        check_species_are_new(growth.species, growth.name_lexicon),
        check_species_are_distinct(growth.species, growth.clusters),
        check_captions_are_complete(growth.captions, growth.raw_images),
        check_captions_say_enough(growth.captions, growth.species),
        check_wordings(growth.captions, growth.species, wordings=4, class_wordings=2),
        check_prompts_are_complete(growth.prompts, growth.species),
    ]
    assert not [verdict.finding for verdict in verdicts if not verdict.passed]


def _spoil(source, target, name, change):
    document = json.loads((source / name).read_text())
    change(document)
    (target / name).write_text(json.dumps(document))
    return target


def test_a_poor_and_dirty_lexicon_is_found(growth, tmp_path):
    write_table(tmp_path / "words.parquet", [{"word": "the", "part": "noun", "source": ""}])
    write_table(tmp_path / "names.parquet", read_table(growth.name_lexicon / "names.parquet")[:1] * 2)
    assert "2 names" in check_lexicon_is_rich(tmp_path).finding
    assert check_lexicon_is_clean(tmp_path).figures["faults"] == 3


def test_a_real_name_among_the_species_is_found(growth, tmp_path):
    def change(document):
        document["species"][0]["common_name"] = "death caps"

    verdict = check_species_are_new(
        _spoil(growth.species, tmp_path, "species.json", change), growth.name_lexicon
    )
    assert not verdict.passed
    assert "'death cap'" in verdict.finding


def test_a_genus_that_is_nearly_a_real_one_among_the_species_is_found(growth, tmp_path):
    def change(document):
        document["species"][0]["scientific_name"] = "Agaricuss aureus"

    spoilt = _spoil(growth.species, tmp_path, "species.json", change)
    assert "the genus of 'Agaricuss aureus'" in check_species_are_new(spoilt, growth.name_lexicon).finding


def test_a_name_given_twice_and_a_cluster_without_species_are_found(growth, tmp_path):
    def change(document):
        document["species"][1] = dict(document["species"][0])

    verdict = check_species_are_distinct(
        _spoil(growth.species, tmp_path, "species.json", change), growth.clusters
    )
    assert verdict.figures["faults"] == 5
    assert "cluster 1 has no species" in verdict.finding


@pytest.mark.parametrize(
    "caption", ["a photo of a mushroom, red, in moss", "a photo of {name}, red"], ids=["unnamed", "short"]
)
def test_a_caption_that_says_too_little_is_found(growth, tmp_path, caption):
    rows = read_table(growth.captions / "captions.parquet")
    name = rows[0]["caption"].split(", ")[0].removeprefix("a photo of ")
    rows[0]["caption"] = caption.format(name=name)
    write_table(tmp_path / "captions.parquet", rows)
    verdict = check_captions_say_enough(tmp_path, growth.species)
    assert verdict.figures["faults"] == 1
    assert rows[0]["image_id"] in verdict.finding


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param(lambda row: row["wordings"].pop(), "has 3 wordings and 2 of its class", id="few"),
        pytest.param(
            lambda row: row["wordings"].__setitem__(2, row["wordings"][1]), "says twice", id="repeated"
        ),
        pytest.param(lambda row: row["wordings"].reverse(), "is not its first wording", id="order"),
        pytest.param(
            lambda row: row["wordings"].__setitem__(1, "a photo of a mushroom"), "does not say", id="unnamed"
        ),
        pytest.param(
            lambda row: row["class_wordings"].__setitem__(0, f"{row['caption']} again"), " says '", id="named"
        ),
    ],
)
def test_wordings_that_are_too_few_or_say_the_wrong_thing_are_found(growth, tmp_path, change, finding):
    rows = read_table(growth.captions / "captions.parquet")
    change(rows[0])
    write_table(tmp_path / "captions.parquet", rows)
    verdict = check_wordings(tmp_path, growth.species, wordings=4, class_wordings=2)
    assert not verdict.passed and finding in verdict.finding


def test_a_missing_caption_is_found(growth, tmp_path):
    write_table(tmp_path / "captions.parquet", read_table(growth.captions / "captions.parquet")[1:])
    assert check_captions_are_complete(tmp_path, growth.raw_images).finding.startswith("11 captions")


def test_a_control_prompt_that_is_rehearsed_is_found(growth, tmp_path):
    def change(document):
        document["prompts"].append({"prompt_id": "x", "kind": "rehearsal", "text": "cat", "species_id": None})

    shutil.copytree(growth.prompts, tmp_path, dirs_exist_ok=True)
    spoilt = _spoil(growth.prompts, tmp_path, "prompts.json", change)
    assert (
        "'cat' is both rehearsed and measured" in check_prompts_are_complete(spoilt, growth.species).finding
    )


def test_lost_control_prompts_are_found(growth, tmp_path):
    def change(document):
        document["prompts"] = [one for one in document["prompts"] if one["text"] != "flower"]

    shutil.copytree(growth.prompts, tmp_path, dirs_exist_ok=True)
    verdict = check_prompts_are_complete(
        _spoil(growth.prompts, tmp_path, "prompts.json", change), growth.species
    )
    assert not verdict.passed
