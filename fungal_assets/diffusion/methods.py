"""Methods of fine-tuning: which parameters of a base model learn, and how they are kept and put back.

The loop, the losses and the checkpoints know nothing of methods; each is a small class, and the third,
`textual_inversion`, has a module of its own, `inversion`. A LoRA reaches every linear layer and 1x1 convolution of
the transformer blocks, not the attention alone: the same layers that other trainers name, so that every reader of
LoRA files knows them.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch  # noqa: TID253

from fungal_assets.diffusion.encoding import read_tensors
from fungal_assets.diffusion.inversion import TextualInversion, Words
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.profiles import METHODS

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
LORA_FILE = "lora/pytorch_lora_weights.safetensors"
UNET_FILE = "unet/diffusion_pytorch_model.safetensors"


class Method(Protocol):
    """One way to fine-tune."""

    @property
    def name(self) -> str:
        """As in a partition key."""
        ...

    @property
    def weights_file(self) -> str:
        """Where the tuned weights lie, relative to the output."""
        ...

    @property
    def learns_texts(self) -> bool:
        """Whether it learns what texts mean, so that these are encoded within the step."""
        ...

    def attach(
        self, pipeline: StableDiffusionPipeline, words: Words, *, seed: int
    ) -> dict[str, torch.nn.Parameter]:
        """Make the pipeline ready to learn; returns what learns, by name."""
        ...

    def save(self, pipeline: StableDiffusionPipeline, folder: Path) -> None:
        """Write the tuned weights to `folder / weights_file`."""
        ...

    def restore(self, pipeline: StableDiffusionPipeline, folder: Path, *, strength: float) -> None:
        """Put weights that `save` wrote into an untouched base model for good, `strength` of the way, 0 to 1."""
        ...


@dataclass(frozen=True)
class Lora:
    """Low-rank additions to the transformer blocks (Hu et al. 2021, arXiv:2106.09685), alpha as the rank."""

    rank: int
    name: str = "lora"
    weights_file: str = LORA_FILE
    learns_texts: bool = False

    def attach(
        self, pipeline: StableDiffusionPipeline, words: Words, *, seed: int
    ) -> dict[str, torch.nn.Parameter]:
        """Add the adapter; only its matrices learn. The start is that of the base model, as `up` is zero."""
        from peft import LoraConfig

        pipeline.unet.requires_grad_(False)
        config = LoraConfig(r=self.rank, lora_alpha=self.rank, target_modules=list(LORA_TARGETS))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            pipeline.unet.add_adapter(config)
        return {name: param for name, param in pipeline.unet.named_parameters() if param.requires_grad}

    def save(self, pipeline: StableDiffusionPipeline, folder: Path) -> None:
        """One safetensors file under peft's names, which diffusers reads.

        `convert_state_dict_to_diffusers`, which diffusers' own scripts call here, renames the attention layers
        only; of a file with both kinds of names diffusers 0.42 loads the others and warns at most.
        """
        from peft.utils import get_peft_model_state_dict

        pipeline.save_lora_weights(folder / "lora", unet_lora_layers=get_peft_model_state_dict(pipeline.unet))

    def restore(self, pipeline: StableDiffusionPipeline, folder: Path, *, strength: float) -> None:
        """Load the adapter, add it into the weights that it belongs to, and take it off.

        Raises:
            ProvenanceError: Not every tensor of the file found its layer.
        """
        pipeline.load_lora_weights(folder / "lora")
        kept = len(read_tensors(folder / self.weights_file))
        found = sum(".lora_" in name for name, _ in pipeline.unet.named_parameters())
        if found != kept:
            raise ProvenanceError(
                f"{folder / self.weights_file} holds {kept} tensors and {found} found their layer in the "
                f"base model. Tune again on this base model."
            )
        pipeline.fuse_lora(components=["unet"], lora_scale=strength)
        pipeline.unload_lora_weights()


@dataclass(frozen=True)
class Full:
    """Every parameter of the UNet learns."""

    name: str = "full"
    weights_file: str = UNET_FILE
    learns_texts: bool = False

    def attach(
        self, pipeline: StableDiffusionPipeline, words: Words, *, seed: int
    ) -> dict[str, torch.nn.Parameter]:
        """Nothing is added; the seed decides nothing."""
        pipeline.unet.requires_grad_(True)
        return dict(pipeline.unet.named_parameters())

    def save(self, pipeline: StableDiffusionPipeline, folder: Path) -> None:
        """A UNet folder as diffusers writes it."""
        pipeline.unet.save_pretrained(folder / "unet", safe_serialization=True)

    def restore(self, pipeline: StableDiffusionPipeline, folder: Path, *, strength: float) -> None:
        """Move the UNet's weights towards the tuned ones."""
        base, tuned = pipeline.unet.state_dict(), read_tensors(folder / self.weights_file)
        pipeline.unet.load_state_dict({name: base[name].lerp(tuned[name], strength) for name in tuned})


def get_method(name: str, *, lora_rank: int, vectors_per_species: int) -> Method:
    """The method of that name.

    Raises:
        InputError: It is not known.
    """
    if name == "lora":
        return Lora(lora_rank)
    if name == "full":
        return Full()
    if name == "textual_inversion":
        return TextualInversion(vectors_per_species)
    raise InputError(f"method {name!r} is not known; use one of {METHODS!r}.")
