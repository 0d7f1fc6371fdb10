"""Drawing pictures with a generator that was trained, and its weights as a file.

While a generator trains, its batch normalisation takes the statistics of each batch; those that it remembers lag behind
the weights, and an average of weights has none at all. So they are taken anew from fixed noise before anything is
drawn, and kept with the weights: then a picture hangs on its own noise alone, and is the same in any batch.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch  # noqa: TID253
from PIL import Image
from torch import nn  # noqa: TID253

from fungal_assets.ancestors.dcgan_images import draw_latents, generator_of, to_pictures
from fungal_assets.ancestors.dcgan_models import Generator
from fungal_assets.diffusion.encoding import read_tensors, write_tensors
from fungal_assets.errors import ProvenanceError
from fungal_assets.store import hash_file

WEIGHTS_NAME, ABOUT_NAME = "generator.safetensors", "dcgan.json"
DRAWN_AT_ONCE = 16
_SETTLING_BATCHES, _SETTLING_SIZE = 16, 32


@torch.no_grad()
def settle(state: Mapping[str, torch.Tensor], size_px: int, latent_size: int, width: int) -> Generator:
    """A generator with that state on the CPU, ready to draw, whose statistics are those of its own pictures."""
    generator = Generator(size_px, latent_size, width)
    generator.load_state_dict(state)
    generator.to(memory_format=torch.channels_last).train()
    for layer in generator.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over the batches
    for batch in range(_SETTLING_BATCHES):
        generator(draw_latents(_SETTLING_SIZE, latent_size, generator_of(0, "settling", batch)))
    return generator.eval()


def latents_of(count: int, latent_size: int, seed: int) -> torch.Tensor:
    """The noise of pictures, each by a seed of its own, float32, shape (count, latent_size)."""
    return torch.cat([draw_latents(1, latent_size, generator_of(seed, "picture", at)) for at in range(count)])


@torch.no_grad()
def draw_pictures(generator: Generator, latents: torch.Tensor) -> Iterator[Image.Image]:
    """The pictures of noise vectors, shape (n, latent_size), RGB, one after the other."""
    for batch in latents.split(DRAWN_AT_ONCE):
        yield from to_pictures(generator(batch))


def write_generator(folder: Path, generator: Generator) -> str:
    """Write the weights and statistics; gives the hash of the file."""
    write_tensors(folder / WEIGHTS_NAME, generator.state_dict())
    return hash_file(folder / WEIGHTS_NAME)


def read_about(dcgan_weights: Path) -> dict[str, Any]:
    """What `dcgan.json` says of the weights."""
    return json.loads((dcgan_weights / ABOUT_NAME).read_text())


def load_generator(dcgan_weights: Path) -> Generator:
    """The generator of an output of `dcgan_training.train_dcgan`, ready to draw.

    Raises:
        ProvenanceError: The weights are not those that were written.
    """
    about = read_about(dcgan_weights)
    found = hash_file(dcgan_weights / WEIGHTS_NAME)
    if found != about["sha256"]:
        raise ProvenanceError(
            f"{dcgan_weights / WEIGHTS_NAME} has the hash {found[:16]}, {about['sha256'][:16]} expected. Train again: "
            "fungal grow --with ancestors"
        )
    generator = Generator(about["size_px"], about["recipe"]["latent_size"], about["recipe"]["width"])
    generator.load_state_dict(read_tensors(dcgan_weights / WEIGHTS_NAME))
    return generator.to(memory_format=torch.channels_last).eval()
