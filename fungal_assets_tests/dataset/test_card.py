"""The card: what machines read of it is true, and what people read of it is complete and names no private place."""

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from fungal_assets.dataset.card import read_front_matter
from fungal_assets.errors import ProvenanceError
from fungal_assets.nomenclature.species import read_species
from fungal_assets.shards import count_rows, read_rows, read_table, write_table
from fungal_assets_tests.dataset.conftest import ROWS


@pytest.fixture(scope="module")
def text(dataset):
    return (dataset / "README.md").read_text()


def rows_of(text, heading):
    """The cells of the tables of a section, heads included."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = (line for line in section.splitlines() if line.startswith("| "))
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def test_the_front_matter_is_yaml_that_points_at_the_shards_of_both_splits(dataset):
    front = read_front_matter(dataset / "README.md")
    assert front["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "data/train-*.parquet"},
                {"split": "test", "path": "data/test-*.parquet"},
            ],
        }
    ]
    assert front["license"] == "cc-by-4.0"
    counts = {one["name"]: one["num_examples"] for one in front["dataset_info"]["splits"]}
    assert counts == {split: count_rows(dataset / "data", split) for split in ("train", "test")}
    features = {one.pop("name"): one for one in front["dataset_info"]["features"]}
    assert features.pop("image") == {"dtype": "image"}
    assert features.pop("texts") == features.pop("class_texts") == {"list": "string"}
    assert all(one == {"dtype": "string"} for one in features.values()) and len(features) == 7


def test_a_card_without_front_matter_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("# Fungi\n")
    with pytest.raises(ProvenanceError, match="opens with no YAML"):
        read_front_matter(tmp_path / "README.md")


def test_without_a_held_out_split_the_card_names_one(build, tmp_path):
    build(tmp_path, share=0.0, has_imagefolder=False)
    text = (tmp_path / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert [one["split"] for one in front["configs"][0]["data_files"]] == ["train"]
    assert "Nothing is held out." in text


def test_every_picture_is_counted_by_species_split_and_licence(growth, dataset, text):
    per_split = {split: count_rows(dataset / "data", split) for split in ("train", "test")}
    heads, *species = rows_of(text, "Species")
    assert heads == ("species", "binomial", "train", "test")
    assert [row[0] for row in species] == [one.common_name for one in read_species(growth.species)]
    for at, split in enumerate(per_split, 2):
        assert sum(int(row[at]) for row in species) == per_split[split]
    assert rows_of(text, "Split")[1:] == [
        ("train", str(per_split["train"]), "2"),
        ("test", str(per_split["test"]), "1"),
    ]
    assert rows_of(text, "Licences and attribution")[1:] == [("test", "CC-BY-4.0", str(ROWS))]
    assert "Creators named: 1." in text


def test_the_figures_of_the_captions_are_those_of_the_rows(growth, dataset, text):
    captions = [row["text"] for row in read_rows(dataset / "data", ["text"])]
    lengths = sorted(len(caption.split()) for caption in captions)
    table = rows_of(text, "Captions")
    words = next(row for row in table if row[0] == "words of a caption")
    assert (int(words[1]), int(words[3])) == (lengths[0], lengths[-1])
    assert f"{len(set(captions))} of {ROWS} captions are different" in text
    measured = read_table(growth.captions / "captions.parquet")
    for name in ("habitat", "count", "colour_names"):
        row = next(row for row in table if row[0] == name.replace("_", " "))
        assert int(row[1]) == sum(bool(one[name]) for one in measured)


def test_the_card_says_what_was_told_by_sources_and_by_a_captioner(growth, build, text, tmp_path):
    rows = read_table(growth.captions / "captions.parquet")
    for at, row in enumerate(rows):
        row["is_habitat_told"], row["described"] = at < 5, "a cap" if at < 3 else None
    (tmp_path / "captions").mkdir()
    schema = pq.read_schema(growth.captions / "captions.parquet")
    write_table(tmp_path / "captions" / "captions.parquet", rows, schema)
    build(tmp_path / "dataset", captions=tmp_path / "captions", has_imagefolder=False)
    told = (tmp_path / "dataset" / "README.md").read_text()
    assert f"habitat of 5 pictures (share {5 / ROWS:.2f}) was not measured: their source told it" in told
    assert f"One wording of 3 pictures (share {3 / ROWS:.2f}) was written by a model" in told
    for card in (text, told):
        assert "described" not in [row[0] for row in rows_of(card, "Captions")]
    assert "their source told it" not in text and "was written by a model" not in text


def test_the_sheet_is_shown_and_lies_beside(dataset, text):
    assert "![12 of the pictures](samples.webp)" in text
    with Image.open(dataset / "samples.webp") as sheet:
        sheet.load()


def test_the_samples_are_training_pictures_of_every_species(dataset, text):
    rows = {row["text"]: row["species"] for row in read_rows(dataset / "data", stem="train")}
    shown = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- a ")]
    assert len(shown) == 12 and {rows[caption] for caption in shown} == set(rows.values())


def test_the_lineage_names_hashes_versions_and_settings_but_no_place_of_the_makers(text):
    row = next(row for row in rows_of(text, "How it was made") if row[0] == "raw_images")
    assert row[1:4] == ("`cccccccccccc`", "4 (0.1.0)", "source aaaaaaaaaaaa")
    assert row[4] == "min_side_px=96, source=(local)"
    assert "ada" not in text and "2026" not in text


@pytest.mark.parametrize("heading", ["What it is for, and what not", "Split", "Captions"])
def test_the_card_says_what_a_reader_asks(text, heading):
    assert f"## {heading}\n" in text
