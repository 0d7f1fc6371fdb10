"""Groups are told by feature vectors; that they are told truly stands in `test_caption_truth`."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.extractors import ABOUT_NAME
from fungal_assets.morphology.features import VECTORS, read_vectors
from fungal_assets.nomenclature.counting import COUNTS_PATH, chances_by_id, group_chances
from fungal_assets.pocket import references
from fungal_assets_tests.nomenclature.growths import grow as grow_discs


def test_chances_are_between_none_and_one_for_each_vector():
    vectors = EfficientNetLite0().embed([Image.new("RGB", (64, 64), colour) for colour in ("red", "white")])
    chances = group_chances(vectors)
    assert chances.shape == (2,) and ((chances > 0) & (chances < 1)).all()
    np.testing.assert_allclose(group_chances(vectors[1:]), chances[1:])


def write_vectors(folder, ids, vectors, sha256):
    """The part of a `feature_vectors` output that tells vectors and extractor; one row group holds 128."""
    folder.mkdir()
    columns = [ids, list(vectors), [0.5] * len(ids)]
    pq.write_table(pa.table(columns, schema=VECTORS), folder / "vectors.parquet", row_group_size=128)
    (folder / ABOUT_NAME).write_text(json.dumps({"name": "test", "sha256": sha256, "dimensions": 1280}))


def test_chances_by_id_are_those_of_the_vectors_by_its_own_extractor_and_by_another(tmp_path):
    grown, eye = grow_discs(tmp_path / "growth"), EfficientNetLite0()
    ids, vectors = read_vectors(grown.feature_vectors)
    told = chances_by_id(grown.raw_images, grown.feature_vectors)
    assert told == pytest.approx(dict(zip(ids, group_chances(vectors), strict=True)), rel=1e-9)
    write_vectors(tmp_path / "own", ids[::-1], vectors[::-1], eye.sha256)
    write_vectors(tmp_path / "other", ids, np.zeros_like(vectors), "0" * 64)
    assert chances_by_id(grown.raw_images, tmp_path / "own") == pytest.approx(told, rel=1e-9)
    assert chances_by_id(grown.raw_images, tmp_path / "other") == pytest.approx(told, rel=1e-3)


def test_no_more_than_a_few_blocks_of_vectors_are_held(tmp_path):
    """8,000 vectors are 41 MB."""
    rng, count = np.random.default_rng(0), 8_000
    ids = [f"{number:016}" for number in range(count)]
    write_vectors(
        tmp_path / "many", ids, rng.random((count, 1280), np.float32) / 36, EfficientNetLite0().sha256
    )
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        chances = chances_by_id(tmp_path, tmp_path / "many")
        held = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    print(f"held {held / 1e6:.1f} MB")
    assert list(chances) == ids and held < 0.6 * count * 1280 * 4


def test_the_weights_are_those_of_a_logistic_regression_on_unit_vectors():
    with np.load(COUNTS_PATH) as arrays:
        weights, bias = arrays["weights"], float(arrays["bias"])
    along = weights / np.linalg.norm(weights)
    expected = 1 / (1 + np.exp(-(np.linalg.norm(weights) + bias)))
    np.testing.assert_allclose(group_chances(along[None]), [expected], rtol=1e-5)


def test_the_recipe_learns_what_it_was_shown_and_writes_the_same_bytes_again(tmp_path, monkeypatch):
    """At a small size: twelve pictures of 32 px."""
    monkeypatch.setattr(references, "COUNTED", 12)
    monkeypatch.setattr(references, "COUNTED_PX", 32)
    lines: list[str] = []
    assert references.write_counts(tmp_path / "a.npz", tell=lines.append) == 12
    references.write_counts(tmp_path / "b.npz", tell=lines.append)
    with np.load(tmp_path / "a.npz") as first, np.load(tmp_path / "b.npz") as again:
        assert np.array_equal(first["weights"], again["weights"]) and first["weights"].shape == (1280,)
        counts = [references.COUNTS[index % 6] for index in range(12)]
        images = np.stack([references._counted(index, count) for index, count in enumerate(counts)])
        scores = references.embed(images) @ first["weights"] + first["bias"]
    assert ((scores > 0) == (np.array(counts) >= 3)).all()
