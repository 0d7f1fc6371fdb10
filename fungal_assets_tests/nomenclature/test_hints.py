"""Groups and views are told by feature vectors; that groups are told truly stands in `test_caption_truth`."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.extractors import ABOUT_NAME
from fungal_assets.morphology.features import VECTORS, read_vectors
from fungal_assets.nomenclature.attributes import measure
from fungal_assets.nomenclature.counting import COUNTS_PATH, group_chances
from fungal_assets.nomenclature.hints import hint_at, hints_by_id
from fungal_assets.nomenclature.orientation import VIEWS_PATH, likely_views
from fungal_assets.pocket import SPECIMENS_DIR, references
from fungal_assets.pocket.corpus import render_pixels
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


def test_views_are_told_by_the_weights_of_a_softmax():
    with np.load(VIEWS_PATH) as arrays:
        weights, bias, words = arrays["weights"].astype(float), arrays["bias"], arrays["view"].tolist()
    vectors = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    for index, (word, chance) in enumerate(likely_views(vectors)):
        odds = np.exp(weights @ vectors[index] + bias)
        assert word == words[int(odds.argmax())]
        assert chance == pytest.approx(odds.max() / odds.sum(), rel=1e-5)


@pytest.fixture(scope="module")
def from_all_sides():
    """Fungi that the weights were not learnt from: their views, and those that are measured, by what vectors hint."""
    traits = references.traits_from_all_sides(100, 97_000_000)
    images = np.stack([render_pixels(one, size_px=160, supersample=1) for one in traits])
    hints = hint_at(references.embed(images))
    found = [measure(Image.fromarray(image), hint=hint) for image, hint in zip(images, hints, strict=True)]
    return [one.view for one in traits], [one.view for one in found]


def test_a_view_that_is_said_of_a_render_is_true(from_all_sides):
    true, said = from_all_sides
    verdicts = [told == view for view, told in zip(true, said, strict=True) if told]
    print(f"{sum(verdicts)} of {len(verdicts)} views that are said are true, of {len(true)}")
    assert sum(verdicts) >= 0.85 * len(verdicts)
    by_chance = [told == view for view, told in zip(true[1:] + true[:1], said, strict=True) if told]
    assert sum(by_chance) < 0.85 * len(by_chance)


def test_silence_does_not_pass_for_a_true_view(from_all_sides):
    true, said = from_all_sides
    sayable = [told for view, told in zip(true, said, strict=True) if view]
    assert sum(map(bool, sayable)) >= 0.4 * len(sayable)
    assert {told for told in said if told} >= {"side view", "seen from above", "seen from below"}


def test_most_specimens_are_seen_from_their_side():
    paths = sorted(SPECIMENS_DIR.glob("*.webp"))[::6]
    vectors = EfficientNetLite0().embed([Image.open(path).convert("RGB") for path in paths])
    told = [measure(Image.new("RGB", (64, 64)), hint=hint).view for hint in hint_at(vectors)]
    said = [view for view in told if view]
    print(f"{said.count('side view')} of {len(said)} that are said, of {len(told)}")
    assert said.count("side view") >= 0.85 * len(said) and len(said) >= 0.4 * len(told)


def test_the_recipe_of_views_learns_what_it_was_shown(tmp_path, monkeypatch):
    """At a small size: twice sixteen pictures of 32 px."""
    monkeypatch.setattr(references, "VIEWED", 16)
    monkeypatch.setattr(references, "VIEWED_PX", 32)
    path = tmp_path / "views.npz"
    assert references.write_views(tmp_path / "work", path, tell=lambda line: None) == 32
    with np.load(path) as arrays:
        assert arrays["weights"].shape == (len(arrays["view"]), 1280)
    monkeypatch.setattr("fungal_assets.nomenclature.orientation.VIEWS_PATH", path)
    traits = references.traits_from_all_sides(16, references.VIEWED_SEED)
    seen = references.render_fungi(
        tmp_path / "work" / "views", traits, processes=1, tell=lambda line: None, size_px=32
    )
    told = [word for word, _ in likely_views(references.embed(seen.images))]
    assert told == [one.view or "" for one in traits]
