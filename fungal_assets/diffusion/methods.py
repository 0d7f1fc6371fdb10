"""Methods of fine-tuning: which parameters of a base model learn, and how they are kept and put back.

The loop, the losses and the checkpoints know nothing of methods; each is a small class. `full` is here, and the others
have modules of their own, `lora` and `inversion`.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch  # noqa: TID253

from fungal_assets.diffusion.encoding import read_tensors
from fungal_assets.diffusion.inversion import TextualInversion, Words
from fungal_assets.diffusion.lora import Lora
from fungal_assets.errors import InputError
from fungal_assets.profiles import METHODS

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

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

    @property
    def learns_names(self) -> bool:
        """Whether it learns names as words and nothing else, so that a text without one teaches nothing."""
        ...

    def attach(
        self, pipeline: DiffusionPipeline, words: Words, *, seed: int
    ) -> dict[str, torch.nn.Parameter]:
        """Make the pipeline ready to learn; returns what learns, by name."""
        ...

    def save(self, pipeline: DiffusionPipeline, folder: Path) -> None:
        """Write the tuned weights to `folder / weights_file`."""
        ...

    def restore(self, pipeline: DiffusionPipeline, folder: Path, *, strength: float) -> None:
        """Put weights that `save` wrote into an untouched base model for good, `strength` of the way, 0 to 1."""
        ...


@dataclass(frozen=True)
class Full:
    """Every parameter of the UNet learns."""

    name: str = "full"
    weights_file: str = UNET_FILE
    learns_texts: bool = False
    learns_names: bool = False

    def attach(
        self, pipeline: DiffusionPipeline, words: Words, *, seed: int
    ) -> dict[str, torch.nn.Parameter]:
        """Nothing is added; the seed decides nothing."""
        pipeline.unet.requires_grad_(True)
        return dict(pipeline.unet.named_parameters())

    def save(self, pipeline: DiffusionPipeline, folder: Path) -> None:
        """A UNet folder as diffusers writes it, in one file, which SDXL's would not be by itself."""
        pipeline.unet.save_pretrained(folder / "unet", safe_serialization=True, max_shard_size="1000GB")

    def restore(self, pipeline: DiffusionPipeline, folder: Path, *, strength: float) -> None:
        """Move the UNet's weights towards the tuned ones."""
        base, tuned = pipeline.unet.state_dict(), read_tensors(folder / self.weights_file)
        pipeline.unet.load_state_dict({name: base[name].lerp(tuned[name], strength) for name in tuned})


def get_method(
    name: str,
    *,
    lora_rank: int,
    vectors_per_species: int,
    lora_alpha: float = 0.0,
    lora_targets: str = "transformer",
    has_dora: bool = False,
    trains_text_encoder: bool = False,
) -> Method:
    """The method of that name, with its settings as `Recipe` has them.

    Raises:
        InputError: It is not known.
    """
    if name == "lora":
        return Lora(lora_rank, lora_alpha, lora_targets, has_dora, trains_text_encoder)
    if name == "full":
        return Full()
    if name == "textual_inversion":
        return TextualInversion(vectors_per_species)
    raise InputError(f"method {name!r} is not known; use one of {METHODS!r}.")
