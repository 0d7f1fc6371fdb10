"""The real pictures of a DCGAN: every one of the shards, in a file that any row is read from at once.

The shards are streamed once and their pictures kept decoded, a byte a number, in a file that is mapped and not read, so
that memory does not grow with the collection. Which pictures a step sees is decided by the seed and the step's number.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch  # noqa: TID253
from PIL import Image

from fungal_assets.dataset.splitting import hold_out
from fungal_assets.diffusion.encoding import key_of
from fungal_assets.errors import InputError
from fungal_assets.progress import Tell, follow
from fungal_assets.shards import count_rows, read_rows
from fungal_assets.store import write_atomically

PIXELS_NAME, ABOUT_NAME = "pixels.npy", "pixels.json"
LEAST_HELD_OUT = 4
"""So many pictures must be held out for a distance to them to mean anything."""


@dataclass(frozen=True)
class Squares:
    """Real pictures, decoded.

    Args:
        image_ids: Their ids, in order.
        pixels: uint8, shape (n, 3, S, S), mapped from disk.
    """

    image_ids: Sequence[str]
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)

    def rows(self, image_ids: Sequence[str]) -> list[int]:
        """Where pictures lie."""
        places = {image_id: row for row, image_id in enumerate(self.image_ids)}
        return [places[image_id] for image_id in image_ids]

    def pictures(self, rows: Sequence[int]) -> Iterator[Image.Image]:
        """Some of the pictures, RGB, one after the other."""
        return (Image.fromarray(np.moveaxis(self.pixels[row], 0, -1)) for row in rows)


def read_squares(prepared_images: Path, cache: Path, *, size_px: int, tell: Tell) -> Squares:
    """Decode every picture of all shards into the cache, or find them there.

    Args:
        prepared_images: Output of `preparation.prepare_images`.
        cache: Folder for the decoded pictures.
        size_px: Side that all of them must have.
        tell: Told how far it is.

    Raises:
        InputError: A picture has another size; or there are fewer than two.
    """
    about = cache / ABOUT_NAME
    if about.is_file():
        return Squares(json.loads(about.read_text()), np.load(cache / PIXELS_NAME, mmap_mode="r"))
    count = count_rows(prepared_images)
    if count < 2:
        raise InputError(
            f"{prepared_images} holds {count} pictures; a DCGAN needs two, and some hundred to be any good."
        )
    cache.mkdir(parents=True, exist_ok=True)
    shape = (count, 3, size_px, size_px)
    pixels = np.lib.format.open_memmap(cache / PIXELS_NAME, "w+", np.uint8, shape)
    image_ids = []
    for index, row in enumerate(follow(read_rows(prepared_images), tell, "decoding", count)):
        pixels[index] = _decode(row["image"]["bytes"], row["image_id"], size_px)
        image_ids.append(row["image_id"])
    pixels.flush()
    write_atomically(about, json.dumps(image_ids))
    return Squares(image_ids, pixels)


def _decode(data: bytes, image_id: str, size_px: int) -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if image.size != (size_px, size_px):
        raise InputError(
            f"the prepared picture {image_id!r} has {image.width}x{image.height} px, {size_px}x{size_px} expected. "
            "Prepare the pictures again, as squares: fungal grow --until prepared_images --set "
            "prepared_images.shape=square"
        )
    return np.moveaxis(np.asarray(image), -1, 0)


def part(image_ids: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Ids to train on and ids held out, each picture drawn by its own hash.

    Raises:
        InputError: Too few are held out to measure a distance to.
    """
    own = {image_id: image_id for image_id in image_ids}
    kept = hold_out(own, dict.fromkeys(image_ids, ""), share)
    if len(kept) < LEAST_HELD_OUT:
        raise InputError(
            f"of {len(image_ids)} pictures {len(kept)} are held out at dcgan_weights.held_out_share={share}, at least "
            f"{LEAST_HELD_OUT} expected, as the distance to them says how good the drawn ones are. Raise it, or "
            "collect more pictures."
        )
    return [each for each in image_ids if each not in kept], [each for each in image_ids if each in kept]


@dataclass(frozen=True)
class RealBatches:
    """The real pictures of each step.

    Args:
        squares: All pictures.
        rows: Those that are trained on.
        batch_size: How many a step sees; a step may see one several times where there are fewer.
        flips: Whether they are mirrored by chance.
        seed: Decides the order and the mirroring.
        device: Where batches go.
    """

    squares: Squares
    rows: Sequence[int]
    batch_size: int
    flips: bool
    seed: int
    device: torch.device

    @cached_property
    def _held(self) -> dict[int, torch.Tensor]:
        """The orders of the last epochs that were asked for."""
        return {}

    def _order(self, epoch: int) -> torch.Tensor:
        if epoch not in self._held:
            if len(self._held) > math.ceil(self.batch_size / len(self.rows)) + 1:
                self._held.clear()
            self._held[epoch] = torch.randperm(
                len(self.rows), generator=generator_of(self.seed, "order", epoch)
            )
        return self._held[epoch]

    def rows_of(self, step: int) -> list[int]:
        """Which pictures a step sees: the next ones in the fresh order of their epoch."""
        first, count = step * self.batch_size, len(self.rows)
        return [
            self.rows[int(self._order(at // count)[at % count])]
            for at in range(first, first + self.batch_size)
        ]

    def at(self, step: int) -> torch.Tensor:
        """The pictures of a step, float32, shape (B, 3, S, S), -1 to 1."""
        pixels = torch.from_numpy(np.stack([self.squares.pixels[row] for row in self.rows_of(step)]))
        if self.flips:
            is_turned = torch.rand(len(pixels), generator=generator_of(self.seed, "flips", step)) < 0.5
            pixels[is_turned] = pixels[is_turned].flip(-1)
        return pixels.to(self.device, torch.float32).div_(127.5).sub_(1)


def generator_of(seed: int, purpose: str, at: int) -> torch.Generator:
    """A generator of its own for each purpose and step or picture, on the CPU, so that all devices draw the same."""
    return torch.Generator().manual_seed(int(key_of(seed, purpose, at), 16) >> 1)


def draw_latents(count: int, latent_size: int, generator: torch.Generator) -> torch.Tensor:
    """Noise vectors, float32, shape (count, latent_size)."""
    return torch.randn(count, latent_size, generator=generator)


def to_pictures(images: torch.Tensor) -> list[Image.Image]:
    """Drawn pictures of values -1 to 1, shape (n, 3, S, S), as RGB."""
    pixels = images.detach().float().add(1).mul(127.5).round().clamp(0, 255).byte().cpu().permute(0, 2, 3, 1)
    return [Image.fromarray(each) for each in pixels.numpy()]
