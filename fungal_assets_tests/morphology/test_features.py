from __future__ import annotations

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fungal_assets.morphology import features
from fungal_assets.morphology.checks import check_vectors
from fungal_assets.morphology.extractors import find_extractor
from fungal_assets.morphology.features import extract_features, read_vectors, vectors_by
from fungal_assets.morphology.torch_extractor import TorchExtractor
from fungal_assets.shards import read_rows
from fungal_assets_tests.morphology.models import save_clip_vision, save_dinov2, save_vgg16


def test_every_specimen_has_the_vector_of_its_own_picture(collection, extractor):
    ids, vectors = read_vectors(collection / "feature_vectors")
    pictures = {row["image_id"]: row["image"]["bytes"] for row in read_rows(collection / "raw_images")}
    assert sorted(ids) == sorted(pictures) and vectors.shape == (30, 1280)
    for index in (0, 13, 29):
        picture = Image.open(io.BytesIO(pictures[ids[index]]))
        assert extractor.embed([picture])[0] @ vectors[index] > 0.999


def test_the_extractor_is_named_with_the_hash_of_its_weights(collection, extractor):
    about = json.loads((collection / "feature_vectors" / "extractor.json").read_text())
    assert about == {
        "name": "efficientnet-lite0",
        "sha256": extractor.sha256,
        "dimensions": 1280,
        "input_px": 224,
    }


def test_vectors_are_float32_of_length_one(collection):
    _, vectors = read_vectors(collection / "feature_vectors")
    assert vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.fixture
def small_parts(monkeypatch, extractor):
    """Parts of eight images, so that thirty make four; the network's file is made once."""
    monkeypatch.setattr(features, "PART_IMAGES", 8)
    monkeypatch.setattr("fungal_assets.morphology.efficientnet._user_cache_dir", lambda: extractor._cache_dir)


@pytest.fixture
def dinov2(tmp_path):
    return str(save_dinov2(tmp_path / "dinov2"))


def extract(collection, folder, name, *, batch_size=4, tell=lambda _: None):
    folder.mkdir(exist_ok=True)
    return extract_features(
        collection / "raw_images", folder, extractor=name, batch_size=batch_size, tell=tell
    )


@pytest.mark.parametrize("save", [save_dinov2, save_clip_vision, save_vgg16])
def test_any_extractor_gives_its_own_vectors_beside_the_classifiers_probabilities(
    collection, tmp_path, small_parts, save
):
    name = str(save(tmp_path / "model"))
    figures = extract(collection, tmp_path / "out", name)
    found = find_extractor(name)
    own = {"images": 30, "dimensions": found.dimensions, "extractor": name}
    assert own.items() <= figures.items() and figures.keys() - own.keys() == {"twins", "twin_groups"}
    about = json.loads((tmp_path / "out" / "extractor.json").read_text())
    assert (about["name"], about["sha256"]) == (name, found.sha256)
    assert check_vectors(tmp_path / "out", collection / "raw_images").passed
    judged, plain = (
        pq.read_table(folder / "vectors.parquet", columns=["image_id", "fungus_probability"]).to_pydict()
        for folder in (tmp_path / "out", collection / "feature_vectors")
    )
    assert judged["image_id"] == plain["image_id"]
    assert np.allclose(judged["fungus_probability"], plain["fungus_probability"], atol=1e-6)


def test_neither_parts_nor_threads_change_the_default_vectors(collection, tmp_path, small_parts):
    extract(collection, tmp_path, "efficientnet-lite0", batch_size=8)
    again, before = read_vectors(tmp_path), read_vectors(collection / "feature_vectors")
    assert again[0] == before[0] and np.array_equal(again[1], before[1])
    files = {path.name for path in tmp_path.iterdir()}
    assert files - {"twins.webp"} == {"extractor.json", "twins.parquet", "vectors.parquet"}


def stop_after(monkeypatch, pictures):
    """Let a network die once it has seen so many pictures, one batch after the other."""
    seen, embed = [], TorchExtractor.embed

    def count(self, images):
        if len(seen) >= pictures:
            raise KeyboardInterrupt
        seen.extend(images)
        return embed(self, images)

    monkeypatch.setattr(TorchExtractor, "embed", count)
    monkeypatch.setattr(features, "map_in_order", map)
    return seen


