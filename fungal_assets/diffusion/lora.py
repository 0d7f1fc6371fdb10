"""LoRA: low-rank additions to layers of a base model, the only thing that learns (Hu et al. 2021, arXiv:2106.09685).

A layer's weight W becomes W + s B A with s = alpha / rank, where A has `rank` rows, B as many columns, and B begins as
zero. Which layers: `attention` reaches the projections of the attention alone; `transformer` every linear layer and 1x1
convolution of the transformer blocks, the layers that sd-scripts names by default; `all` also what its `conv_dim` adds,
the convolutions and the time projection of the residual blocks and the convolutions that halve and double the size. No
trainer names a layer beyond these, and ComfyUI knows each of them. Where the text encoders learn too, it is the same of
them: the projections of their attention, or these and both layers of each feed-forward network.

As DoRA (Liu et al. 2024, arXiv:2402.09353) a weight becomes m (W + s B A) / |W + s B A| with the norm of each row, and
the magnitudes m learn as well. Such a layer does not lie on the line from W as s falls, so weights part of the way are
mixed from the base's and the tuned ones, and the adapter is kept whole.

In files s is multiplied into B, so that alpha is the rank there: of diffusers' names a reader takes that for granted,
and one that reads alpha finds it.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch  # noqa: TID253

from fungal_assets.diffusion.encoding import read_tensors
from fungal_assets.diffusion.families import TRANSFORMER, UNET, family_of, text_encoders_of
from fungal_assets.diffusion.inversion import Words
from fungal_assets.diffusion.original_layout import TEXT_PREFIX
from fungal_assets.errors import ProvenanceError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from peft import LoraConfig

LORA_FILE = "lora/pytorch_lora_weights.safetensors"
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_TRANSFORMER = (*_ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
_RESIDUAL = ("conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv")
UNET_LAYERS = {
    "attention": _ATTENTION,
    "transformer": _TRANSFORMER,
    "all": (*_TRANSFORMER, *_RESIDUAL),
}
"""The layers of a UNet that learn, by the setting `lora_targets`: ends of diffusers' names."""
_JOINT = (*_ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
_JOINT_BLOCKS = (*_JOINT, *(f"{ff}.net.{layer}" for ff in ("ff", "ff_context") for layer in ("0.proj", "2")))
TRANSFORMER_LAYERS = {
    "attention": _JOINT,
    "transformer": _JOINT_BLOCKS,
    "all": (*_JOINT_BLOCKS, "norm1.linear", "norm1_context.linear"),
}
"""The same of a transformer that attends to picture and text together, as Stable Diffusion 3's."""
_TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_TEXT_TRANSFORMER = (*_TEXT_ATTENTION, "fc1", "fc2")
TEXT_LAYERS = {"attention": _TEXT_ATTENTION, "transformer": _TEXT_TRANSFORMER, "all": _TEXT_TRANSFORMER}
"""The same of a text encoder: ends of transformers' names."""
SECOND, MAGNITUDE = ".lora_B.", ".lora_magnitude_vector.weight"
_ADAPTER = "tuned"


@dataclass(frozen=True)
class Lora:
    """Low-rank additions to some layers.

    Args:
        rank: Of the added matrices.
        alpha: Numerator of their scale; 0 for the rank, a scale of one.
        targets: A key of `UNET_LAYERS`.
        has_dora: Whether the rows' magnitudes learn apart from their directions.
        trains_text_encoder: Whether layers of the text encoders learn as well.
    """

    rank: int
    alpha: float = 0.0
    targets: str = "transformer"
    has_dora: bool = False
    trains_text_encoder: bool = False
    name: str = "lora"
    weights_file: str = LORA_FILE
    learns_names: bool = False

    @property
    def learns_texts(self) -> bool:
        """Whether what texts mean changes from step to step."""
        return self.trains_text_encoder

    @property
    def scale(self) -> float:
        """What the product of the matrices is multiplied by."""
        return (self.alpha or self.rank) / self.rank

    def attach(
        self, pipeline: DiffusionPipeline, words: Words, *, seed: int
    ) -> dict[str, torch.nn.Parameter]:
        """Add the adapter; only its matrices learn. The start is that of the base model, as `up` is zero."""
        parts = self._parts(pipeline)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for name, part in parts.items():
                part.requires_grad_(False)
                part.add_adapter(self._config(name))
        return {
            name if part in (UNET, TRANSFORMER) else f"{part}.{name}": param
            for part, model in parts.items()
            for name, param in model.named_parameters()
            if param.requires_grad
        }

    def _parts(self, pipeline: DiffusionPipeline) -> dict[str, torch.nn.Module]:
        """The models that learn, the denoiser first."""
        denoiser = {family_of(pipeline).denoiser: pipeline.unet}
        return denoiser | (text_encoders_of(pipeline) if self.trains_text_encoder else {})

    def _config(self, part: str) -> LoraConfig:
        from peft import LoraConfig

        layers = {UNET: UNET_LAYERS, TRANSFORMER: TRANSFORMER_LAYERS}.get(part, TEXT_LAYERS)
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha or self.rank,
            target_modules=list(layers[self.targets]),
            use_dora=self.has_dora,
        )

    def save(self, pipeline: DiffusionPipeline, folder: Path) -> None:
        """One safetensors file under peft's names, which diffusers reads, with the scale in the second matrices.

        `convert_state_dict_to_diffusers`, which diffusers' own scripts call here, renames the attention layers
        only; of a file with both kinds of names diffusers 0.42 loads the others and warns at most.
        """
        from peft.utils import get_peft_model_state_dict

        layers = {}
        for part, model in self._parts(pipeline).items():
            lora = scale_second(get_peft_model_state_dict(model), self.scale)
            layers[f"{part}_lora_layers"] = {_in_files(part, name): values for name, values in lora.items()}
        pipeline.save_lora_weights(folder / "lora", **layers)

    def restore(self, pipeline: DiffusionPipeline, folder: Path, *, strength: float) -> None:
        """Load the adapter, add it into the weights that it belongs to, and take it off.

        Raises:
            ProvenanceError: Not every tensor of the file found its layer.
        """
        lora = read_tensors(folder / self.weights_file)
        parts = {name: getattr(pipeline, name) for name in parts_in(lora)}
        is_mixed = is_dora(lora) and strength < 1
        base = copy_weights(pipeline, lora) if is_mixed else {}
        pipeline.load_lora_weights(folder / "lora", adapter_name=_ADAPTER)
        loaded = {
            f"{part}.{_in_files(part, name.replace(f'.{_ADAPTER}', ''))}": values
            for part, model in parts.items()
            for name, values in model.named_parameters()
        }
        found = sum(name in loaded and torch.equal(loaded[name], values) for name, values in lora.items())
        if found != len(lora):
            raise ProvenanceError(
                f"{folder / self.weights_file} holds {len(lora)} tensors and {found} found their layer in the "
                f"base model. Tune again on this base model."
            )
        pipeline.fuse_lora(components=list(parts), lora_scale=1.0 if is_mixed else strength)
        pipeline.unload_lora_weights()
        for layer, tuned in _weights_of(pipeline, base).items():
            tuned.copy_(base[layer].lerp(tuned, strength))


