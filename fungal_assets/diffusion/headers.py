"""What the header of a weights file says of it, so that a file that got parted from its record still tells.

Three groups of texts: our own (base model, dataset, names of the species, licence, method), `modelspec.*` after
Stability AI's SAI Model Spec, which ComfyUI, sd-scripts and model browsers show, and for a LoRA the `ss_*` that
sd-scripts writes. A date is left out, so that the same weights are the same bytes. The hash of the tensors is part of
the header and known once they are written: `fill_hash` puts it in their place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fungal_assets import __version__
from fungal_assets.shards import read_rows
from fungal_assets.store import Output

_NO_HASH = "#" * 64
_HASHED = "modelspec.hash_sha256"
_CHUNK_BYTES = 1 << 20
_CHECKPOINT_CODE = "https://github.com/Stability-AI/generative-models"
"""As sd-scripts names the code whose names a Stable Diffusion checkpoint bears."""


@dataclass(frozen=True)
class Origin:
    """What tuned weights are made of, beside their base model.

    Args:
        dataset_sha256: Content hash of the captioned dataset.
        names: The names of the species, which call them up in a prompt.
        licences: Licences of all that went in, as SPDX ids.
    """

    dataset_sha256: str
    names: Sequence[str]
    licences: Sequence[str]

    @classmethod
    def of(cls, captioned_dataset: Output, fine_tuned_weights: Output) -> Origin:
        """Read it from the dataset and from the record of the weights tuned on it."""
        rows = read_rows(captioned_dataset.path / "data", ["species"])
        return cls(
            captioned_dataset.record.content_hash,
            sorted({row["species"] for row in rows}),
            fine_tuned_weights.record.licences,
        )


@dataclass(frozen=True)
class Architecture:
    """Which code runs a model, as model browsers and sd-scripts call it.

    Args:
        id: SAI Model Spec's, such as `"stable-diffusion-v1"`; of a model of its own kind its base model's name.
        kohya: sd-scripts' version of the base model, such as `"sd_v1"`; empty for a model of its own kind.
        prediction_type: `"epsilon"` or `"v"`.
    """

    id: str
    kohya: str
    prediction_type: str

    @classmethod
    def of(
        cls,
        base_id: str,
        *,
        is_stable_diffusion: bool,
        is_open_clip: bool,
        prediction_type: str,
        is_xl: bool = False,
    ) -> Architecture:
        """Name it.

        Args:
            base_id: The base model's id.
            is_stable_diffusion: Whether all its parts are those of Stable Diffusion.
            is_open_clip: Whether its text encoder is that of 2.x.
            prediction_type: diffusers' name of it.
            is_xl: Whether it is an XL.
        """
        is_v = prediction_type == "v_prediction"
        suffix, predicted = ("_v", "v") if is_v else ("", prediction_type)
        if not is_stable_diffusion:
            return cls(base_id, "", predicted)
        if is_xl:
            return cls("stable-diffusion-xl-v1-base", "sdxl_base_v1-0", predicted)
        if is_open_clip:
            return cls(f"stable-diffusion-v2-{'768-v' if is_v else '512'}", f"sd_v2{suffix}", predicted)
        return cls("stable-diffusion-v1", f"sd_v1{suffix}", predicted)


def describe(training: Mapping[str, Any], origin: Origin, *, strength: float) -> dict[str, str]:
    """Our own texts, for every file.

    Args:
        training: A `training.json`.
        origin: What went in.
        strength: How far from the base model's weights to the tuned ones.
    """
    return {
        "base_model": training["base_model"]["id"],
        "base_model_sha256": training["base_model"]["sha256"],
        "dataset_sha256": origin.dataset_sha256,
        "trigger_names": json.dumps(list(origin.names), ensure_ascii=False),
        "licence": ", ".join(origin.licences),
        "method": training["method"],
        "strength": str(strength),
        "made_by": f"fungal_assets {__version__}",
    }


def model_spec(
    training: Mapping[str, Any], origin: Origin, architecture: Architecture, *, is_adapter: bool
) -> dict[str, str]:
    """The texts of the SAI Model Spec, its hash yet to be filled in.

    Args:
        training: A `training.json`.
        origin: What went in.
        architecture: Of the base model.
        is_adapter: Whether the file is a LoRA; else it is a whole checkpoint.
    """
    base, side_px = training["base_model"]["id"], training["resolution_px"]
    names = ", ".join(origin.names)
    texts = {
        "sai_model_spec": "1.0.1",
        "architecture": architecture.id + ("/lora" if is_adapter else ""),
        "implementation": "diffusers" if is_adapter else _CHECKPOINT_CODE,
        "title": f"Fungal assets: {training['method']} of {base} at {side_px} px",
        "description": f"Invented fungi, tuned from {base}: {names}." if names else f"Tuned from {base}.",
        "author": "fungal_assets",
        "license": ", ".join(origin.licences),
        "trigger_phrase": names,
        "usage_hint": "Say the name of a species." if names else "",
        "resolution": f"{side_px}x{side_px}",
        "prediction_type": architecture.prediction_type,
    }
    return {f"modelspec.{name}": text for name, text in texts.items() if text} | {_HASHED: f"0x{_NO_HASH}"}


def kohya_network(training: Mapping[str, Any], architecture: Architecture) -> dict[str, str]:
    """The texts of sd-scripts, its hash yet to be filled in.

    Args:
        training: A `training.json` of method `"lora"`.
        architecture: Of the base model.
    """
    rank, side_px = training["lora_rank"], training["resolution_px"]
    texts = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(rank),
        "ss_network_args": _network_args(training),
        "ss_sd_model_name": training["base_model"]["id"],
        "ss_base_model_version": architecture.kohya,
        "ss_v2": str(architecture.kohya.startswith("sd_v2")),
        "ss_resolution": f"({side_px}, {side_px})",
        "ss_num_train_images": str(training["rows"]),
        "ss_steps": str(training["step_kept"]),
        "ss_learning_rate": str(training["learning_rate"]),
        "ss_seed": str(training["seed"]),
        "sshs_model_hash": _NO_HASH,
    }
    return {name: text for name, text in texts.items() if text}


def _network_args(training: Mapping[str, Any]) -> str:
    """What sd-scripts was told of the network beside its rank; empty for its defaults.

    It adds a LoRA to convolutions of 3x3 where it is given their rank.
    """
    rank = str(training["lora_rank"])
    has_convolutions = training.get("lora_targets") == "all"
    return json.dumps({"conv_dim": rank, "conv_alpha": rank}) if has_convolutions else ""


def read_header(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata() or {})


def fill_hash(path: Path) -> None:
    """Put the SHA-256 of all tensors' bytes into the header, where `model_spec` and `kohya_network` left room.

    Args:
        path: A safetensors file; nothing else in it changes.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length)
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
        filled = header.replace(_NO_HASH.encode(), digest.hexdigest().encode())
        assert len(filled) == length, (len(filled), length)
        file.seek(8)
        file.write(filled)
