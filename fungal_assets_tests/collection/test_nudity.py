"""A warning that is optional: what it says without its network, and that scores are kept.

The network is no dependency of the tests. Where it is installed it is run; elsewhere a network of the same inputs and
outputs stands in, whose score is the redness of the picture.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fungal_assets.collection import checks, nudity
from fungal_assets.collection.admission import admit_images
from fungal_assets.collection.checks import check_nudity
from fungal_assets.collection.nudity import OpenNsfw, find_model, score_images
from fungal_assets.errors import MissingExtraError, ProvenanceError
from fungal_assets.verdicts import judged
from fungal_assets_tests.collection.drawing import LENIENT, encode
from fungal_assets_tests.collection.hostile import textured


class Redness:
    """Stands for the network's session."""

    def __init__(self):
        self.seen = 0

    def run(self, outputs, inputs):
        (pixels,) = inputs.values()
        assert outputs == ["outputs"] and list(inputs) == ["input:0"]
        assert pixels.shape == (1, 224, 224, 3) and pixels.dtype == np.float32
        self.seen += 1
        blue, _, red = (pixels + nudity._MEAN_BGR).mean(axis=(0, 1, 2))
        score = float(np.clip((red - blue) / 255, 0, 1))
        return (np.array([[1 - score, score]], np.float32),)


@pytest.fixture
def raw_images(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        (source / f"{number}.png").write_bytes(encode(textured(number)))
    noise = np.random.default_rng(0).integers(0, 30, (160, 160, 3)).astype(np.uint8)
    (source / "red.png").write_bytes(encode(Image.fromarray(noise + np.array([220, 0, 0], np.uint8))))
    (tmp_path / "raw").mkdir()
    admit_images(tmp_path / "raw", source=str(source), **LENIENT)
    return tmp_path / "raw"


@pytest.fixture
def redness(monkeypatch, tmp_path):
    session = Redness()
    path = tmp_path / "open-nsfw.onnx"
    path.write_bytes(b"a network")
    for module in (nudity, checks):
        monkeypatch.setattr(module, "find_model", lambda: path)
    monkeypatch.setattr(nudity, "MODEL_SHA256", nudity.hash_file(path))
    monkeypatch.setattr(OpenNsfw, "_session", session)
    return session


def test_without_the_extra_nothing_is_looked_at_and_the_finding_says_how_to(raw_images, monkeypatch):
    for module in (nudity, checks):
        monkeypatch.setattr(module, "find_model", lambda: None)
    verdict = check_nudity(raw_images, most=0.8)
    assert verdict.passed and verdict.finding == "not looked: pip install 'fungal_assets[nudity]'"
    with pytest.raises(MissingExtraError, match="nudity"):
        score_images(raw_images)


def test_a_picture_that_scores_high_is_named_and_the_others_are_not(raw_images, redness, tmp_path):
    verdict = check_nudity(raw_images, most=0.6, cache_dir=tmp_path / "cache")
    assert not verdict.passed and verdict.figures["likely"] == 1 and verdict.figures["looked_at"] == 5
    assert "red.png (0.8" in verdict.finding and "0.png" not in verdict.finding
    assert check_nudity(raw_images, most=0.9, cache_dir=tmp_path / "cache").passed


def test_what_was_scored_is_not_scored_again(raw_images, redness, tmp_path):
    first = score_images(raw_images, tmp_path / "cache")
    assert redness.seen == 5
    assert score_images(raw_images, tmp_path / "cache") == first and redness.seen == 5


def test_kept_scores_that_are_damaged_are_an_error_that_says_what_to_delete(raw_images, redness, tmp_path):
    score_images(raw_images, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob("*.sqlite")
    kept.write_bytes(b"no database at all" * 100)
    with pytest.raises(ProvenanceError, match=f"{kept.name} can't be used: .* Delete that file"):
        score_images(raw_images, tmp_path / "cache")
    assert not judged(lambda: check_nudity(raw_images, most=0.5, cache_dir=tmp_path / "cache")).passed


def test_another_network_is_refused(raw_images, redness, monkeypatch, tmp_path):
    monkeypatch.setattr(nudity, "MODEL_SHA256", "0" * 64)
    with pytest.raises(ProvenanceError, match="expected 0000.*Install it again"):
        score_images(raw_images, tmp_path / "cache")
    verdict = judged(lambda: check_nudity(raw_images, most=0.5, cache_dir=tmp_path / "cache"))
    assert not verdict.passed and "Install it again" in verdict.finding


def test_the_whole_picture_counts_not_its_middle_square():
    wide = np.asarray(textured(1, 160).resize((480, 160))).copy()
    wide[:, :120] = (255, 0, 0)
    reds = [
        nudity._prepare(encode(Image.fromarray(pixels)))[:, :40, 2].mean() for pixels in (wide, wide[:, 160:])
    ]
    assert reds[0] > reds[1] + 50


@pytest.mark.skipif(find_model() is None, reason="the extra `nudity` is not installed")
def test_the_network_runs_and_drawings_score_low(raw_images, tmp_path):
    scores = score_images(raw_images, tmp_path / "cache")
    assert len(scores) == 5 and all(0 <= score < 0.5 for score in scores.values())
