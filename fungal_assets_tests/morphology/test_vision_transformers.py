from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from fungal_assets.errors import InputError
from fungal_assets.morphology.extractors import find_extractor
from fungal_assets_tests.morphology.conftest import draw_specimen
from fungal_assets_tests.morphology.models import save_clip, save_clip_vision, save_dinov2

PICTURES = [draw_specimen("disc", 0), draw_specimen("bars", 1), draw_specimen("star", 2)]


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    return save_dinov2(tmp_path_factory.mktemp("dinov2"))


def look_plainly(folder, class_name, read):
    """What the library's own two lines give."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = getattr(transformers, class_name).from_pretrained(folder).eval()
    with torch.inference_mode():
        found = read(model(**processor(images=PICTURES, return_tensors="pt")))
    return torch.nn.functional.normalize(found).numpy()


def test_dinov2_gives_its_class_token(dinov2):
    expected = look_plainly(dinov2, "Dinov2Model", lambda output: output.last_hidden_state[:, 0])
    extractor = find_extractor(str(dinov2))
    assert (extractor.dimensions, extractor.input_px) == (16, 32)
    assert np.allclose(extractor.embed(PICTURES), expected, atol=1e-6)


@pytest.mark.parametrize("save", [save_clip, save_clip_vision])
def test_clip_gives_its_picture_among_texts(tmp_path, save):
    folder = save(tmp_path)
    expected = look_plainly(folder, "CLIPVisionModelWithProjection", lambda output: output.image_embeds)
    extractor = find_extractor(str(folder))
    assert (extractor.dimensions, extractor.input_px) == (8, 32)
    assert np.allclose(extractor.embed(PICTURES), expected, atol=1e-6)


def test_the_library_is_no_louder_than_before_and_says_nothing_of_the_text_half(tmp_path, caplog):
    before = transformers.utils.logging.get_verbosity()
    find_extractor(str(save_clip(tmp_path))).embed(PICTURES[:1])
    assert transformers.utils.logging.get_verbosity() == before and "UNEXPECTED" not in caplog.text


def test_the_hash_is_of_weights_and_of_how_pictures_are_prepared(dinov2, tmp_path):
    first = find_extractor(str(dinov2)).sha256
    assert find_extractor(str(save_dinov2(tmp_path / "same"))).sha256 == first
    assert find_extractor(str(save_dinov2(tmp_path / "other", seed=9))).sha256 != first
    config = tmp_path / "same" / "preprocessor_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"image_mean": [0.5, 0.5, 0.5]}))
    assert find_extractor(str(tmp_path / "same")).sha256 != first


def test_all_missing_files_are_named(tmp_path):
    folder = save_dinov2(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"has no preprocessor_config.json, model.safetensors: .*not opened"):
        find_extractor(str(folder))


def test_weights_that_would_be_drawn_at_random_are_refused(tmp_path):
    path = save_dinov2(tmp_path) / "model.safetensors"
    weights = load_file(path)
    del weights["layernorm.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack \['layernorm.weight'\], which would be drawn at random"):
        find_extractor(str(tmp_path)).embed(PICTURES)


def test_broken_weights_are_told(tmp_path):
    (save_dinov2(tmp_path) / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(InputError, match="could not be read"):
        find_extractor(str(tmp_path)).embed(PICTURES)
