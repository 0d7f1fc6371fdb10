from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fungal_assets.morphology.efficientnet import EfficientNetLite0, _torch_network
from fungal_assets_tests.morphology.conftest import KINDS, draw_specimen

PICTURES = [draw_specimen(kind, seed) for kind in KINDS for seed in range(2)]


def test_vectors_are_unit_float32(extractor):
    vectors = extractor.embed(PICTURES)
    assert vectors.shape == (6, 1280) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_picture_has_the_same_vector_in_any_batch(extractor):
    assert np.allclose(extractor.embed(PICTURES)[4], extractor.embed([PICTURES[4]])[0], atol=1e-6)


def test_onnx_gives_what_torch_gives(extractor):
    import torch

    square = PICTURES[0].resize((224, 224), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy((np.asarray(square, np.float32) - 127) / 128).permute(2, 0, 1)[None]
    with torch.no_grad():
        features, logits, evidence = _torch_network()(pixels)
    assert np.allclose(extractor._run(["features"], [square])[0], features.numpy(), atol=1e-4)
    classes = torch.tensor([947, *range(991, 998)])
    likely = logits.softmax(1)[:, classes]
    assert np.allclose(extractor.look([square])[1], likely.sum(1).numpy(), atol=1e-4)
    (probability,), (heat,) = extractor.locate([square])
    assert np.isclose(probability, likely.sum(), atol=1e-4)
    expected = (evidence[0] * (likely[0] / likely.sum())[:, None, None]).sum(0)
    assert np.allclose(heat, expected.numpy(), atol=1e-3)


def test_the_evidence_at_all_places_is_what_the_logits_are_made_of(extractor):
    """Their mean over places is the logit without its bias, so that it differs from the logit by the same for all."""
    logits, evidence = extractor._run(
        ["logits", "evidence"], [image.convert("RGB").resize((224, 224)) for image in PICTURES[:3]]
    )
    classes = [947, *range(991, 998)]
    bias = logits[:, classes] - evidence.mean(axis=(2, 3))
    assert np.allclose(bias, bias[:1], atol=1e-3)


def test_the_judgement_is_that_of_a_look(extractor):
    assert np.array_equal(extractor.judge(PICTURES), extractor.look(PICTURES)[1])


def test_no_picture_gives_no_vector(extractor):
    vectors, probabilities = extractor.look([])
    assert vectors.shape == (0, 1280) and probabilities.shape == (0,)


def test_colour_moves_a_vector_less_than_form(extractor):
    disc, bars = draw_specimen("disc", 0), draw_specimen("bars", 0)
    recoloured = Image.merge("RGB", [disc.getchannel(band) for band in "BRG"])
    one, other, further = extractor.embed([disc, recoloured, bars])
    assert one @ other > one @ further


def test_the_network_is_exported_once(extractor):
    before = [(path.name, path.stat().st_mtime_ns) for path in extractor._cache_dir.iterdir()]
    again = EfficientNetLite0(extractor._cache_dir).embed(PICTURES[:1])
    assert np.array_equal(again, extractor.embed(PICTURES[:1]))
    assert [(path.name, path.stat().st_mtime_ns) for path in extractor._cache_dir.iterdir()] == before
    assert [name for name, _ in before] == [f"efficientnet-lite0-{extractor.sha256[:16]}-2.onnx"]


@pytest.mark.parametrize("size", [(224, 224), (300, 200), (64, 64)])
def test_pictures_of_any_size_are_taken(extractor, size):
    assert extractor.embed([PICTURES[0].resize(size)]).shape == (1, 1280)
