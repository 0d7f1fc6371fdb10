"""Stable Diffusion and Stable Diffusion XL under the names of their first code: what a single-file checkpoint holds.

One flat dictionary with three parts: `model.diffusion_model.*` (the UNet), `first_stage_model.*` (the autoencoder)
and `cond_stage_model.*` (the text encoder: CLIP's own module names for 1.x, OpenCLIP's with one matrix for queries,
keys and values for 2.x) or `conditioner.embedders.*` (XL's two, one of each kind). ComfyUI, A1111 and
`from_single_file` know a model by these names. A model with a part that has no name there, such as the text embedding
that the pocket model adds to its time, has no single file.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch  # noqa: TID253

from fungal_assets.diffusion.families import UNET as UNET_PART
from fungal_assets.diffusion.families import family_of, text_encoders_of
from fungal_assets.errors import InputError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

Tensors = dict[str, torch.Tensor]
UNET, VAE, CLIP, OPEN_CLIP = (
    "model.diffusion_model.",
    "first_stage_model.",
    "transformer.text_model.",
    "model.",
)
TEXT_PREFIX = "text_model."
"""Files of CLIP text encoders have it before every name; transformers 5 leaves it out in memory."""
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_QUERY_KEY_VALUE = ("q_proj", "k_proj", "v_proj")


def to_original(pipeline: DiffusionPipeline) -> Tensors:
    """All weights of a pipeline under the original names, of its own dtype and on its device.

    Raises:
        InputError: Parts of it have no name there.
    """
    unnamed = find_unnamed(pipeline)
    if unnamed:
        raise InputError(
            f"Stable Diffusion's original layout has no name for {', '.join(unnamed)}, so this model can't be a single "
            "file. Use its diffusers folder."
        )
    unet, vae = pipeline.unet.state_dict(), pipeline.vae.state_dict()
    names = name_unet(unet)
    whole = {UNET + str(names[name]): values for name, values in unet.items()}
    whole |= {VAE + str(name): _as_convolution(name, vae[old]) for old, name in name_vae(vae).items()}
    return whole | _text_tensors(pipeline)


def find_unnamed(pipeline: DiffusionPipeline) -> list[str]:
    """The parts that have no name in the original layout, such as `"unet.add_embedding"`; none of Stable Diffusion."""
    if family_of(pipeline).denoiser != UNET_PART:
        return [family_of(pipeline).denoiser]
    found: dict[str, None] = {}
    unet, vae = pipeline.unet.state_dict(), pipeline.vae.state_dict()
    for part, names in (("unet", name_unet(unet)), ("vae", name_vae(vae))):
        found |= dict.fromkeys(f"{part}.{old.split('.')[0]}" for old, new in names.items() if new is None)
    return list(found)


def is_open_clip(text_encoder: torch.nn.Module) -> bool:
    """Whether a text encoder is OpenCLIP's, as in Stable Diffusion 2.x: its activation is the exact GELU."""
    return text_encoder.config.hidden_act == "gelu"


def name_unet(names: Sequence[str] | Mapping[str, object]) -> dict[str, str | None]:
    """The original name of each of diffusers' names of a UNet's tensors, None where there is none.

    Args:
        names: All names: how many blocks there are and which of them attend decides how they are numbered.
    """
    from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING

    resnets = 1 + max(
        (int(found[1]) for name in names if (found := re.match(r"down_blocks\.0\.resnets\.(\d+)\.", name))),
        default=0,
    )
    attends = {found[1] for name in names if (found := re.match(r"up_blocks\.(\d+)\.attentions\.", name))}
    maps = DIFFUSERS_TO_LDM_MAPPING["unet"]
    outside = maps["layers"] | maps["addition_embed_type"]
    return {name: outside.get(name) or _name_in_unet(name, resnets, attends) for name in names}


def _name_in_unet(name: str, resnets: int, attends: set[str]) -> str | None:
    """Blocks are numbered through: on the way down `resnets` and one that halves per level, up one more each."""
    found = re.fullmatch(
        r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)", name
    )
    if found:
        way, level, kind, index, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * (resnets + 1)}.0.{rest.replace('conv.', 'op.')}"
        if kind == "upsamplers":
            return f"output_blocks.{level * (resnets + 1) + resnets}.{1 + (found[2] in attends)}.{rest}"
        block = level * (resnets + 1) + index + (way == "down")
        place = f"{'input' if way == 'down' else 'output'}_blocks.{block}"
        return f"{place}.0.{_swap(rest, _UNET_RESNET)}" if kind == "resnets" else f"{place}.1.{rest}"
    found = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)", name)
    if found:
        index, rest = 2 * int(found[2]), found[3]
        if found[1] == "resnets":
            return f"middle_block.{index}.{_swap(rest, _UNET_RESNET)}"
        return f"middle_block.{index + 1}.{rest}"
    return None


