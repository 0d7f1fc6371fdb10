"""VGG16 as the artist's tutorial had it: the second of its two wide layers, `fc2`, 4096 numbers after their ReLU.

    x = relu(conv3x3(x))        13 times, in blocks of 2, 2, 3, 3 and 3, each block halved by the greatest of 2 x 2
    fc2 = relu(W2 relu(W1 x))   W1 sees all 7 x 7 places that are left of 224 x 224 pixels

Belongs here: that network, written plainly, and its input. The weights are torchvision's, trained on ImageNet, in the
layout of `timm/vgg16.tv_in1k`, where both wide layers are convolutions. The tutorial had Keras' weights, others of the
same architecture, and squeezed the whole picture into a square; here the centre square counts, as for all extractors.

Reference: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.morphology.efficientnet import centre_square
from fungal_assets.morphology.torch_extractor import Network, TorchExtractor
from fungal_assets.store import hash_file

if TYPE_CHECKING:
    import torch

ARCHITECTURE = "vgg16"
INPUT_PX = 224
_BLOCKS = (2, 2, 3, 3, 3)
_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_LAYERS = (*(f"features.{number}" for number in _CONVOLUTIONS), "pre_logits.fc1", "pre_logits.fc2")
_NAMES = tuple(f"{layer}.{part}" for layer in _LAYERS for part in ("weight", "bias"))
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


def load_vgg16(name: str, folder: Path) -> TorchExtractor:
    """The extractor of a folder with timm's weights of a VGG16; the classifier's head is not read.

    Args:
        name: What the extractor is called.
        folder: Where `model.safetensors` lies.

    Raises:
        InputError: That file is missing, broken, or lacks layers.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        raise InputError(
            f"{path} is missing; a VGG16 in timm's layout was expected there. Fetch timm/vgg16.tv_in1k again, "
            "model.safetensors included; pickled weights (.bin) are not opened."
        )
    dimensions = _find_dimensions(path)
    load = functools.partial(_load, path)
    return TorchExtractor(name, hash_file(path), dimensions, INPUT_PX, _prepare, load)


def _find_dimensions(path: Path) -> int:
    """The width of fc2, of weights that have all layers up to it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            lacking = sorted(set(_NAMES) - set(file.keys()))
            if not lacking:
                return file.get_slice("pre_logits.fc2.weight").get_shape()[0]
    except SafetensorError as error:
        raise InputError(
            f"{path} is no safetensors file: {error}. Fetch timm/vgg16.tv_in1k again."
        ) from error
    raise InputError(
        f"{path} lacks {lacking!r}; a VGG16 without batch normalisation in timm's layout was expected. Fetch "
        "timm/vgg16.tv_in1k."
    )


def compute_fc2(pixels: torch.Tensor, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The second wide layer's output, after its ReLU.

    Args:
        pixels: float32, shape (n, 3, 224, 224), normalised by ImageNet's mean and deviation.
        weights: By timm's names; the widths of the layers are theirs.

    Returns:
        float32, shape (n, d), 0 or more; d is 4096 of the true weights.
    """
    from torch.nn.functional import conv2d, max_pool2d, relu

    def layer(x: torch.Tensor, name: str, padding: int = 0) -> torch.Tensor:
        return relu(conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding))

    x, numbers = pixels, iter(_CONVOLUTIONS)
    for convolutions in _BLOCKS:
        for _ in range(convolutions):
            x = layer(x, f"features.{next(numbers)}", padding=1)
        x = max_pool2d(x, 2)
    return layer(layer(x, "pre_logits.fc1"), "pre_logits.fc2").flatten(1)


def _prepare(images: Sequence[Image.Image]) -> np.ndarray:
    squares = np.stack([np.asarray(centre_square(image, INPUT_PX), np.float32) for image in images])
    return np.ascontiguousarray(((squares / 255 - _MEAN) / _STD).transpose(0, 3, 1, 2))


def _load(path: Path, device: torch.device) -> Network:
    from safetensors import safe_open

    with safe_open(path, "pt", device=str(device)) as file:
        weights = {name: file.get_tensor(name).float() for name in _NAMES}
    return functools.partial(compute_fc2, weights=weights)