@pytest.mark.parametrize("pictures", [0, 12, 20, 28])
def test_a_stopped_run_gone_on_with_equals_an_unbroken_one(
    collection, tmp_path, small_parts, dinov2, monkeypatch, pictures
):
    extract(collection, tmp_path / "unbroken", dinov2)
    with monkeypatch.context() as stopped:
        stop_after(stopped, pictures)
        with pytest.raises(KeyboardInterrupt):
            extract(collection, tmp_path / "stopped", dinov2)
    kept = list((tmp_path / "stopped").glob(".parts/*/part-*.parquet"))
    assert not (tmp_path / "stopped" / "vectors.parquet").exists() and len(kept) == pictures // 8
    with monkeypatch.context() as counted:
        seen = stop_after(counted, 31)
        extract(collection, tmp_path / "stopped", dinov2)
    assert len(seen) == 30 - 8 * len(kept)
    for name in ("vectors.parquet", "extractor.json"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


def test_what_is_whole_is_not_made_again_and_half_a_part_is(
    collection, tmp_path, small_parts, dinov2, monkeypatch
):
    parts = tmp_path / "out" / ".parts" / find_extractor(dinov2).sha256[:16]
    rows = collection / "raw_images"
    features._fill_parts(rows, parts, find_extractor(dinov2), 4, lambda _: None)
    assert [pq.read_metadata(path).num_rows for path in sorted(parts.iterdir())] == [8, 8, 8, 6]
    (parts / "part-000002.parquet").rename(parts / ".part-000002.parquet")
    extract(collection, tmp_path / "fresh", dinov2)
    seen, told = stop_after(monkeypatch, 31), []
    extract(collection, tmp_path / "out", dinov2, tell=told.append)
    assert len(seen) == 8 and told[-1].startswith("feature vectors: 30 of 30")
    assert check_vectors(tmp_path / "out", rows).passed
    assert np.array_equal(read_vectors(tmp_path / "out")[1], read_vectors(tmp_path / "fresh")[1])


def test_a_part_of_another_length_is_made_again(collection, tmp_path, small_parts, dinov2, monkeypatch):
    found = find_extractor(dinov2)
    parts = tmp_path / "out" / ".parts" / found.sha256[:16]
    features._fill_parts(collection / "raw_images", parts, found, 4, lambda _: None)
    cut = pq.read_table(parts / "part-000001.parquet").slice(0, 5)
    pq.write_table(cut, parts / "part-000001.parquet")
    seen = stop_after(monkeypatch, 31)
    extract(collection, tmp_path / "out", dinov2)
    assert len(seen) == 8 and check_vectors(tmp_path / "out", collection / "raw_images").passed


def test_parts_of_another_extractor_are_not_taken(collection, tmp_path, small_parts, dinov2):
    other = find_extractor(str(save_dinov2(tmp_path / "other", seed=3)))
    parts = tmp_path / "out" / ".parts" / other.sha256[:16]
    features._fill_parts(collection / "raw_images", parts, other, 4, lambda _: None)
    extract(collection, tmp_path / "out", dinov2)
    extract(collection, tmp_path / "fresh", dinov2)
    assert np.array_equal(read_vectors(tmp_path / "out")[1], read_vectors(tmp_path / "fresh")[1])
    assert not (tmp_path / "out" / ".parts").exists()


def test_vectors_by_an_extractor_are_read_where_they_are_and_made_where_not(
    collection, tmp_path, small_parts, dinov2, extractor
):
    extract(collection, tmp_path / "out", dinov2)
    ids, default = read_vectors(collection / "feature_vectors")
    asked = ids[3:20:5]
    for folder in (collection / "feature_vectors", tmp_path / "out"):
        found = vectors_by(extractor, asked, folder, collection / "raw_images")
        assert sorted(found) == sorted(asked)
        assert all(np.allclose(found[each], default[ids.index(each)], atol=1e-6) for each in asked)