def name_vae(names: Sequence[str] | Mapping[str, object]) -> dict[str, str | None]:
    """The original name of each of diffusers' names of an autoencoder's tensors, None where there is none."""
    from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING

    levels = 1 + max(
        (int(found[1]) for name in names if (found := re.match(r"decoder\.up_blocks\.(\d+)\.", name))),
        default=0,
    )
    return {name: DIFFUSERS_TO_LDM_MAPPING["vae"].get(name) or _name_in_vae(name, levels) for name in names}


def _name_in_vae(name: str, levels: int) -> str | None:
    """The decoder's levels are counted from the finest here, from the coarsest in diffusers."""
    pattern = (
        r"(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(resnets\.(\d+)|downsamplers\.0|upsamplers\.0)\.(.+)"
    )
    found = re.fullmatch(pattern, name)
    if found:
        coder, way, level, kind, index, rest = found.groups()
        place = f"{coder}.{way}.{int(level) if way == 'down' else levels - 1 - int(level)}"
        if index is None:
            return f"{place}.{kind.removesuffix('rs.0')}.{rest}"
        return f"{place}.block.{index}.{_swap(rest, {'conv_shortcut': 'nin_shortcut'})}"
    found = re.fullmatch(r"(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d+)\.(.+)", name)
    if found:
        coder, kind, index, rest = found.groups()
        if kind == "resnets":
            return f"{coder}.mid.block_{int(index) + 1}.{rest}"
        return f"{coder}.mid.attn_1.{_swap(rest, _VAE_ATTENTION)}"
    return None


def _as_convolution(name: str | None, values: torch.Tensor) -> torch.Tensor:
    """The autoencoder's attention is made of 1x1 convolutions in the original: shape (C, C, 1, 1), not (C, C)."""
    is_attention = name is not None and ".mid.attn_1." in name and values.ndim == 2
    return values[:, :, None, None] if is_attention else values


def _text_tensors(pipeline: DiffusionPipeline) -> Tensors:
    encoders = list(text_encoders_of(pipeline).values())
    places = (
        ["cond_stage_model."]
        if len(encoders) == 1
        else ["conditioner.embedders.0.", "conditioner.embedders.1."]
    )
    named: Tensors = {}
    for place, encoder in zip(places, encoders, strict=True):
        text = {
            name.removeprefix(TEXT_PREFIX): values
            for name, values in encoder.state_dict().items()
            if not name.endswith("position_ids")
        }
        kind, text = (OPEN_CLIP, _in_open_clip(text)) if is_open_clip(encoder) else (CLIP, text)
        named |= {place + kind + name: values for name, values in text.items()}
    return named


def _in_open_clip(text: Tensors) -> Tensors:
    """OpenCLIP's names, queries, keys and values stacked in this order in one tensor of shape (3 W, W) or (3 W).

    What it multiplies a text's summary by lies transposed there.
    """
    from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING

    maps = DIFFUSERS_TO_LDM_MAPPING["openclip"]
    named: Tensors = {}
    for name, values in text.items():
        layer, _, projection = name.partition(".self_attn.")
        part, _, kind = projection.partition(".")
        if part in _QUERY_KEY_VALUE[1:]:
            continue
        if part == _QUERY_KEY_VALUE[0]:
            parts = [text[f"{layer}.self_attn.{one}.{kind}"] for one in _QUERY_KEY_VALUE]
            name, values = f"{layer}.self_attn.in_proj_{kind}", torch.cat(parts)
        if name == "text_projection.weight":
            named["text_projection"] = values.T.contiguous()
            continue
        name = TEXT_PREFIX + name
        if name in maps["layers"]:
            named[maps["layers"][name]] = values
            continue
        for new, old in maps["transformer"].items():
            name = name.replace(new, old)
        named[f"transformer.{name}"] = values
    return named


def _swap(name: str, parts: Mapping[str, str]) -> str:
    """The name with its first part, one of `parts`, exchanged; unchanged if it begins with none of them."""
    for old, new in parts.items():
        if name.startswith(old + "."):
            return new + name.removeprefix(old)
    return name
