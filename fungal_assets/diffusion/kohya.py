"""A LoRA under the names that ComfyUI, A1111 and sd-scripts read.

diffusers names a layer `unet.<module path>.lora_A.weight` and `lora_B.weight`; kohya's tools name it
`lora_unet_<path with underscores>.lora_down.weight`, `lora_up.weight` and `alpha`. Alpha is written always: a
reader that finds none guesses it. A layer of the text encoder is `lora_te_text_model_<path>`, also where transformers
leaves `text_model` out. This is sd-scripts' way for Stable Diffusion 1.x and 2.x; for SDXL it numbers the UNet's blocks
as the original code does and counts two text encoders, and no SDXL model is tuned here.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch  # noqa: TID253

_KINDS = {".lora_A.weight": "lora_down", ".lora_B.weight": "lora_up"}
_PARTS = {
    "unet.": "lora_unet_",
    "text_encoder.text_model.": "lora_te_text_model_",
    "text_encoder.": "lora_te_text_model_",
}


def to_kohya(lora: Mapping[str, torch.Tensor], *, alpha: float) -> dict[str, torch.Tensor]:
    """The same LoRA under kohya's names, with `alpha` per layer.

    Args:
        lora: Tensors by diffusers' names, of layers of the UNet and of the text encoder.
        alpha: The scale's numerator; the rank is its denominator.
    """
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in lora.items():
        suffix = next(suffix for suffix in _KINDS if name.endswith(suffix))
        layer = _name_layer(name.removesuffix(suffix))
        renamed[f"{layer}.{_KINDS[suffix]}.weight"] = tensor
        renamed[f"{layer}.alpha"] = torch.tensor(float(alpha), dtype=tensor.dtype)
    return renamed


def _name_layer(path: str) -> str:
    part = next(part for part in _PARTS if path.startswith(part))
    return _PARTS[part] + path.removeprefix(part).replace(".", "_")
