"""From a training output to weights for use: the stage behind `pruned_weights`.

What stays is what inference needs, in half precision: the whole pipeline with the tuned weights in it, and
for a LoRA the adapter alone, under diffusers' and kohya's names; for textual inversion a pipeline that reads the names
as their learnt vectors, and these alone in the two formats that are read. All may lie part of the way from the base
model to the tuned weights (Wortsman et al. 2022, arXiv:2109.01903): a base model that is far from the pictures
keeps its forms so, and takes on their colours. Optimiser state and resume state stay behind.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.diffusion.base_models import BaseModel, load_pipeline, read_json, resolve_base_model
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, hash_file, hash_folder, write_atomically

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

    from fungal_assets.diffusion.methods import Method

KOHYA_FILE = "lora/kohya_lora_weights.safetensors"


def prune_weights(
    fine_tuned_weights: Path,
    folder: Path,
    *,
    base_model: str,
    strength: float,
    tell: Tell = stay_silent,
) -> Figures:
    """Put tuned weights into their base model and write what inference needs.

    Args:
        fine_tuned_weights: A complete output.
        folder: Filled with `pipeline/`, for a LoRA `lora/`, for textual inversion `embeddings/`, and `weights.json`.
        base_model: The base model that the weights were tuned on.
        strength: How far from the base model's weights (0) to the tuned ones (1); of textual inversion, from the class
            noun's vector to the learnt ones.
        tell: Progress.

    Raises:
        InputError: `strength` is not above 0 and at most 1.
        ProvenanceError: `base_model` is not the one that the weights were tuned on.
    """
    import torch

    from fungal_assets.diffusion.methods import get_method

    if not 0 < strength <= 1:
        raise InputError(f"strength is {strength}; expected a share above 0 and at most 1.")
    training = read_json(fine_tuned_weights / "training.json")
    base = resolve_base_model(base_model)
    check_base_model(training, base)
    sizes = {name: training.get(name) or 1 for name in ("lora_rank", "vectors_per_species")}
    method = get_method(training["method"], **sizes)
    tell("putting the tuned weights into the base model")
    pipeline = load_pipeline(base.path, device="cpu", dtype=torch.float32)
    method.restore(pipeline, fine_tuned_weights, strength=strength)
    save_pipeline(pipeline.to(dtype=torch.float16), folder / "pipeline")
    if method.name == "lora":
        _write_lora(fine_tuned_weights / method.weights_file, folder, method, training, strength)
    if method.name == "textual_inversion":
        _write_embeddings(fine_tuned_weights, folder, base, strength)
    record = _record(fine_tuned_weights, folder, method, base) | {"strength": strength}
    write_atomically(folder / "weights.json", json.dumps(record, indent=1, sort_keys=True))
    tuned_bytes, pruned_bytes = _size_bytes(fine_tuned_weights), _size_bytes(folder / "pipeline")
    return {
        "tuned_mb": round(tuned_bytes / 1e6, 3),
        "base_mb": round(_size_bytes(base.path) / 1e6, 3),
        "pipeline_mb": round(pruned_bytes / 1e6, 3),
        "lora_mb": round(_size_bytes(folder / "lora") / 1e6, 3),
        "embeddings_mb": round(_size_bytes(folder / "embeddings") / 1e6, 3),
    }


def check_base_model(training: dict[str, Any], base: BaseModel) -> None:
    """Refuse a base model that the weights were not tuned on.

    Raises:
        ProvenanceError: The hashes differ.
    """
    tuned_on = training["base_model"]
    if tuned_on["sha256"] != base.sha256:
        raise ProvenanceError(
            f"these weights were tuned on base model {tuned_on['id']!r} (sha256 "
            f"{tuned_on['sha256'][:12]}…), but {base.id!r} (sha256 {base.sha256[:12]}…) was given; tuned "
            f"weights mean nothing on another base model. Give base_model {tuned_on['id']!r}, or tune again "
            f"on {base.id!r}."
        )


def save_pipeline(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Write a whole diffusers folder, safetensors only, in one move; it names no path of this machine."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    pipeline.save_pretrained(new, safe_serialization=True)
    for path in new.rglob("*.json"):
        fields = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(fields, dict) and fields.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    new.rename(folder)


def _write_lora(tuned: Path, folder: Path, method: Method, training: dict[str, Any], strength: float) -> None:
    """The adapter in half precision, under both naming schemes, its second matrices times the strength."""
    from fungal_assets.diffusion.encoding import read_tensors, write_tensors
    from fungal_assets.diffusion.kohya import to_kohya

    half = {
        name: (tensor * strength if ".lora_B." in name else tensor).half()
        for name, tensor in read_tensors(tuned).items()
    }
    about = {
        "base_model": training["base_model"]["id"],
        "base_model_sha256": training["base_model"]["sha256"],
    }
    write_tensors(folder / method.weights_file, half, about)
    rank = training["lora_rank"]
    network = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(rank),
    }
    write_tensors(folder / KOHYA_FILE, to_kohya(half, alpha=rank), about | network)


def _write_embeddings(fine_tuned_weights: Path, folder: Path, base: BaseModel, strength: float) -> None:
    """The vectors of every name, in the formats that people load."""
    from fungal_assets.diffusion.inversion import read_vectors, write_for_use

    about = {"base_model": base.id, "base_model_sha256": base.sha256}
    write_for_use(folder, read_vectors(fine_tuned_weights, strength=strength), about)


def _record(fine_tuned_weights: Path, folder: Path, method: Method, base: BaseModel) -> dict[str, Any]:
    """What `weights.json` says."""
    lora = folder / method.weights_file
    return {
        "base_model": base.as_json(),
        "method": method.name,
        "tuned_sha256": hash_file(fine_tuned_weights / method.weights_file),
        "lora_sha256": hash_file(lora) if method.name == "lora" else None,
        "pipeline_sha256": hash_folder(folder / "pipeline"),
    } | _record_of_names(folder, method)


def _record_of_names(folder: Path, method: Method) -> dict[str, Any]:
    """The names that became words of the text encoder, and the hash of their vectors, if any did."""
    if method.name != "textual_inversion":
        return {}
    from fungal_assets.diffusion.encoding import read_tensors

    names = sorted(read_tensors(folder / method.weights_file))
    return {"names": names, "embeddings_sha256": hash_folder(folder / "embeddings")}


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
