import shutil
from dataclasses import replace
from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.attributes import Attributes
from fungal_assets.nomenclature.captions import Manner, caption_images
from fungal_assets.nomenclature.species import read_species
from fungal_assets.nomenclature.wordings import OPENING, depict, word_caption
from fungal_assets.shards import ShardWriter, image_schema, read_rows, read_table, write_table
from fungal_assets_tests.nomenclature.growths import CLASS_NOUN, CLUTTERED_OPENING, WORDED, call_by_form

DISC = np.hypot(*(np.indices((128, 128)) - 64)) < 36
FULL = Attributes(
    ("brown", "white"), "small", "in moss", "a group", "from afar", "side view", "in dim light", False
)
BARE = Attributes(("red",), None, None, None, None, None, "in soft light", False)


def test_every_specimen_is_captioned_with_its_species_name(growth):
    rows = read_table(growth.captions / "captions.parquet")
    assert {row["image_id"] for row in rows} == {
        row["image_id"] for row in read_rows(growth.raw_images, ["image_id"])
    }
    subjects = {
        one.species_id: depict(one.common_name, one.class_noun(CLASS_NOUN))
        for one in read_species(growth.species)
    }
    assert all(row["caption"].startswith(f"{subjects[row['species_id']]}, ") for row in rows)


def test_a_species_of_a_sure_form_is_called_by_it_with_its_name_and_without(growth, tmp_path):
    species = call_by_form(growth.species, tmp_path / "species", "cup fungus")
    settings = {"class_noun": CLASS_NOUN, "cluttered_opening": CLUTTERED_OPENING, **WORDED, "seed": 7}
    caption_images(growth.raw_images, growth.clusters, species, growth.feature_vectors, tmp_path, **settings)
    rows = list(read_table(tmp_path / "captions.parquet"))
    nameless = [text for row in rows for text in row["class_wordings"]]
    assert all("cup fung" in text for row in rows for text in row["wordings"])
    assert all(CLASS_NOUN not in text for text in nameless) and any("cup fung" in text for text in nameless)


@pytest.mark.parametrize(
    ("name", "class_noun", "opening"),
    [
        pytest.param(
            "amber hollow bonnet", "mushroom", "a photo of an amber hollow bonnet mushroom", id="class"
        ),
        pytest.param(
            "widow's russet mushroom", "mushroom", "a photo of a widow's russet mushroom", id="once"
        ),
        pytest.param("old moor cup", "", "a photo of an old moor cup", id="none"),
        pytest.param(
            "old moor goblet", "cup fungus", "a photo of an old moor goblet cup fungus", id="by form"
        ),
        pytest.param(
            "old moor cup", "cup fungus", "a photo of an old moor cup fungus", id="form in the name"
        ),
        pytest.param("pale fungus", "cup fungus", "a photo of a pale fungus", id="class in the name"),
    ],
)
def test_an_opening_says_the_name_and_what_all_species_are(name, class_noun, opening):
    assert depict(name, class_noun) == opening


@pytest.mark.parametrize("attributes", [FULL, BARE], ids=["full", "bare"])
def test_a_caption_says_two_to_five_attributes_that_were_measured(attributes):
    sayable = {"brown and white", "brown with white", "red", "in moss", "a group", "from afar"}
    sayable |= {"side view", "in soft light"}
    for number in range(50):
        _, *said = word_caption("a photo of an amber bonnet", attributes, f"id{number}", seed=1).split(", ")
        assert 2 <= len(said) == len(set(said)) <= 5
        assert set(said) <= sayable


def test_the_order_of_a_caption_varies_by_image_and_is_the_same_again():
    subject = depict("amber cap", CLASS_NOUN)
    texts = {number: word_caption(subject, FULL, f"id{number}", seed=1) for number in range(30)}
    assert len(set(texts.values())) > 10
    assert (
        texts[3] == word_caption(subject, FULL, "id3", seed=1) != word_caption(subject, FULL, "id3", seed=2)
    )


