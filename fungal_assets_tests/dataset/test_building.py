import csv
import json
import os
import subprocess
import sys
import textwrap

import pytest
import yaml

from fungal_assets.dataset.building import build_dataset
from fungal_assets.errors import InputError
from fungal_assets.shards import ShardWriter, image_schema, read_rows, read_table, shard_paths, write_table
from fungal_assets.store import hash_files


def build(growth, folder, *, prepared=None, captions=None, has_imagefolder=True):
    folder.mkdir(parents=True, exist_ok=True)
    inputs = (
        prepared or growth.prepared_images,
        captions or growth.captions,
        growth.species,
        growth.raw_images,
    )
    return build_dataset(*inputs, folder, max_shard_mb=256.0, has_imagefolder=has_imagefolder)


@pytest.fixture(scope="module")
def dataset(growth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    build(growth, folder)
    return folder


def test_every_admitted_image_is_a_row_with_its_bytes_unchanged(growth, dataset):
    prepared = {row["image_id"]: row["image"]["bytes"] for row in read_rows(growth.prepared_images)}
    assert {row["image_id"]: row["image"]["bytes"] for row in read_rows(dataset / "data")} == prepared
    captions = {row["image_id"]: row["caption"] for row in read_table(growth.captions / "captions.parquet")}
    assert {row["image_id"]: row["text"] for row in read_rows(dataset / "data")} == captions


def test_every_row_has_the_wordings_of_its_captions(growth, dataset):
    captions = {row["image_id"]: row for row in read_table(growth.captions / "captions.parquet")}
    for row in read_rows(dataset / "data"):
        told = captions[row["image_id"]]
        assert (row["texts"], row["class_texts"]) == (told["wordings"], told["class_wordings"])
        assert row["text"] == row["texts"][0]


def test_there_are_two_shards_at_least(dataset):
    assert len(shard_paths(dataset / "data")) == 2


def test_two_builds_are_equal_in_every_byte_even_over_the_rest_of_a_killed_one(growth, dataset, tmp_path):
    (tmp_path / "imagefolder").mkdir()
    (tmp_path / "imagefolder/half.jpg").write_bytes(b"left by a killed run")
    build(growth, tmp_path)
    assert hash_files(tmp_path) == hash_files(dataset)


def test_the_imagefolder_is_left_out_where_it_is_not_wanted(growth, tmp_path):
    build(growth, tmp_path, has_imagefolder=False)
    assert not (tmp_path / "imagefolder").exists()


def test_the_front_matter_is_yaml_that_points_at_the_shards(dataset):
    front = yaml.safe_load((dataset / "README.md").read_text().split("---\n")[1])
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert front["license"] == "cc-by-4.0"
    assert front["dataset_info"]["splits"][0]["num_examples"] == 12


def test_the_attribution_table_names_the_creator_of_every_image(growth, dataset):
    with (dataset / "ATTRIBUTION.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["image_id"] for row in rows} == {
        row["image_id"] for row in read_rows(growth.raw_images, ["image_id"])
    }
    assert {(row["creator"], row["licence"]) for row in rows} == {("Ä. Tester", "CC-BY-4.0")}
    numbers = {row["page"].removeprefix("https://discs.example/") for row in rows}
    assert numbers == {row["origin"].removeprefix("disc ") for row in rows}


def test_images_that_were_not_prepared_are_named_and_refused(growth, tmp_path):
    rows = list(read_rows(growth.prepared_images))
    import pyarrow as pa

    with ShardWriter(tmp_path / "prepared", image_schema({"image_id": pa.string()}), shards=2) as writer:
        for row in rows[1:]:
            writer.write(row)
    with pytest.raises(InputError, match=f"1 admitted images are not prepared.*{rows[0]['image_id']}"):
        build(growth, tmp_path / "out", prepared=tmp_path / "prepared")


def test_images_without_a_caption_are_named_and_refused(growth, tmp_path):
    rows = read_table(growth.captions / "captions.parquet")
    write_table(tmp_path / "captions.parquet", rows[1:])
    with pytest.raises(InputError, match=f"1 admitted images have no caption.*{rows[0]['image_id']}"):
        build(growth, tmp_path / "out", captions=tmp_path)


def test_the_datasets_library_reads_the_shards_the_stream_and_the_imagefolder(dataset, tmp_path):
    script = f"""
        import json
        from datasets import load_dataset
        whole = load_dataset({str(dataset)!r}, split="train")
        first = next(iter(load_dataset({str(dataset)!r}, split="train", streaming=True)))
        files = load_dataset("imagefolder", data_dir={str(dataset / "imagefolder")!r}, split="train")
        print(json.dumps([whole.num_rows, sorted(whole.column_names), whole[0]["image"].size, first["text"],
                          files.num_rows, sorted(files.column_names), sorted(whole["text"]) == sorted(files["text"]),
                          [first["texts"], first["class_texts"]]]))
    """
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows, columns, size, text, file_rows, file_columns, has_same_texts, whole_texts = json.loads(
        done.stdout.splitlines()[-1]
    )
    assert (rows, file_rows, size) == (12, 12, [128, 128])
    told = ["class_texts", "creator", "image", "image_id", "licence", "source", "species", "species_id"]
    assert columns == [*told, "text", "texts"]
    assert set(whole_texts[0]) >= {text} and len(whole_texts[0]) == 4 and len(whole_texts[1]) == 2
    assert file_columns == ["image", "text"]
    assert text.startswith("a photo of ")
    assert has_same_texts