def is_dora(lora: Mapping[str, torch.Tensor]) -> bool:
    """Whether the tensors of a file are a DoRA's."""
    return any(MAGNITUDE in name for name in lora)


def parts_in(lora: Iterable[str]) -> list[str]:
    """The parts of a pipeline that names of a file belong to, sorted: `"text_encoder"`, `"unet"`."""
    return sorted({name.split(".")[0] for name in lora})


def copy_weights(pipeline: DiffusionPipeline, lora: Iterable[str]) -> dict[str, torch.Tensor]:
    """A copy of the weights of the layers that names of a file belong to, by the layers' names there."""
    return {layer: values.clone() for layer, values in _weights_of(pipeline, lora).items()}


def _weights_of(pipeline: DiffusionPipeline, lora: Iterable[str]) -> dict[str, torch.Tensor]:
    """These weights themselves, of the layers that there are; no adapter may be attached."""
    layers = {name.split(".lora_")[0] for name in lora}
    named = {
        f"{part}.{_in_files(part, name)}": values
        for part in parts_in(layers)
        for name, values in getattr(pipeline, part).state_dict().items()
    }
    return {layer: named[f"{layer}.weight"] for layer in layers if f"{layer}.weight" in named}


def _in_files(part: str, name: str) -> str:
    """A tensor's name as files have it: of text encoders with the prefix that transformers 5 leaves out in memory.

    peft leaves `weight` out of the names of magnitudes; without it transformers 5 loads none of a text encoder.
    """
    if name.endswith(MAGNITUDE.removesuffix(".weight")):
        name += ".weight"
    lacks_prefix = part.startswith("text_encoder") and not name.startswith((TEXT_PREFIX, "text_projection."))
    return TEXT_PREFIX + name if lacks_prefix else name


def scale_second(lora: dict[str, torch.Tensor], factor: float) -> dict[str, torch.Tensor]:
    """The same LoRA with `factor` times the effect: of each layer's two matrices the second is multiplied by it."""
    return {name: tensor * factor if SECOND in name else tensor for name, tensor in lora.items()}