def test_the_captions_are_the_same_when_made_again(growth, tmp_path):
    settings = {"class_noun": CLASS_NOUN, "cluttered_opening": CLUTTERED_OPENING, **WORDED, "seed": 7}
    caption_images(
        growth.raw_images, growth.clusters, growth.species, growth.feature_vectors, tmp_path, **settings
    )
    assert (tmp_path / "captions.parquet").read_bytes() == (growth.captions / "captions.parquet").read_bytes()


def test_a_picture_full_of_clutter_is_called_a_snapshot(growth, tmp_path):
    """The same images, every second one on noise instead of an even ground."""
    rows = list(read_rows(growth.raw_images, ["image", "image_id"]))
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    with ShardWriter(
        tmp_path / "raw",
        image_schema({"image_id": pa.string(), "focus": pa.float64(), "ground": pa.string()}),
        shards=1,
        stem="images",
    ) as raw:
        for index, row in enumerate(rows):
            pixels = np.array(Image.open(BytesIO(row["image"]["bytes"])))
            if index % 2:
                pixels = np.where(DISC[..., None], pixels, noise)
            data = BytesIO()
            Image.fromarray(pixels).save(data, "PNG")
            image = {"bytes": data.getvalue(), "path": "x.png"}
            raw.write({"image": image, "image_id": row["image_id"], "focus": 0.5, "ground": "white"})
    figures = caption_images(
        tmp_path / "raw",
        growth.clusters,
        growth.species,
        growth.feature_vectors,
        tmp_path,
        class_noun=CLASS_NOUN,
        cluttered_opening=CLUTTERED_OPENING,
        **WORDED,
        seed=7,
    )
    captions = {row["image_id"]: row["caption"] for row in read_table(tmp_path / "captions.parquet")}
    for index, row in enumerate(rows):
        opening = CLUTTERED_OPENING if index % 2 else OPENING
        assert captions[row["image_id"]].startswith(f"{opening} a")
    assert figures["cluttered"] == len(rows) // 2


def test_what_the_source_says_of_the_habitat_goes_before_what_was_measured(growth, tmp_path):
    """Discs on snow, moss and black, each by its source on a log, or somewhere in unknown words."""
    told = ({"habitat": "forest", "substrate": "old log"}, {"habitat": "Wald", "substrate": "ask owner"})
    schema = {
        "image_id": pa.string(),
        "focus": pa.float64(),
        "ground": pa.string(),
        "habitat": pa.string(),
        "substrate": pa.string(),
    }
    rows = list(read_rows(growth.raw_images, ["image", "image_id"]))
    with ShardWriter(tmp_path / "raw", image_schema(schema), shards=1, stem="images") as raw:
        for index, row in enumerate(rows):
            raw.write({**row, "focus": 0.5, "ground": "white", **told[index % 2]})
    settings = {"class_noun": CLASS_NOUN, "cluttered_opening": CLUTTERED_OPENING, **WORDED, "seed": 7}
    figures = caption_images(
        tmp_path / "raw", growth.clusters, growth.species, growth.feature_vectors, tmp_path, **settings
    )
    found = {row["image_id"]: row for row in read_table(tmp_path / "captions.parquet")}
    before = {row["image_id"]: row for row in read_table(growth.captions / "captions.parquet")}
    for index, row in enumerate(rows):
        own, measured = found[row["image_id"]], before[row["image_id"]]
        expected = measured["habitat"] if index % 2 else "on a log"
        assert own["habitat"] == expected and expected in own["caption"]
        assert own["is_habitat_told"] == (index % 2 == 0)
        assert index % 2 or not any(measured["habitat"] in text for text in own["wordings"])
    assert figures["habitats_told_by_source"] == len(rows) // 2


