"""Captioners, on a tiny BLIP at random weights: found by name, cleaned, plainly refused."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.captioners import (
    TransformersCaptioner,
    clean_phrase,
    find_captioner,
    licences_of,
)
from fungal_assets.nomenclature.captions import caption_images
from fungal_assets.shards import read_table
from fungal_assets_tests.nomenclature.growths import CLASS_NOUN, CLUTTERED_OPENING, WORDED
from fungal_assets_tests.nomenclature.tiny_blip import WORDS, write_blip


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blip")
    write_blip(folder)
    return folder


def test_a_captioner_says_plain_words_and_the_same_again(blip):
    images = [Image.new("RGB", (40, 50), colour) for colour in ("red", "green", "white")]
    told = find_captioner(str(blip)).describe(images)
    assert len(told) == 3 and told == TransformersCaptioner(blip).describe(images)
    assert all(told)
    assert all(set(text.split()) <= {word.lower().strip("[]") for word in WORDS} for text in told)


def test_its_phrase_is_a_wording_of_its_own_and_a_column(growth, blip, tmp_path):
    settings = {"class_noun": CLASS_NOUN, "cluttered_opening": CLUTTERED_OPENING, **WORDED, "seed": 7}
    inputs = (growth.raw_images, growth.clusters, growth.species, growth.feature_vectors)
    figures = caption_images(*inputs, tmp_path, **settings | {"captioner": str(blip)})
    rows = read_table(tmp_path / "captions.parquet")
    plain = {row["image_id"]: row for row in read_table(growth.captions / "captions.parquet")}
    assert figures["described"] == sum(row["described"] is not None for row in rows) > 0
    for row in rows:
        assert row["caption"] == plain[row["image_id"]]["caption"] and len(row["wordings"]) == 4
        if row["described"]:
            assert row["wordings"][1].endswith(f", {row['described']}")


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a close up of a mushroom on a log", "a mushroom on a log"),
        ("There is a red cap, in the moss!", "a red cap in the moss"),
        ("a photo of fungi", "fungi"),
        ("  ", None),
        ("123 %", None),
        ("moss " * 60, None),
    ],
)
def test_what_it_says_is_cleaned(text, phrase):
    assert clean_phrase(text) == phrase


def test_a_name_that_leads_nowhere_is_refused_with_what_to_do():
    with pytest.raises(
        InputError, match="'nowhere' is not a folder, not a card .*leave captions.captioner empty"
    ):
        find_captioner("nowhere")


def test_a_folder_without_a_captioner_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(InputError, match="holds no captioner that can be read"):
        find_captioner(str(tmp_path)).describe([Image.new("RGB", (8, 8))])


def test_offline_a_captioner_of_the_hub_is_missed_plainly(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match="'Salesforce/blip.*could not be fetched from the hub.*give a folder"
    ):
        find_captioner("blip-image-captioning-large")


def test_a_card_brings_its_licence_and_a_folder_none(tmp_path):
    assert licences_of("blip-image-captioning-large") == ["BSD-3-Clause"]
    assert licences_of(str(tmp_path)) == licences_of("") == []
