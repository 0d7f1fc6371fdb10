"""Base models: finding one by name, knowing it by its hash, and loading it as a pipeline.

A base model id is a card's name (`"pocket"`), a local diffusers folder, or an id on the Hugging Face hub.
Weights tuned on one base model mean nothing on another, so each is known by the hash over its files, not by
its name. Only safetensors are loaded, never a pickle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.diffusion.cards import PACKAGE_DIR, Card, find_card
from fungal_assets.diffusion.families import UNET, Family, find_family
from fungal_assets.errors import InputError
from fungal_assets.profiles import PARTITION, WORKS_AT
from fungal_assets.store import hash_folder

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

_HUB_PATTERNS = ["model_index.json", "*/*.json", "*/*.txt", "*/*.safetensors"]
_HUB_LEFT_OUT = ["*.fp16*", "*non_ema*", "safety_checker/*", "feature_extractor/*", "vae_1_0/*"]


@dataclass(frozen=True)
class BaseModel:
    """One base model, found.

    Args:
        id: Its name: the card's or hub's id, or a local folder's own name, so that it says nothing of this
            machine.
        path_or_hub_id: Where its files lie on this machine; a model of the hub has been fetched.
        revision: Commit of the hub repository, or None for a local folder.
        sha256: `hash_folder` over its files.
    """

    id: str
    path_or_hub_id: str
    revision: str | None
    sha256: str

    @property
    def path(self) -> Path:
        """The diffusers folder."""
        return Path(self.path_or_hub_id)

    def as_json(self) -> dict[str, str]:
        """What records of weights keep of it: `id` and `sha256`."""
        return {"id": self.id, "sha256": self.sha256}


def resolve_base_model(base_model: str) -> BaseModel:
    """Find a base model, fetch it if it is one of the hub's, and hash its files.

    Args:
        base_model: A card's name, a local diffusers folder, or a hub id.

    Raises:
        InputError: It is none of these, its folder holds no diffusers pipeline, or the hub did not give it.
    """
    name = str(base_model)
    card = find_card(name)
    if card is not None and card.path is not None:
        return _from_folder(PACKAGE_DIR / card.path, card.name)
    if Path(name).is_dir():
        return _from_folder(Path(name), Path(name).resolve().name)
    if Path(name).is_file():
        raise InputError(
            f"base model {name!r} is a file; a base model is a diffusers folder. Make one of it: fungal convert {name} "
            f"FOLDER --like stable-diffusion-1.5"
        )
    hub_id = card.hub_id if card is not None and card.hub_id else name
    if hub_id.count("/") != 1 or hub_id.startswith(("/", ".")):
        raise InputError(
            f"base model {name!r} is not a folder, not a card and not a hub id. Give 'pocket', a folder "
            f"with a model_index.json, or an id such as 'stable-diffusion-v1-5/stable-diffusion-v1-5'."
        )
    return _from_hub(hub_id, card)


def _from_folder(folder: Path, name: str, revision: str | None = None) -> BaseModel:
    if not (folder / "model_index.json").is_file():
        raise InputError(
            f"base model {name!r} has no model_index.json in {folder}: that is no diffusers folder. Give a "
            f"folder that was written by save_pretrained, or make one of a single-file checkpoint: fungal convert."
        )
    return BaseModel(name, str(folder), revision, hash_folder(folder))


def _from_hub(hub_id: str, card: Card | None) -> BaseModel:
    from huggingface_hub import snapshot_download

    try:
        path = snapshot_download(
            hub_id,
            revision=card.revision if card else None,
            allow_patterns=_HUB_PATTERNS,
            ignore_patterns=_HUB_LEFT_OUT,
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"base model {hub_id!r} could not be fetched from the hub: {error}. Check the id and the "
            f"network, log in (hf auth login) if its licence must be accepted, or give a local folder."
        ) from error
    return _from_folder(Path(path), hub_id, revision=Path(path).name)


def load_pipeline(base: str | Path, *, device: torch.device | str, dtype: torch.dtype) -> DiffusionPipeline:
    """Load a pipeline onto a device, without a safety checker and without progress bars.

    Args:
        base: A base model id or a diffusers folder, such as a `pipeline/` of pruned weights.
        device: Where its parts go.
        dtype: Type of its weights.

    Returns:
        A pipeline of one of `FAMILIES` in evaluation mode, whose `unet` is its denoiser, whatever it calls it.

    Raises:
        InputError: Not found, or a pipeline of no family that is known.
    """
    import diffusers

    folder = base if isinstance(base, Path) else resolve_base_model(base).path
    family = check_family(folder)
    try:
        pipeline = getattr(diffusers, family.pipeline_class).from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, **family.loading
        )
    except OSError as error:
        raise InputError(
            f"{folder} could not be loaded: {error}. It must be a whole diffusers folder with safetensors "
            f"weights; pickled weights (.bin, .ckpt) are not opened."
        ) from error
    family.of(pipeline)
    if family.denoiser != UNET:
        pipeline.unet = getattr(pipeline, family.denoiser)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def load_single_file(file: Path, like: Path, *, dtype: torch.dtype) -> DiffusionPipeline:
    """Load a checkpoint in the original layout of Stable Diffusion or Stable Diffusion XL, without a safety checker.

    Args:
        file: A safetensors file.
        like: A diffusers folder of the same architecture, whose configuration it gets.
        dtype: Type of its weights.
    """
    import diffusers

    family = check_family(like)
    return getattr(diffusers, family.pipeline_class).from_single_file(
        str(file), config=str(like), local_files_only=True, dtype=dtype, **family.loading
    )


def check_family(folder: Path) -> type[Family]:
    """The family of a diffusers folder.

    Raises:
        InputError: Its kind of pipeline is of none.
    """
    return find_family(read_json(folder / "model_index.json").get("_class_name"), str(folder))


def working_px(folder: Path, works_at: str, partition_px: int) -> int:
    """Side of the pictures that a base model works with, pixels.

    Args:
        folder: The base model's, or any of its architecture.
        works_at: `"native"` for the side that it was made for (`native_px`); `"partition"`.
        partition_px: The partition's side.

    Raises:
        InputError: `works_at` is neither, or the model says no side of its own.
    """
    if works_at not in WORKS_AT:
        raise InputError(f"works_at is {works_at!r}; one of {WORKS_AT!r} was expected.")
    return partition_px if works_at == PARTITION else native_px(folder)


def native_px(folder: Path) -> int:
    """Side of the pictures that a base model was made for, pixels, by its denoiser and autoencoder.

    Raises:
        InputError: It says none.
    """
    denoiser = check_family(folder).denoiser
    cells = read_json(folder / denoiser / "config.json").get("sample_size")
    if not isinstance(cells, int):
        raise InputError(
            f"{folder} does not say for which size it was made: sample_size of its {denoiser} is {cells!r}, a number "
            f"was expected. Set works_at to {PARTITION!r}."
        )
    return cells * 2 ** (len(read_json(folder / "vae" / "config.json")["block_out_channels"]) - 1)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        InputError: The file is not there.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: {path.parent} is not the folder that was expected here.")
    return json.loads(path.read_text(encoding="utf-8"))