def test_a_group_is_told_by_the_feature_vectors(growth, tmp_path, monkeypatch):
    """With weights by which every vector is a group."""
    counts = tmp_path / "counts.npz"
    np.savez_compressed(counts, weights=np.zeros(1280, np.float32), bias=9.0)
    monkeypatch.setattr("fungal_assets.nomenclature.counting.COUNTS_PATH", counts)
    settings = {"class_noun": CLASS_NOUN, "cluttered_opening": CLUTTERED_OPENING, **WORDED, "seed": 7}
    inputs = (growth.raw_images, growth.clusters, growth.species, growth.feature_vectors)
    caption_images(*inputs, tmp_path, **settings)
    rows = read_table(tmp_path / "captions.parquet")
    assert all(row["count"] == "a group" and "a group of" in row["wordings"][1] for row in rows)
    assert {row["count"] for row in read_table(growth.captions / "captions.parquet")} == {None}


def test_a_view_is_told_by_the_feature_vectors(growth, tmp_path, monkeypatch):
    """With weights by which every vector is surely seen from above, or likely, or surely at an angle."""
    settings = {"class_noun": CLASS_NOUN, "cluttered_opening": CLUTTERED_OPENING, **WORDED, "seed": 7}
    inputs = (growth.raw_images, growth.clusters, growth.species, growth.feature_vectors)
    above = ["seen from above", "side view"]
    for number, (sureness, words, said) in enumerate(
        [(9.0, above, "seen from above"), (1.0, above, None), (9.0, ["", "side view"], None)]
    ):
        views = tmp_path / f"views{number}.npz"
        np.savez_compressed(views, weights=np.zeros((2, 1280)), bias=[sureness, 0.0], view=words)
        monkeypatch.setattr("fungal_assets.nomenclature.orientation.VIEWS_PATH", views)
        figures = caption_images(*inputs, tmp_path, **settings)
        rows = read_table(tmp_path / "captions.parquet")
        assert {row["view"] for row in rows} == {said}
        assert all(("seen from above" in row["caption"]) == bool(said) for row in rows)
        assert figures["with_view"] == (len(rows) if said else 0)


@pytest.mark.parametrize("opening", ["", "  "], ids=["empty", "blank"])
def test_without_an_opening_of_its_own_clutter_is_told_as_all_else(opening):
    manner = Manner(CLASS_NOUN, opening, 4, 2, "", 7)
    manner.check()
    assert manner.opening(replace(FULL, is_cluttered=True)) == OPENING


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wordings": 0, "class_wordings": 9}, "wordings is 0, 1 to 8 expected; class_wordings is 9"),
        ({"captioner": "nowhere"}, "not a folder"),
        ({"cluttered_opening": "oh, a snapshot of"}, "'oh, a snapshot of', words without a comma expected"),
        ({"captioner": "nowhere", "wordings": 1}, "wordings is 1 and captioner is set"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(growth, tmp_path, change, message):
    settings = {"class_noun": CLASS_NOUN, "cluttered_opening": CLUTTERED_OPENING, **WORDED, "seed": 7}
    with pytest.raises(InputError, match=message):
        caption_images(
            growth.raw_images,
            growth.clusters,
            growth.species,
            growth.feature_vectors,
            tmp_path,
            **settings | change,
        )


def test_specimens_without_a_cluster_are_named_and_refused(growth, tmp_path):
    shutil.copy(growth.clusters / "clusters.json", tmp_path)
    rows = read_table(growth.clusters / "assignments.parquet")
    write_table(tmp_path / "assignments.parquet", rows[1:])
    with pytest.raises(InputError, match=f"1 of 12 specimens have no species.*{rows[0]['image_id']}"):
        caption_images(
            growth.raw_images,
            tmp_path,
            growth.species,
            growth.feature_vectors,
            tmp_path,
            class_noun=CLASS_NOUN,
            cluttered_opening=CLUTTERED_OPENING,
            **WORDED,
            seed=7,
        )
