"""An extractor whose network runs in torch, on the best device that there is.

Belongs here: what VGG16, DINOv2 and CLIP share, from prepared pixels to unit vectors. What each makes of a picture, and
its network, stand in its own module.

Arithmetic is float32 on every device: these networks are small, and a vector is kept and compared for long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fungal_assets.collection.decoding import CENTRE, square_box
from fungal_assets.diffusion.devices import pick_device
from fungal_assets.morphology.projection import to_unit

if TYPE_CHECKING:
    import torch

Network = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class TorchExtractor:
    """An `extractors.Extractor`; its weights are read when the first picture comes.

    Threads may share an instance: they prepare pictures at once and take turns at the network, which uses all cores
    itself.

    Args:
        name: What `extractors.find_extractor` finds it by.
        sha256: Hash of what decides its vectors.
        dimensions: How many numbers a vector has, d.
        input_px: Side of the squares that it needs no larger.
        prepare: Square RGB pictures of any size to the network's input, float32, shape (n, 3, height, width).
        load: Reads the network onto a device. It maps that input to features, float, shape (n, d).
    """

    name: str
    sha256: str
    dimensions: int
    input_px: int
    prepare: Callable[[Sequence[Image.Image]], np.ndarray]
    load: Callable[[torch.device], Network]
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Feature vectors of the centre squares of RGB pictures: float32, shape (n, d), rows of length 1."""
        import torch

        if not len(images):
            return np.zeros((0, self.dimensions), np.float32)
        pixels = torch.from_numpy(self.prepare([cut_square(image) for image in images]))
        with self._turn, torch.inference_mode():
            features = self._network(pixels.to(self._device)).float().cpu().numpy()
        assert features.shape == (len(images), self.dimensions), features.shape
        return to_unit(features)

    @cached_property
    def _device(self) -> torch.device:
        return pick_device()

    @cached_property
    def _network(self) -> Network:
        return self.load(self._device)


def cut_square(image: Image.Image) -> Image.Image:
    """The centre square of a picture at its own scale, RGB."""
    return image.convert("RGB").crop(square_box(image.size, CENTRE))
