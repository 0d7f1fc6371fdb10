"""Croissant metadata, `croissant.json`: the dataset as machines of other makers read it.

JSON-LD of the vocabulary Croissant 1.0 by MLCommons (http://mlcommons.org/croissant/1.0). Every shard is a file with
its size and SHA-256; a set of files takes them all, and from its columns come the fields of the rows. What split a row
is of stands in the name of its shard. There is no date: the same input makes the same bytes.
Belongs here: this file, written and read back. Nothing is counted here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from fungal_assets.collection.licences import spdx_id
from fungal_assets.dataset.attribution import NAME as ATTRIBUTION
from fungal_assets.dataset.contents import DATA, UNKNOWN, Contents
from fungal_assets.shards import shard_paths
from fungal_assets.store import hash_file

NAME = "croissant.json"
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_PARQUET = "application/x-parquet"
_ROWS, _SPLITS, _SHARDS = "rows", "splits", "shards"
_PLAIN_TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet"),
    *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
    *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
    "transform",
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _PLAIN_TERMS},
}
_CITE_AS = "@misc{fungal_assets, title = {Fungal assets: captioned pictures of invented species of fungi}}"


def write_croissant(folder: Path, contents: Contents) -> None:
    """Write `croissant.json`.

    Args:
        folder: Where it goes: the dataset's folder.
        contents: What the dataset holds.
    """
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": "fungal-assets",
        "description": (
            f"{contents.pictures} with captions. The species are invented. Every picture keeps its own licence; "
            f"{ATTRIBUTION} names creator, licence and origin of each."
        ),
        "license": [*map(_licence, contents.licences), f"{ATTRIBUTION} names the licence of each picture"],
        "citeAs": _CITE_AS,
        "keywords": ["fungi", "text-to-image", "art"],
        "distribution": [*_files(folder), _file_set()],
        "recordSet": [_split_records(contents), _row_records(contents)],
    }
    text = json.dumps(described, indent=1, ensure_ascii=False)
    (folder / NAME).write_text(f"{text}\n", encoding="utf-8")


def with_url(text: str, url: str) -> str:
    """The file's text once the dataset lies at an address.

    Args:
        text: That of `croissant.json`.
        url: The page of the dataset.
    """
    return json.dumps(json.loads(text) | {"url": url}, indent=1, ensure_ascii=False) + "\n"


def read_file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that a `croissant.json` describes, by path."""
    described = json.loads((folder / NAME).read_text(encoding="utf-8"))
    return {
        one["contentUrl"]: one["sha256"]
        for one in described["distribution"]
        if one["@type"] == "cr:FileObject"
    }


def _licence(licence: str) -> str:
    """The address of a licence on SPDX's list; the text itself where it is on none, so has no page there."""
    if licence == UNKNOWN:
        return "the licence of some pictures is unknown"
    found = spdx_id(licence)
    return f"https://spdx.org/licenses/{found}.html" if found else licence


def _files(folder: Path) -> Iterator[dict[str, Any]]:
    for path in shard_paths(folder / DATA):
        name = path.relative_to(folder).as_posix()
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{path.stat().st_size} B",
            "encodingFormat": _PARQUET,
            "sha256": hash_file(path),
        }


def _file_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _SHARDS,
        "name": _SHARDS,
        "encodingFormat": _PARQUET,
        "includes": f"{DATA}/*.parquet",
    }


def _split_records(contents: Contents) -> dict[str, Any]:
    name = f"{_SPLITS}/name"
    return {
        "@type": "cr:RecordSet",
        "@id": _SPLITS,
        "name": _SPLITS,
        "dataType": "cr:Split",
        "key": {"@id": name},
        "field": [{"@type": "cr:Field", "@id": name, "name": "name", "dataType": "sc:Text"}],
        "data": [{name: split} for split in contents.rows],
    }


def _row_records(contents: Contents) -> dict[str, Any]:
    pattern = f"{DATA}/({'|'.join(contents.rows)})-.*"
    split = _field(
        "split",
        "sc:Text",
        {"extract": {"fileProperty": "fullpath"}, "transform": {"regex": pattern}},
    )
    return {
        "@type": "cr:RecordSet",
        "@id": _ROWS,
        "name": _ROWS,
        "key": {"@id": f"{_ROWS}/image_id"},
        "field": [
            split | {"references": {"field": {"@id": f"{_SPLITS}/name"}}},
            *(_column(field) for field in contents.schema),
        ],
    }


def _column(field: pa.Field) -> dict[str, Any]:
    extract = {"extract": {"column": field.name}}
    if pa.types.is_struct(field.type):
        return _field(field.name, "sc:ImageObject", extract | {"transform": {"jsonPath": "bytes"}})
    repeated = {"repeated": True} if pa.types.is_list(field.type) else {}
    return _field(field.name, "sc:Text", extract) | repeated


def _field(name: str, data_type: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{_ROWS}/{name}",
        "name": name,
        "dataType": data_type,
        "source": {"fileSet": {"@id": _SHARDS}, **source},
    }
