import csv
import io
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.morphology.twins import read_groups
from fungal_assets.shards import ShardWriter, image_schema, read_rows, read_table, shard_paths, write_table
from fungal_assets.store import hash_files
from fungal_assets_tests.dataset.conftest import ROWS, write_groups


def texts_of(dataset, split="*"):
    return {row["image_id"]: row["text"] for row in read_rows(dataset / "data", stem=split)}


def test_every_admitted_image_is_a_row_with_its_bytes_unchanged(growth, dataset):
    prepared = {row["image_id"]: row["image"]["bytes"] for row in read_rows(growth.prepared_images)}
    assert {row["image_id"]: row["image"]["bytes"] for row in read_rows(dataset / "data")} == prepared
    captions = {row["image_id"]: row["caption"] for row in read_table(growth.captions / "captions.parquet")}
    assert texts_of(dataset) == captions


def test_every_row_has_the_wordings_of_its_captions(growth, dataset):
    captions = {row["image_id"]: row for row in read_table(growth.captions / "captions.parquet")}
    for row in read_rows(dataset / "data"):
        told = captions[row["image_id"]]
        assert (row["texts"], row["class_texts"]) == (told["wordings"], told["class_wordings"])
        assert row["text"] == row["texts"][0]


def test_the_splits_add_up_and_part_no_group(growth, dataset):
    train, test = texts_of(dataset, "train"), texts_of(dataset, "test")
    assert train and test and len(train) + len(test) == ROWS and not train.keys() & test.keys()
    groups = read_groups(growth.feature_vectors)
    assert {groups[image_id] for image_id in train}.isdisjoint(groups[image_id] for image_id in test)


def test_the_figures_are_those_of_the_files(build, tmp_path):
    figures = build(tmp_path)
    assert figures["rows"] == ROWS == figures["train_rows"] + figures["test_rows"]
    assert figures["test_rows"] == len(texts_of(tmp_path, "test"))
    assert figures["shards"] == len(shard_paths(tmp_path / "data"))


def test_there_are_two_training_shards_at_least(dataset):
    assert len(shard_paths(dataset / "data", "train")) == 2
    assert len(shard_paths(dataset / "data", "test")) == 1


def test_without_a_share_there_is_one_split(build, tmp_path):
    build(tmp_path, share=0.0)
    assert {path.name.split("-")[0] for path in shard_paths(tmp_path / "data")} == {"train"}
    assert [path.name for path in (tmp_path / "imagefolder").iterdir()] == ["train"]


def test_row_groups_hold_a_hundred_rows_and_the_schema_names_the_features(dataset):
    for path in shard_paths(dataset / "data"):
        metadata = pq.read_metadata(path)
        assert all(metadata.row_group(at).num_rows <= 100 for at in range(metadata.num_row_groups))
        features = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]["features"]
        assert features.pop("image") == {"_type": "Image"}
        for name in ("texts", "class_texts"):
            assert features.pop(name) == {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
        assert set(features) == {
            *("image_id", "text", "species", "species_id", "creator", "licence", "source")
        }
        assert all(feature == {"dtype": "string", "_type": "Value"} for feature in features.values())


def test_two_builds_are_equal_in_every_byte_even_over_the_rest_of_a_killed_one(build, dataset, tmp_path):
    (tmp_path / "imagefolder").mkdir()
    (tmp_path / "imagefolder/half.jpg").write_bytes(b"left by a killed run")
    (tmp_path / ".texts.arrow").write_bytes(b"left by a killed run")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test-00000-of-00009.parquet").write_bytes(b"left by a killed run")
    build(tmp_path)
    made = hash_files(tmp_path)
    assert not list(tmp_path.glob(".*")), "what was written on the way is gone"
    assert made == hash_files(dataset)
    assert {
        *("README.md", "samples.webp", "croissant.json", "ATTRIBUTION.csv"),
        *("data/train-00000-of-00002.parquet", "data/test-00000-of-00001.parquet"),
        *("imagefolder/train/metadata.jsonl", "imagefolder/test/metadata.jsonl"),
    } <= set(made)


def test_another_process_builds_the_same_bytes(growth, dataset, tmp_path):
    """One with another order of sets and from another place."""
    code = (
        "import sys; from pathlib import Path; from fungal_assets.dataset.building import build_dataset;"
        "from fungal_assets_tests.dataset.conftest import RECORD;"
        "build_dataset(*map(Path, sys.argv[1:]), max_shard_mb=256.0, has_imagefolder=True, held_out_share=0.25,"
        " records=[RECORD])"
    )
    names = ("prepared_images", "captions", "species", "raw_images", "feature_vectors")
    places = [*(str(getattr(growth, name)) for name in names), str(tmp_path)]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, *places], env=environment, check=True)
    assert hash_files(tmp_path) == hash_files(dataset)


