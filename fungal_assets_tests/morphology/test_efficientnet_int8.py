from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fungal_assets.morphology import efficientnet_int8
from fungal_assets.morphology.efficientnet_int8 import WEIGHTS_PATH, EfficientNetLite0Int8
from fungal_assets.morphology.extractors import describe_extractor, recorded_extractor
from fungal_assets.morphology.features import extract_features, read_vectors
from fungal_assets.pocket import SPECIMENS_DIR
from fungal_assets.store import hash_file

EVERY = 4


@pytest.fixture(scope="module")
def specimens():
    """Every fourth specimen, and what it is."""
    with SPECIMENS_DIR.with_name("specimen_traits.csv").open() as file:
        rows = list(csv.DictReader(file))[::EVERY]
    images = [Image.open(SPECIMENS_DIR / row["file_name"]).convert("RGB") for row in rows]
    return images, np.array([row["hidden_morphotype"] for row in rows])


@pytest.fixture(scope="module")
def int8():
    return EfficientNetLite0Int8()


@pytest.fixture(scope="module")
def looks(specimens, int8, extractor):
    """Vectors and probabilities by both forms."""
    return int8.look(specimens[0]), extractor.look(specimens[0])


def share_of_kin(vectors, kinds):
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    return (kinds[cosines.argmax(axis=1)] == kinds).mean()


def test_vectors_are_nearly_those_of_32_bits_and_not_the_same(looks):
    (vectors, likely), (exact, expected) = looks
    cosines = (vectors * exact).sum(axis=1)
    assert vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert cosines.min() > 0.95 and 0.98 < cosines.mean() < 0.9999
    assert np.abs(likely - expected).mean() < 0.05


def test_the_nearest_pictures_are_of_the_same_kind_as_often(looks, specimens):
    (vectors, _), (exact, _) = looks
    assert share_of_kin(vectors, specimens[1]) >= share_of_kin(exact, specimens[1]) - 0.05


def test_a_picture_has_the_same_vector_each_time_and_in_any_batch(int8, looks, specimens):
    again = EfficientNetLite0Int8().embed(specimens[0][3:4])
    assert np.array_equal(again[0], looks[0][0][3]) and np.array_equal(again, int8.embed(specimens[0][3:4]))


def test_processors_without_vnni_get_the_same_vectors(looks, specimens, monkeypatch):
    """They take sums in another way: the quick one overflows there. Here both can be had."""
    monkeypatch.setattr(efficientnet_int8, "has_vnni", lambda: False)
    careful = EfficientNetLite0Int8()
    assert np.array_equal(careful.embed(specimens[0][:4]), looks[0][0][:4])
    options = careful._session.get_session_options()
    assert options.get_session_config_entry("session.x64quantprecision") == "1"


def test_it_judges_its_own_collection_and_is_found_again(collection, tmp_path, int8):
    figures = extract_features(collection / "raw_images", tmp_path, extractor=int8.name, batch_size=8)
    assert (figures["extractor"], figures["dimensions"]) == ("efficientnet-lite0-int8", 1280)
    about = json.loads((tmp_path / "extractor.json").read_text())
    assert about == describe_extractor(int8) and about["sha256"] == hash_file(WEIGHTS_PATH)
    assert isinstance(recorded_extractor(tmp_path), EfficientNetLite0Int8)
    (ids, vectors), (same_ids, exact) = read_vectors(tmp_path), read_vectors(collection / "feature_vectors")
    assert (
        ids == same_ids and not np.array_equal(vectors, exact) and (vectors * exact).sum(axis=1).min() > 0.9
    )
