"""DINOv2 and CLIP as extractors, in the layout of the `transformers` library.

DINOv2 learnt from pictures alone: its vector is the class token after the last layer and its norm. CLIP learnt from
pictures and their captions: its vector is the picture's in the space that it shares with texts.
Belongs here: reading such a folder. How a picture is scaled and normalised is the model's own, by its
`preprocessor_config.json`; Pillow does it also where torchvision is installed, so that a vector is the same anywhere.

References: M. Oquab and others, "DINOv2: Learning Robust Visual Features without Supervision", 2023;
    A. Radford and others, "Learning Transferable Visual Models From Natural Language Supervision", 2021.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.morphology.torch_extractor import Network, TorchExtractor
from fungal_assets.store import hash_file

if TYPE_CHECKING:
    import torch

_CONFIGS = ("config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class Kind:
    """How a kind of model is read.

    Args:
        class_name: Its class in `transformers`.
        output: Which of its outputs is the vector.
        dimensions: The field of its config that says how long that is.
    """

    class_name: str
    output: str
    dimensions: str


_CLIP = Kind("CLIPVisionModelWithProjection", "image_embeds", "projection_dim")
KINDS = {
    "dinov2": Kind("Dinov2Model", "pooler_output", "hidden_size"),
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
}
"""By the `model_type` of `config.json`; of a whole CLIP only the half that sees is read."""


def load_vision_transformer(name: str, folder: Path, kind: Kind) -> TorchExtractor:
    """The extractor of a folder that `save_pretrained` wrote.

    Args:
        name: What the extractor is called.
        folder: Where `config.json`, `preprocessor_config.json` and `model.safetensors`, or its shards, lie.
        kind: What it holds.

    Raises:
        InputError: A file is missing; all that are missing are named.
    """
    import transformers

    paths = _find_files(folder)
    config = getattr(transformers, kind.class_name).config_class.from_pretrained(
        folder, local_files_only=True
    )
    processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    return TorchExtractor(
        name=name,
        sha256=_hash_files(paths),
        dimensions=getattr(config, kind.dimensions),
        input_px=processor.size.shortest_edge or processor.size.height,
        prepare=functools.partial(_prepare, processor),
        load=functools.partial(_load, folder, kind),
    )


def _find_files(folder: Path) -> list[Path]:
    """The files that decide the vectors."""
    weights = [path for path in [folder / "model.safetensors"] if path.is_file()]
    weights = weights or sorted(folder.glob("model-*-of-*.safetensors"))
    missing = [name for name in _CONFIGS if not (folder / name).is_file()]
    missing += [] if weights else ["model.safetensors"]
    if missing:
        raise InputError(
            f"{folder} has no {', '.join(missing)}: that is no whole extractor. Give a folder that save_pretrained "
            "wrote, of the model and of its image processor; pickled weights (.bin) are not opened."
        )
    return [*(folder / name for name in _CONFIGS), *weights]


def _hash_files(paths: Sequence[Path]) -> str:
    """One hash over files in their order; names do not count."""
    return hashlib.sha256("".join(hash_file(path) for path in paths).encode()).hexdigest()


def _prepare(processor: Any, images: Sequence[Image.Image]) -> np.ndarray:
    return np.asarray(processor(images=list(images), return_tensors="np")["pixel_values"], np.float32)


def _load(folder: Path, kind: Kind, device: torch.device) -> Network:
    import torch
    import transformers
    from safetensors import SafetensorError

    try:
        with _quiet():
            model, found = getattr(transformers, kind.class_name).from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"the weights in {folder} could not be read: {error}. A whole {kind.class_name} was expected; fetch or "
            "save the model again."
        ) from error
    if found["missing_keys"]:
        raise InputError(
            f"the weights in {folder} lack {sorted(found['missing_keys'])!r}, which would be drawn at random; a whole "
            f"{kind.class_name} was expected. Fetch or save the model again."
        )
    network = model.eval().to(device)
    return lambda pixels: getattr(network(pixel_values=pixels), kind.output)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's list of weights that are there and not read, such as all of CLIP's text half."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
