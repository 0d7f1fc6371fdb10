"""What feature vectors hint at is read once, whoever made them, and without holding them all."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.extractors import ABOUT_NAME
from fungal_assets.morphology.features import VECTORS, read_vectors
from fungal_assets.nomenclature.hints import hint_at, hints_by_id
from fungal_assets_tests.nomenclature.growths import grow as grow_discs


def write_vectors(folder, ids, vectors, sha256):
    """The part of a `feature_vectors` output that tells vectors and extractor; one row group holds 128."""
    folder.mkdir()
    columns = [ids, list(vectors), [0.5] * len(ids)]
    pq.write_table(pa.table(columns, schema=VECTORS), folder / "vectors.parquet", row_group_size=128)
    (folder / ABOUT_NAME).write_text(json.dumps({"name": "test", "sha256": sha256, "dimensions": 1280}))


def test_hints_by_id_are_those_of_the_vectors_by_its_own_extractor_and_by_another(tmp_path):
    grown, eye = grow_discs(tmp_path / "growth"), EfficientNetLite0()
    ids, vectors = read_vectors(grown.feature_vectors)
    told = hints_by_id(grown.raw_images, grown.feature_vectors)
    assert told == close_to(dict(zip(ids, hint_at(vectors), strict=True)), rel=1e-9)
    write_vectors(tmp_path / "own", ids[::-1], vectors[::-1], eye.sha256)
    write_vectors(tmp_path / "other", ids, np.zeros_like(vectors), "0" * 64)
    assert hints_by_id(grown.raw_images, tmp_path / "own") == close_to(told, rel=1e-9)
    assert hints_by_id(grown.raw_images, tmp_path / "other") == close_to(told, rel=1e-3)


def close_to(hints, *, rel):
    """The same hints, their chances as near as that."""
    return {
        image_id: replace(
            one,
            group_chance=pytest.approx(one.group_chance, rel=rel),
            view_chance=pytest.approx(one.view_chance, rel=rel),
        )
        for image_id, one in hints.items()
    }


def test_no_more_than_a_few_blocks_of_vectors_are_held(tmp_path):
    """8,000 vectors are 41 MB."""
    rng, count = np.random.default_rng(0), 8_000
    ids = [f"{number:016}" for number in range(count)]
    write_vectors(
        tmp_path / "many", ids, rng.random((count, 1280), np.float32) / 36, EfficientNetLite0().sha256
    )
    hint_at(np.zeros((1, 1280), np.float32))  # so that what it imports is not counted
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        hints = hints_by_id(tmp_path, tmp_path / "many")
        held = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    print(f"held {held / 1e6:.1f} MB")
    assert list(hints) == ids and held < 0.6 * count * 1280 * 4
