from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image

from fungal_assets.morphology.features import read_vectors
from fungal_assets.shards import read_rows


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
