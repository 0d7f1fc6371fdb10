"""A LoRA under the names that ComfyUI, A1111 and sd-scripts read.

diffusers names a layer `unet.<module path>.lora_A.weight` and `lora_B.weight`; kohya's tools name it
`lora_unet_<path with underscores>.lora_down.weight`, `lora_up.weight` and `alpha`. Alpha is written always: a
reader that finds none guesses it.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch  # noqa: TID253

_KINDS = {".lora_A.weight": "lora_down", ".lora_B.weight": "lora_up"}


def to_kohya(lora: Mapping[str, torch.Tensor], *, alpha: float) -> dict[str, torch.Tensor]:
    """The same LoRA under kohya's names, with `alpha` per layer.

    Args:
        lora: Tensors by diffusers' names, UNet layers only.
        alpha: The scale's numerator; the rank is its denominator.
    """
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in lora.items():
        suffix = next(suffix for suffix in _KINDS if name.endswith(suffix))
        layer = "lora_" + name.removesuffix(suffix).replace(".", "_")
        renamed[f"{layer}.{_KINDS[suffix]}.weight"] = tensor
        renamed[f"{layer}.alpha"] = torch.tensor(float(alpha), dtype=tensor.dtype)
    return renamed
