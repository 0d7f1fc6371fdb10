"""A LoRA under the names that ComfyUI, A1111 and sd-scripts read.

diffusers names a layer `unet.<module path>.lora_A.weight` and `lora_B.weight`; kohya's tools name it
`lora_unet_<path with underscores>.lora_down.weight`, `lora_up.weight` and `alpha`. Alpha is written always: a
reader that finds none guesses it. A layer of the text encoder is `lora_te_text_model_<path>`, also where transformers
leaves `text_model` out.

A DoRA's magnitudes are `dora_scale`, one per row. ComfyUI divides W + B A by the norms of the rows of W, where DoRA
means those of W + B A itself; the magnitudes written here have that factor in them, so that ComfyUI and what follows it
come to the layer that was learnt. diffusers leaves `dora_scale` out, with a warning: give it the file of its own names.

Of Stable Diffusion 1.x and 2.x the UNet's layers have diffusers' paths; of XL they have those of the original code, in
which sd-scripts trains it, and text encoders are counted: `lora_te1_`, `lora_te2_`.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch  # noqa: TID253

from fungal_assets.diffusion.lora import MAGNITUDE

_KINDS = {".lora_A.weight": "lora_down.weight", ".lora_B.weight": "lora_up.weight", MAGNITUDE: "dora_scale"}
OriginalNames = Mapping[str, str | None]


def name_layer(path: str, xl_unet: OriginalNames | None = None) -> str:
    """A layer's name.

    Args:
        path: Its path with dots, behind the part that it is of, such as `unet.mid_block...`.
        xl_unet: As of `to_kohya`.
    """
    part, _, layer = path.partition(".")
    if part == "unet":
        original = xl_unet[f"{layer}.weight"] if xl_unet is not None else layer
        return "lora_unet_" + str(original).removesuffix(".weight").replace(".", "_")
    counts = {"text_encoder": "1", "text_encoder_2": "2"} if xl_unet is not None else {"text_encoder": ""}
    inside = layer.removeprefix("text_model.").replace(".", "_")
    return f"lora_te{counts[part]}_text_model_{inside}"


def to_kohya(
    lora: Mapping[str, torch.Tensor],
    *,
    alpha: float,
    xl_unet: OriginalNames | None = None,
    base: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """The same LoRA under kohya's names, with `alpha` per layer.

    Args:
        lora: Tensors by diffusers' names, of layers of the UNet and of the text encoder.
        alpha: The scale's numerator; the rank is its denominator. Of a DoRA it must be the rank.
        xl_unet: Of an XL, the original names of its UNet's tensors by diffusers' names (see
            `original_layout.name_unet`); None for Stable Diffusion 1.x and 2.x.
        base: For a DoRA the base model's weights by the same layers' names.
    """
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in lora.items():
        suffix = next(suffix for suffix in _KINDS if name.endswith(suffix))
        path = name.removesuffix(suffix)
        layer = name_layer(path, xl_unet)
        if suffix == MAGNITUDE:
            assert base is not None, name
            first, second = (lora[f"{path}.lora_{part}.weight"] for part in "AB")
            tensor = _dora_scale(base[path], first, second, tensor)
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
