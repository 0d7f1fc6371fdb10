"""Folders of tiny extractors at random weights, as the hub has them."""

from __future__ import annotations

import json
from pathlib import Path

DINO_INPUT = {
    "crop_size": {"height": 28, "width": 28},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "BitImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 32},
}
CLIP_INPUT = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 32,
}
"""In the old form that the hub's CLIP still has."""
_TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_CLIP_SIDE = {**_TINY, "intermediate_size": 32, "projection_dim": 8}
_CLIP_EYE = {**_CLIP_SIDE, "image_size": 32, "patch_size": 8}
VGG_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG_WIDTHS = (4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8)
VGG_WIDE = 12


def save_dinov2(folder: Path, seed: int = 0) -> Path:
    """A DINOv2 of 16 numbers that looks at 28 px of 32."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(seed)
    return _save(Dinov2Model(Dinov2Config(**_TINY, image_size=28, patch_size=14)), folder, DINO_INPUT)


def save_clip_vision(folder: Path) -> Path:
    """The half of a CLIP that sees: 8 numbers of 32 px."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(1)
    return _save(CLIPVisionModelWithProjection(CLIPVisionConfig(**_CLIP_EYE)), folder, CLIP_INPUT)


def save_clip(folder: Path) -> Path:
    """A whole CLIP, as the hub's: 8 numbers of 32 px."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(2)
    words = {**_CLIP_SIDE, "vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1}
    config = CLIPConfig(text_config=words, vision_config=_CLIP_EYE, projection_dim=8)
    return _save(CLIPModel(config), folder, CLIP_INPUT)


def _save(model, folder: Path, processor: dict) -> Path:
    model.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def draw_vgg16_weights(seed: int = 0) -> dict:
    """Weights by timm's names of a VGG16 a sixteenth as wide or less."""
    import torch

    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int):
        fan_in = max(1, torch.Size(shape[1:]).numel())
        return torch.randn(shape, generator=rng) * (2 / fan_in) ** 0.5

    weights, before = {}, 3
    for number, width in zip(VGG_CONVOLUTIONS, VGG_WIDTHS, strict=True):
        weights[f"features.{number}.weight"] = draw(width, before, 3, 3)
        weights[f"features.{number}.bias"] = 0.1 * draw(width)
        before = width
    weights |= {"pre_logits.fc1.weight": draw(10, before, 7, 7), "pre_logits.fc1.bias": 0.1 * draw(10)}
    weights |= {
        "pre_logits.fc2.weight": draw(VGG_WIDE, 10, 1, 1),
        "pre_logits.fc2.bias": 0.1 * draw(VGG_WIDE),
    }
    return weights | {"head.fc.weight": draw(5, VGG_WIDE), "head.fc.bias": draw(5)}


def save_vgg16(folder: Path, weights: dict | None = None) -> Path:
    """A narrow VGG16 in timm's layout."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(draw_vgg16_weights() if weights is None else weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "vgg16", "num_classes": 5}))
    return folder
