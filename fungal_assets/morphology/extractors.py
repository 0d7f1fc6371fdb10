"""What turns pictures into feature vectors: one small interface, and how an extractor is found by its name.

    efficientnet-lite0      1280 numbers, from PyPI, by onnxruntime; the default (`efficientnet`)
    efficientnet-lite0-int8 1280 numbers, in the package, in whole numbers of 8 bits (`efficientnet_int8`)
    vgg16-fc2               4096 numbers, from the hub; what the artist's tutorial had (`vgg`)
    dinov2-small            384 numbers, from the hub (`vision_transformers`)
    clip-vit-base-patch32   512 numbers, from the hub (`vision_transformers`)
    a folder                any of the last three kinds, on this machine

Belongs here: the interface, the names, and the record of which extractor made some vectors. The networks do not.

Vectors of two extractors mean nothing to each other. So every output that holds vectors, or a space of vectors, keeps
the extractor's name and the hash of its weights in `extractor.json`; who compares other pictures with it, embeds them
by `recorded_extractor`. The default is compared with references of the package too, and then named outright.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from fungal_assets.diffusion.base_models import read_json
from fungal_assets.diffusion.cards import Card, cards_of, find_card
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.efficientnet_int8 import EfficientNetLite0Int8
from fungal_assets.morphology.vgg import ARCHITECTURE, load_vgg16
from fungal_assets.morphology.vision_transformers import KINDS, load_vision_transformer

ABOUT_NAME = "extractor.json"
OWN_KINDS = (EfficientNetLite0, EfficientNetLite0Int8)
"""Those that need no hub; the default comes first."""
_HUB_PATTERNS = [
    "config.json",
    "preprocessor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
]


class Extractor(Protocol):
    """A network that makes one feature vector of one picture.

    One instance may be used from several threads.
    """

    @property
    def name(self) -> str:
        """What `find_extractor` finds it by: its own name, or its folder."""

    @property
    def sha256(self) -> str:
        """Hash of the weights, and of what else in its files decides the vectors."""

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""

    @property
    def input_px(self) -> int:
        """Side of the squares that it needs no larger; it takes pictures of any size."""

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Feature vectors of the centre squares of RGB pictures: float32, shape (n, dimensions), rows of length 1."""


def find_extractor(name: str) -> Extractor:
    """An extractor by its name; one of the hub's is fetched.

    Args:
        name: One of those in the table above, or a folder with a model of their kind.

    Raises:
        InputError: It is none of these, its folder is not whole, or the hub did not give it.
    """
    for kind in OWN_KINDS:
        if name == kind.name:
            return kind()
    card = find_card(name, role="extractor")
    if card is not None:
        return _load_folder(card.name, _fetch(card))
    if Path(name).is_dir():
        return _load_folder(str(Path(name).absolute()), Path(name))
    raise InputError(
        f"extractor {name!r} is neither a name nor a folder; the names are {', '.join(list_extractors())}. Give one "
        "of them, or a folder with config.json, preprocessor_config.json and model.safetensors of a DINOv2 or CLIP."
    )


def list_extractors() -> list[str]:
    """The names of all extractors, the default first."""
    return [*(kind.name for kind in OWN_KINDS), *(card.name for card in cards_of("extractor"))]


def licences_of(name: str) -> list[str]:
    """Licences of the weights that make the vectors and judge the pictures; a folder brings none that we know."""
    card = find_card(name, role="extractor")
    return sorted({EfficientNetLite0.licence, *([card.licence] if card else [])})


def describe_extractor(extractor: Extractor) -> dict[str, Any]:
    """What `extractor.json` holds."""
    return {
        "name": extractor.name,
        "sha256": extractor.sha256,
        "dimensions": extractor.dimensions,
        "input_px": extractor.input_px,
    }


def read_about(folder: Path) -> dict[str, Any]:
    """The `extractor.json` of an output: which extractor its vectors are by.

    Raises:
        ProvenanceError: It is missing.
    """
    path = folder / ABOUT_NAME
    if not path.is_file():
        raise ProvenanceError(
            f"{path} is missing, so it is not known which extractor the vectors there are by. Grow them again: "
            "fungal grow --until clusters"
        )
    return json.loads(path.read_text())


def recorded_extractor(folder: Path) -> Extractor:
    """The extractor that the vectors of an output are by, so that other pictures may be compared with them.

    Args:
        folder: Output of `features.extract_features` or `clusters.find_clusters`.

    Raises:
        InputError: The extractor is not found, as by `find_extractor`.
        ProvenanceError: It is not recorded, or has other weights now.
    """
    about = read_about(folder)
    extractor = find_extractor(about["name"])
    if extractor.sha256 != about["sha256"]:
        raise ProvenanceError(
            f"the vectors of {folder} are by {about['name']!r} with weights {about['sha256'][:16]}, but it has weights "
            f"{extractor.sha256[:16]} now: no picture can be compared with them. Put the old weights back, or grow "
            "the vectors again: fungal grow --until clusters"
        )
    return extractor


def _fetch(card: Card) -> Path:
    """The folder of a model of the hub on this machine, fetched once."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(card.hub_id, revision=card.revision, allow_patterns=_HUB_PATTERNS))
    except (OSError, ValueError) as error:
        raise InputError(
            f"extractor {card.name!r} could not be fetched from the hub ({card.hub_id} at {card.revision}): {error}. "
            f"Check the network, give a folder that holds its files instead of its name, or take "
            f"{EfficientNetLite0.name!r}, which needs no hub."
        ) from error


def _load_folder(name: str, folder: Path) -> Extractor:
    config = read_json(folder / "config.json")
    kind = config.get("model_type") or config.get("architecture")
    if kind in KINDS:
        return load_vision_transformer(name, folder, KINDS[kind])
    if kind == ARCHITECTURE:
        return load_vgg16(name, folder)
    raise InputError(
        f"{folder} holds a model of kind {kind!r}; as extractors the kinds {', '.join([*KINDS, ARCHITECTURE])} are "
        f"known. Give a folder of one of these, or a name: {', '.join(list_extractors())}."
    )
