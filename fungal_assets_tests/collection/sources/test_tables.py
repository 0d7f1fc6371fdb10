"""Tables of pictures: as `datasets` writes them, and as others do."""

from __future__ import annotations

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fungal_assets.collection.sources.containers import find_container, read_container
from fungal_assets.collection.sources.tables import PictureTable
from fungal_assets.errors import InputError
from fungal_assets.shards import ShardWriter, image_schema
from fungal_assets_tests.collection.drawing import encode, picture, write_pictures

PICTURES = [encode(picture(seed)) for seed in range(3)]


def test_a_dataset_of_the_datasets_library_comes_back_with_its_class_names(tmp_path):
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["bolete", "morel"]),
            "creator": datasets.Value("string"),
            "license": datasets.Value("string"),
            "habitat": datasets.ClassLabel(names=["forest", "meadow"]),
            "substrate": datasets.Value("string"),
        }
    )
    rows = {
        "text": ["a", "b", "c"],
        "image": [{"bytes": data, "path": None} for data in PICTURES],
        "label": [1, 0, None],
        "creator": ["Ada", None, ""],
        "license": ["http://creativecommons.org/licenses/by/4.0/", None, "cc0"],
        "habitat": [1, None, 0],
        "substrate": ["", "bark", None],
    }
    path = tmp_path / "train.parquet"
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    found = list(PictureTable(path).candidates())
    assert [one.data for one in found] == PICTURES
    assert [one.label for one in found] == ["morel", "bolete", None]
    assert [one.creator for one in found] == ["Ada", None, None]
    assert [one.licence for one in found] == ["CC-BY-4.0", None, "CC0-1.0"]
    assert [one.habitat for one in found] == ["meadow", None, "forest"]
    assert [one.substrate for one in found] == [None, "bark", None]
    assert [one.origin for one in found] == ["0", "1", "2"]
    assert PictureTable(path).measure().files == 3


def test_our_own_shards_are_a_source(tmp_path):
    schema = image_schema({"image_id": pa.string(), "species": pa.string()})
    with ShardWriter(tmp_path, schema, shards=1) as writer:
        writer.write({"image": {"bytes": PICTURES[0], "path": "x"}, "image_id": "x", "species": "golden cap"})
    [found] = PictureTable(next(tmp_path.glob("*.parquet"))).candidates()
    assert (found.data, found.label) == (PICTURES[0], "golden cap")


def test_a_plain_column_of_bytes_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [1, 2], "jpg": PICTURES[:2]}), path)
    assert [one.data for one in PictureTable(path).candidates()] == PICTURES[:2]


def test_the_column_that_is_declared_an_image_goes_before_other_bytes(tmp_path):
    path = tmp_path / "a.parquet"
    schema = image_schema({"image_id": pa.string()})
    kinds = [pa.field("thumbnail", pa.binary()), *schema]
    rows = [{"thumbnail": PICTURES[1], "image": {"bytes": PICTURES[0], "path": None}, "image_id": "x"}]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(kinds, metadata=schema.metadata)), path)
    assert [one.data for one in PictureTable(path).candidates()] == [PICTURES[0]]


def test_an_image_folder_saved_without_its_files_says_what_to_do(tmp_path):
    """`to_parquet` on an image folder keeps paths only: the picture is lost, and that is told."""
    folder = write_pictures(tmp_path / "pictures", 2)
    dataset = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), split="train", cache_dir=tmp_path / "c"
    )
    dataset.to_parquet(tmp_path / "a.parquet")
    found = list(PictureTable(tmp_path / "a.parquet").candidates())
    assert len(found) == 2
    assert all(one.fault.reason == "missing" and "embedded" in one.fault.detail for one in found)


def test_an_empty_row_is_a_fault_and_its_neighbour_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    rows = [{"image": {"bytes": None, "path": "/home/ada/1.jpg"}}, {"image": None}]
    rows += [{"image": {"bytes": PICTURES[0], "path": None}}]
    pq.write_table(pa.Table.from_pylist(rows, schema=image_schema({})), path)
    first, second, third = PictureTable(path).candidates()
    assert first.fault.reason == second.fault.reason == "missing"
    assert "'/home/ada/1.jpg'" in first.fault.detail and "no picture" in second.fault.detail
    assert third.data == PICTURES[0]


def test_a_table_without_pictures_names_its_columns(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"species": ["x"], "count": [1]}), path)
    with pytest.raises(InputError, match=r"no column of pictures, only species \(string\), count \(int64\)"):
        list(PictureTable(path).candidates())
    [fault] = read_container(find_container(path), "a.parquet")
    assert (fault.origin, fault.fault.reason) == ("a.parquet", "unreadable")


def test_of_a_damaged_table_the_other_parts_are_read(tmp_path):
    path = tmp_path / "a.parquet"
    schema = image_schema({})
    with pq.ParquetWriter(path, schema, compression="NONE", use_dictionary=False) as writer:
        for data in PICTURES:
            writer.write_table(
                pa.Table.from_pylist([{"image": {"bytes": data, "path": None}}], schema=schema)
            )
    content = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
    first, second, third = read_container(find_container(path), "a.parquet")
    assert (first.data, third.data) == (PICTURES[0], PICTURES[2])
    assert (second.origin, second.fault.reason) == ("a.parquet/1", "broken")
