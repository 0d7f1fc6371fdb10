"""A LoRA under the names that ComfyUI, A1111 and sd-scripts read.

diffusers names a layer `unet.<module path>.lora_A.weight` and `lora_B.weight`; kohya's tools name it
`lora_unet_<path with underscores>.lora_down.weight`, `lora_up.weight` and `alpha`. Alpha is written always: a
reader that finds none guesses it. A layer of the text encoder is `lora_te_text_model_<path>`, also where transformers
leaves `text_model` out.

A DoRA's magnitudes are `dora_scale`, one per row. ComfyUI divides W + B A by the norms of the rows of W, where DoRA
means those of W + B A itself; the magnitudes written here have that factor in them, so that ComfyUI and what follows it
come to the layer that was learnt. diffusers leaves `dora_scale` out, with a warning: give it the file of its own names.

This is sd-scripts' way for Stable Diffusion 1.x and 2.x; for SDXL it numbers the UNet's blocks
as the original code does and counts two text encoders, and no SDXL model is tuned here.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch  # noqa: TID253

from fungal_assets.diffusion.lora import MAGNITUDE

_KINDS = {".lora_A.weight": "lora_down.weight", ".lora_B.weight": "lora_up.weight", MAGNITUDE: "dora_scale"}
_PARTS = {
    "unet.": "lora_unet_",
    "text_encoder.text_model.": "lora_te_text_model_",
    "text_encoder.": "lora_te_text_model_",
}


def to_kohya(
    lora: Mapping[str, torch.Tensor], *, alpha: float, base: Mapping[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """The same LoRA under kohya's names, with `alpha` per layer.

    Args:
        lora: Tensors by diffusers' names, of layers of the UNet and of the text encoder.
        alpha: The scale's numerator; the rank is its denominator. Of a DoRA it must be the rank.
        base: For a DoRA the base model's weights by the same layers' names.
    """
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in lora.items():
        suffix = next(suffix for suffix in _KINDS if name.endswith(suffix))
        path = name.removesuffix(suffix)
        layer = _name_layer(path)
        if suffix == MAGNITUDE:
            assert base is not None, name
            tensor = _dora_scale(base[path], *(lora[f"{path}.lora_{part}.weight"] for part in "AB"), tensor)
        renamed[f"{layer}.{_KINDS[suffix]}"] = tensor
        renamed[f"{layer}.alpha"] = torch.tensor(float(alpha), dtype=tensor.dtype)
    return renamed


def _dora_scale(
    weight: torch.Tensor, first: torch.Tensor, second: torch.Tensor, magnitude: torch.Tensor
) -> torch.Tensor:
    """A layer's magnitudes as ComfyUI takes them, of shape (rows, 1) or (rows, 1, 1, 1) and their own dtype.

    Args:
        weight: The base's, shape (rows, columns) or (rows, columns, H, W).
        first: The matrix A, shape (rank, columns) or (rank, columns, H, W).
        second: The matrix B, shape (rows, rank) or (rows, rank, 1, 1), with the scale in it.
        magnitude: One per row.
    """
    rows = weight.float().flatten(1)
    moved = rows + second.float().flatten(1) @ first.float().flatten(1)
    scale = magnitude.float().flatten() * rows.norm(dim=1) / moved.norm(dim=1)
    return scale.to(magnitude.dtype).view(-1, *[1] * (weight.ndim - 1))


def _name_layer(path: str) -> str:
    part = next(part for part in _PARTS if path.startswith(part))
    return _PARTS[part] + path.removeprefix(part).replace(".", "_")
