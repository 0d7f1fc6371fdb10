"""Shards: every row is found again, in any number of shards, and a missing shard is named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fungal_assets.errors import ProvenanceError
from fungal_assets.shards import (
    ShardWriter,
    count_rows,
    has_shards,
    image_schema,
    read_rows,
    read_table,
    shard_count,
    shard_of,
    shard_paths,
    write_table,
)

SCHEMA = image_schema({"image_id": pa.string(), "text": pa.string()})


def write(folder, rows, shards, **options):
    with ShardWriter(folder, SCHEMA, shards=shards, **options) as writer:
        for index in range(rows):
            image = {"bytes": bytes([index % 256]) * 10, "path": f"{index}.png"}
            writer.write({"image": image, "image_id": f"id-{index}", "text": f"text {index}"})
    return writer.row_count


@pytest.mark.parametrize("shards", [1, 2, 50])
def test_every_row_is_found_again(tmp_path, shards):
    assert write(tmp_path, 333, shards) == 333
    rows = list(read_rows(tmp_path))
    assert count_rows(tmp_path) == 333 and len(shard_paths(tmp_path)) == shards
    assert {row["image_id"] for row in rows} == {f"id-{index}" for index in range(333)}
    assert all(row["image"]["path"] == f"{row['text'].split()[1]}.png" for row in rows)


@pytest.mark.parametrize("start", [0, 1, 100, 166, 250, 332, 333, 400])
def test_reading_goes_on_behind_any_row(tmp_path, start):
    write(tmp_path, 333, 3)
    assert list(read_rows(tmp_path, ["text"], start=start)) == list(read_rows(tmp_path, ["text"]))[start:]


def test_a_missing_shard_is_named(tmp_path):
    write(tmp_path, 30, 3)
    shard_paths(tmp_path)[1].unlink()
    with pytest.raises(ProvenanceError, match=r"holds 2 parquet shards.*promise \[3\]"):
        list(read_rows(tmp_path))


def test_each_set_of_shards_is_read_by_its_stem(tmp_path):
    for stem, first, shards in (("train", 0, 3), ("test", 100, 1)):
        with ShardWriter(tmp_path, SCHEMA, shards=shards, stem=stem) as writer:
            for number in range(first, first + 7):
                writer.write({"image": None, "image_id": f"id-{number}", "text": stem})
    assert [path.name.split("-")[0] for path in shard_paths(tmp_path)] == ["test", "train", "train", "train"]
    assert {row["text"] for row in read_rows(tmp_path, stem="train")} == {"train"}
    assert (count_rows(tmp_path, "train"), count_rows(tmp_path, "test"), count_rows(tmp_path)) == (7, 7, 14)
    assert has_shards(tmp_path, "test") and not has_shards(tmp_path, "validation")
    with pytest.raises(ProvenanceError, match="holds no parquet shards validation-"):
        shard_paths(tmp_path, "validation")
    shard_paths(tmp_path, "train")[0].unlink()
    assert count_rows(tmp_path, "test") == 7
    with pytest.raises(ProvenanceError, match=r"holds 2 parquet shards.*promise \[3\]"):
        shard_paths(tmp_path)


@pytest.mark.parametrize("start", [0, 1, 99, 100, 140, 249, 250, 400])
@pytest.mark.parametrize("stem", ["train", "test"])
def test_reading_one_set_of_shards_goes_on_behind_any_row_of_it(tmp_path, stem, start):
    """Rows of the other set are not among those that are passed over, whether its name sorts before or behind."""
    write(tmp_path, 250, 2, stem="train")
    write(tmp_path, 333, 3, stem="test")
    whole = list(read_rows(tmp_path, ["text"], stem=stem))
    assert list(read_rows(tmp_path, ["text"], start=start, stem=stem)) == whole[start:]


def test_a_column_of_lists_is_read_by_the_datasets_library_as_one(tmp_path):
    schema = image_schema({"image_id": pa.string(), "texts": pa.list_(pa.string())})
    with ShardWriter(tmp_path, schema, shards=1) as writer:
        writer.write({"image": None, "image_id": "id", "texts": ["a cap", "one cap"]})
    from datasets import Features, List, Value

    features = json.loads(pq.read_schema(shard_paths(tmp_path)[0]).metadata[b"huggingface"])["info"][
        "features"
    ]
    assert Features.from_dict(features)["texts"] == List(Value("string"))


def test_the_same_rows_make_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, 120, 2)
    for one, two in zip(shard_paths(tmp_path / "a"), shard_paths(tmp_path / "b"), strict=True):
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("held_mb", [0, 1e-4, 1e-3, 2.5e-3])
@pytest.mark.parametrize("rows, shards", [(1, 1), (100, 1), (333, 3), (1500, 7)])
def test_rows_that_waited_on_disk_make_the_same_bytes(tmp_path, rows, shards, held_mb):
    write(tmp_path / "held", rows, shards)
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / f".train-00000-of-{shards:05d}.waiting").write_bytes(b"of a run that was killed")
    write(tmp_path / "aside", rows, shards, held_mb=held_mb)
    for one, two in zip(shard_paths(tmp_path / "held"), shard_paths(tmp_path / "aside"), strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert {path.suffix for path in (tmp_path / "aside").iterdir()} == {".parquet"}


def test_no_more_images_wait_in_memory_than_allowed(tmp_path):
    with ShardWriter(tmp_path, SCHEMA, shards=50, held_mb=0.01) as writer:
        for index in range(1000):
            image = {"bytes": bytes(1000), "path": None}
            writer.write({"image": image, "image_id": f"id-{index}", "text": ""})
            held = [row for rows in writer._rows for row in rows]
            assert len(held) * 1000 == writer._held_bytes <= 10_000
    assert count_rows(tmp_path) == 1000


def test_a_row_goes_to_the_same_shard_whatever_else_there_is():
    assert [shard_of("x", 7) for _ in range(3)] == [shard_of("x", 7)] * 3
    assert {shard_of(f"id-{index}", 4) for index in range(100)} == {0, 1, 2, 3}


def test_row_groups_are_small_and_the_schema_names_the_image(tmp_path):
    write(tmp_path, 450, 2)
    metadata = pq.read_metadata(shard_paths(tmp_path)[0])
    assert all(metadata.row_group(index).num_rows <= 100 for index in range(metadata.num_row_groups))
    features = json.loads(pq.read_schema(shard_paths(tmp_path)[0]).metadata[b"huggingface"])["info"][
        "features"
    ]
    assert features["image"] == {"_type": "Image"}


def test_shards_hold_at_most_their_size():
    assert shard_count(1) == 2
    assert shard_count(int(1e9), max_shard_mb=256) == 4


def test_a_table_written_again_is_another_file_and_leaves_no_other(tmp_path):
    """Whoever has the old one open reads it to its end, and a write that is killed leaves it whole."""
    path, old = tmp_path / "small.parquet", tmp_path / "old.parquet"
    assert write_table(path, [{"step": 1}]) == 1
    old.hardlink_to(path)
    assert write_table(path, [{"step": 2}, {"step": 3}]) == 2
    assert read_table(old) == [{"step": 1}]
    assert sorted(tmp_path.iterdir()) == [old, path]
