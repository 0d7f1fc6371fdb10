"""The Croissant metadata: every shard by its hash, every column a field, and valid where its validator is installed."""

import json
import re

import pyarrow.parquet as pq
import pytest

from fungal_assets.dataset.building import SCHEMA
from fungal_assets.dataset.croissant import with_url
from fungal_assets.shards import ShardWriter, read_rows, shard_paths
from fungal_assets.store import hash_file
from fungal_assets_tests.dataset.conftest import ROWS


@pytest.fixture(scope="module")
def described(dataset):
    return json.loads((dataset / "croissant.json").read_text())


def by_id(nodes):
    return {node["@id"]: node for node in nodes}


def test_every_shard_is_a_file_with_its_size_and_hash(dataset, described):
    files = [one for one in described["distribution"] if one["@type"] == "cr:FileObject"]
    assert {one["contentUrl"]: one["sha256"] for one in files} == {
        f"data/{path.name}": hash_file(path) for path in shard_paths(dataset / "data")
    }
    assert all(one["contentSize"] == f"{(dataset / one['contentUrl']).stat().st_size} B" for one in files)
    assert {one["encodingFormat"] for one in described["distribution"]} == {"application/x-parquet"}


def test_every_column_is_a_field_out_of_the_set_of_shards(dataset, described):
    rows = by_id(described["recordSet"])["rows"]
    fields = by_id(rows["field"])
    assert list(fields) == ["rows/split", *(f"rows/{name}" for name in SCHEMA.names)]
    sets = [one for one in described["distribution"] if one["@type"] == "cr:FileSet"]
    assert [one["@id"] for one in sets] == ["shards"]
    assert sorted(dataset.glob(sets[0]["includes"])) == shard_paths(dataset / "data")
    for field in fields.values():
        assert field["source"]["fileSet"] == {"@id": "shards"}
    assert fields["rows/image"]["dataType"] == "sc:ImageObject"
    assert fields["rows/text"]["source"]["extract"] == {"column": "text"}


def test_the_split_of_a_row_is_found_in_its_shards_name(dataset, described):
    sets = by_id(described["recordSet"])
    assert sets["splits"]["data"] == [{"splits/name": "train"}, {"splits/name": "test"}]
    pattern = by_id(sets["rows"]["field"])["rows/split"]["source"]["transform"]["regex"]
    for path in shard_paths(dataset / "data"):
        assert re.match(pattern, f"data/{path.name}")[1] == path.name.split("-")[0]


def test_it_says_what_it_conforms_to_whose_it_is_and_no_time(described):
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert described["@type"] == "sc:Dataset"
    assert described["license"] == [
        "https://spdx.org/licenses/CC-BY-4.0.html",
        "ATTRIBUTION.csv names the licence of each picture",
    ]
    assert described["citeAs"].startswith("@misc{")
    assert "datePublished" not in described


def test_a_licence_on_no_list_is_told_in_its_own_words_and_has_no_made_up_page(growth, build, tmp_path):
    own = ["(c) Ada, all rights reserved", None, "MIT"]
    with ShardWriter(tmp_path / "raw", pq.read_schema(shard_paths(growth.raw_images)[0]), shards=2) as writer:
        for number, row in enumerate(read_rows(growth.raw_images)):
            writer.write(row | {"licence": own[number % 3]})
    build(tmp_path / "out", raw_images=tmp_path / "raw")
    assert json.loads((tmp_path / "out/croissant.json").read_text())["license"] == [
        "(c) Ada, all rights reserved",
        "https://spdx.org/licenses/MIT.html",
        "the licence of some pictures is unknown",
        "ATTRIBUTION.csv names the licence of each picture",
    ]


def test_a_publication_adds_its_page_and_nothing_else(dataset, described):
    text = with_url((dataset / "croissant.json").read_text(), "https://hub.example/ada/fungi")
    assert json.loads(text) == described | {"url": "https://hub.example/ada/fungi"}


def test_the_validator_of_the_format_finds_no_fault_and_reads_every_row(dataset):
    mlcroissant = pytest.importorskip(
        "mlcroissant", reason="pip install mlcroissant to validate croissant.json"
    )
    found = mlcroissant.Dataset(str(dataset / "croissant.json"))
    assert not found.metadata.issues.errors
    read = {row["rows/image_id"].decode(): row for row in found.records("rows")}
    for split in ("train", "test"):
        for row in read_rows(dataset / "data", ["image_id", "text"], stem=split):
            other = read.pop(row["image_id"])
            assert (other["rows/text"].decode(), other["rows/split"].decode()) == (row["text"], split)
            assert other["rows/image"].size == (128, 128)
    assert not read and ROWS