def test_the_imagefolder_holds_the_rows_of_each_split(dataset):
    for split in ("train", "test"):
        folder = dataset / "imagefolder" / split
        lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
        told = {line["file_name"].split(".")[0]: line["text"] for line in lines}
        assert told == texts_of(dataset, split) and list(told) == sorted(told)
        pictures = {
            row["image"]["path"]: row["image"]["bytes"] for row in read_rows(dataset / "data", stem=split)
        }
        assert {line["file_name"]: (folder / line["file_name"]).read_bytes() for line in lines} == pictures


def test_the_imagefolder_is_left_out_where_it_is_not_wanted(build, tmp_path):
    build(tmp_path, has_imagefolder=False)
    assert not (tmp_path / "imagefolder").exists()


def test_the_sheet_shows_training_pictures_in_tiles(dataset):
    with Image.open(dataset / "samples.webp") as sheet:
        assert sheet.width == 4 * 196 + 4 and sheet.height == 3 * (196 + 14) + 4


def test_the_attribution_table_names_the_creator_of_every_image(growth, dataset):
    with (dataset / "ATTRIBUTION.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == sorted(
        row["image_id"] for row in read_rows(growth.raw_images, ["image_id"])
    )
    assert {(row["creator"], row["licence"]) for row in rows} == {("Ä. Tester", "CC-BY-4.0")}
    numbers = {row["page"].removeprefix("https://discs.example/") for row in rows}
    assert numbers == {row["origin"].removeprefix("disc ") for row in rows}


def test_images_that_were_not_prepared_are_named_and_refused(growth, build, tmp_path):
    rows = list(read_rows(growth.prepared_images))
    with ShardWriter(tmp_path / "prepared", image_schema({"image_id": pa.string()}), shards=2) as writer:
        for row in rows[1:]:
            writer.write(row)
    with pytest.raises(InputError, match=f"1 admitted images are not prepared.*{rows[0]['image_id']}"):
        build(tmp_path / "out", prepared_images=tmp_path / "prepared")


def test_images_without_a_caption_are_named_and_refused(growth, build, tmp_path):
    rows = read_table(growth.captions / "captions.parquet")
    write_table(tmp_path / "captions.parquet", rows[1:])
    with pytest.raises(InputError, match=f"1 admitted images have no caption.*{rows[0]['image_id']}"):
        build(tmp_path / "out", captions=tmp_path)


def test_captions_of_other_images_are_named_and_refused(growth, build, tmp_path):
    rows = read_table(growth.captions / "captions.parquet")
    write_table(tmp_path / "captions.parquet", [*rows, rows[0] | {"image_id": "f" * 16}])
    with pytest.raises(InputError, match=f"1 captioned images were not admitted.*{'f' * 16}"):
        build(tmp_path / "out", captions=tmp_path)


def test_captions_of_before_there_were_several_texts_are_refused_with_what_to_type(growth, build, tmp_path):
    kept = ("image_id", "species_id", "caption", "habitat")
    rows = read_table(growth.captions / "captions.parquet")
    write_table(tmp_path / "captions.parquet", ({name: row[name] for name in kept} for row in rows))
    with pytest.raises(InputError, match="no columns .'wordings', 'class_wordings'.*grow --until captions"):
        build(tmp_path / "out", captions=tmp_path)


def test_images_that_have_no_feature_vector_are_named_and_refused(growth, build, tmp_path):
    groups = read_groups(growth.feature_vectors)
    lost = groups.popitem()[0]
    with pytest.raises(InputError, match=f"1 images are admitted or have a feature vector, not both.*{lost}"):
        build(tmp_path / "out", feature_vectors=write_groups(tmp_path / "vectors", groups))


def test_pictures_decode_to_what_was_prepared(dataset):
    row = next(read_rows(dataset / "data", stem="test"))
    assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (128, 128)
