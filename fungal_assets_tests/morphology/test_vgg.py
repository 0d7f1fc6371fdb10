from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.morphology.vgg import compute_fc2, load_vgg16
from fungal_assets.store import hash_file
from fungal_assets_tests.morphology.conftest import draw_specimen
from fungal_assets_tests.morphology.models import (
    VGG_CONVOLUTIONS,
    VGG_WIDE,
    VGG_WIDTHS,
    draw_vgg16_weights,
    save_vgg16,
)

PICTURES = [draw_specimen("disc", 0), draw_specimen("bars", 1), draw_specimen("star", 2)]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_vgg16(tmp_path_factory.mktemp("vgg16"))


def build_timm_features() -> torch.nn.Sequential:
    """The convolutions as timm numbers them: a rectifier after each, a pool after each block."""
    layers, before = [], 3
    for width, ends_block in zip(VGG_WIDTHS, (0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1), strict=True):
        layers += [torch.nn.Conv2d(before, width, 3, padding=1), torch.nn.ReLU()]
        layers += [torch.nn.MaxPool2d(2, 2)] if ends_block else []
        before = width
    return torch.nn.Sequential(*layers)


def test_fc2_is_what_the_layers_one_by_one_give(folder):
    weights = draw_vgg16_weights()
    features = build_timm_features()
    assert [n for n, layer in enumerate(features) if isinstance(layer, torch.nn.Conv2d)] == [
        *VGG_CONVOLUTIONS
    ]
    own = {name.removeprefix("features."): value for name, value in weights.items() if "features." in name}
    features.load_state_dict(own)
    squares = [np.asarray(picture.resize((224, 224), Image.Resampling.LANCZOS)) for picture in PICTURES]
    pixels = torch.from_numpy(((np.stack(squares) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)).float()
    with torch.inference_mode():
        seen = features(pixels).flatten(1)
        assert seen.shape == (3, 8 * 7 * 7)
        fc1 = (seen @ weights["pre_logits.fc1.weight"].flatten(1).T + weights["pre_logits.fc1.bias"]).relu()
        fc2 = (fc1 @ weights["pre_logits.fc2.weight"].flatten(1).T + weights["pre_logits.fc2.bias"]).relu()
        assert torch.allclose(compute_fc2(pixels, weights), fc2, rtol=1e-4, atol=1e-5)
    expected = torch.nn.functional.normalize(fc2).numpy()
    assert np.allclose(load_vgg16("tiny", folder).embed(PICTURES), expected, atol=1e-5)


def test_fc2_of_pictures_passed_through_is_their_brightest_places():
    """Each convolution hands its input on; fc1 is the mean over the 7 x 7 greatest values, fc2 twice that less one."""
    taps = torch.zeros(3, 3, 3, 3)
    taps[range(3), range(3), 1, 1] = 1
    weights = {f"features.{number}.weight": taps for number in VGG_CONVOLUTIONS}
    weights |= {f"features.{number}.bias": torch.zeros(3) for number in VGG_CONVOLUTIONS}
    one, each = torch.eye(3)[:, :, None, None], torch.ones(1, 1, 7, 7)
    weights |= {"pre_logits.fc1.weight": one * each / 49, "pre_logits.fc1.bias": torch.zeros(3)}
    weights |= {"pre_logits.fc2.weight": 2 * one, "pre_logits.fc2.bias": -torch.ones(3)}
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) - 2.5
    greatest = pixels.clamp(min=0).reshape(2, 3, 7, 32, 7, 32).amax((3, 5)).mean((2, 3))
    expected = (2 * greatest - 1).clamp(min=0)
    assert (expected > 0).any() and torch.allclose(compute_fc2(pixels, weights), expected, atol=1e-5)


def test_the_width_is_that_of_the_weights_and_the_hash_that_of_their_file(folder):
    extractor = load_vgg16("tiny", folder)
    assert (extractor.name, extractor.dimensions, extractor.input_px) == ("tiny", VGG_WIDE, 224)
    assert extractor.sha256 == hash_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "model.safetensors is missing; a VGG16 in timm's layout"),
        (lambda path: path.write_bytes(b"version https://git-lfs"), "is no safetensors file"),
    ],
    ids=["missing", "a pointer"],
)
def test_weights_that_cannot_be_read_are_told(tmp_path, spoil, message):
    spoil(save_vgg16(tmp_path) / "model.safetensors")
    with pytest.raises(InputError, match=message):
        load_vgg16("tiny", tmp_path)


def test_layers_that_are_missing_are_all_named(tmp_path):
    weights = draw_vgg16_weights()
    del weights["features.28.bias"], weights["pre_logits.fc2.weight"]
    with pytest.raises(InputError, match=r"lacks \['features.28.bias', 'pre_logits.fc2.weight'\]"):
        load_vgg16("tiny", save_vgg16(tmp_path, weights))
