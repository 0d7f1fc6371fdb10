"""From a training output to weights for use, at a given strength; which one is in `strengths`.

What stays is what inference needs, in half precision: the whole pipeline with the tuned weights in it, as a folder and,
where its architecture is Stable Diffusion's, as a single file; for a LoRA the adapter alone, under diffusers' and
kohya's names; for textual inversion a pipeline that reads the names as their learnt vectors, and these alone in the two
formats that are read. All may lie part of the way from the base model to the tuned weights (Wortsman et al. 2022,
arXiv:2109.01903): a base model that is far from the pictures keeps its forms so, and takes on their colours. Optimiser
state and resume state stay behind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.diffusion.base_models import BaseModel, load_pipeline, read_json, resolve_base_model
from fungal_assets.diffusion.families import (
    TRANSFORMER,
    UNET,
    StableDiffusionXL,
    family_of,
    text_encoders_of,
)
from fungal_assets.diffusion.headers import (
    Architecture,
    Origin,
    describe,
    fill_hash,
    kohya_network,
    model_spec,
)
from fungal_assets.diffusion.training import SETTINGS_OF_METHODS
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, hash_file, hash_folder, size_mb, write_atomically

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

    from fungal_assets.diffusion.kohya import OriginalNames
    from fungal_assets.diffusion.methods import Method

KOHYA_FILE = "lora/kohya_lora_weights.safetensors"
SINGLE_FILE = "single_file/fungal_assets.safetensors"
UNET_FILE, TRANSFORMER_FILE = (
    f"pipeline/{part}/diffusion_pytorch_model.safetensors" for part in (UNET, TRANSFORMER)
)


def prune_weights(
    fine_tuned_weights: Path,
    folder: Path,
    origin: Origin,
    *,
    base_model: str,
    strength: float,
    has_single_file: bool,
    tell: Tell = stay_silent,
) -> Figures:
    """Put tuned weights into their base model and write what inference needs.

    Args:
        fine_tuned_weights: A complete output.
        folder: Filled with `pipeline/`, for a LoRA `lora/`, for textual inversion `embeddings/`, where wanted and
            possible `single_file/`, and `weights.json`.
        origin: What the weights were tuned on; it goes into the files' headers.
        base_model: The base model that the weights were tuned on.
        strength: How far from the base model's weights (0) to the tuned ones (1); of textual inversion, from the class
            noun's vector to the learnt ones.
        has_single_file: Whether to write the whole model once more, as one file in Stable Diffusion's original
            layout; `weights.json` says why there is none.
        tell: Progress.

    Raises:
        InputError: `strength` is not above 0 and at most 1.
        ProvenanceError: `base_model` is not the one that the weights were tuned on.
    """
    import torch

    from fungal_assets.diffusion.encoding import read_tensors
    from fungal_assets.diffusion.inversion import widths_of
    from fungal_assets.diffusion.lora import copy_weights
    from fungal_assets.diffusion.original_layout import name_unet

    if not 0 < strength <= 1:
        raise InputError(f"strength is {strength}; expected a share above 0 and at most 1.")
    training = read_json(fine_tuned_weights / "training.json")
    base = resolve_base_model(base_model)
    check_base_model(training, base)
    method = read_method(fine_tuned_weights)
    tell("putting the tuned weights into the base model")
    pipeline = load_pipeline(base.path, device="cpu", dtype=torch.float32)
    tuned = fine_tuned_weights / method.weights_file
    untouched = copy_weights(pipeline, read_tensors(tuned)) if training.get("has_dora") else None
    method.restore(pipeline, fine_tuned_weights, strength=strength)
    pipeline = pipeline.to(dtype=torch.float16)
    exports = _Exports(folder, training, origin, _architecture(pipeline, training), strength)
    exports.write_pipeline(pipeline)
    why_none = exports.write_single_file(pipeline) if has_single_file else "not asked for"
    if why_none:
        tell(f"no single file: {why_none}")
    if method.name == "lora":
        xl_unet = name_unet(pipeline.unet.state_dict()) if _is_xl(pipeline) else None
        exports.write_lora(tuned, method, xl_unet, untouched)
    if method.name == "textual_inversion":
        exports.write_embeddings(fine_tuned_weights, widths_of(pipeline))
    record = _record(fine_tuned_weights, folder, method, base)
    record |= {"strength": strength, "single_file_left_out": why_none}
    if training.get("has_dora"):
        record["lora_strength"] = 1.0
        tell(f"the adapter is kept whole, as a DoRA can't be scaled: load it at strength {strength}")
    write_atomically(folder / "weights.json", json.dumps(record, indent=1, sort_keys=True))
    return {
        "tuned_mb": size_mb(fine_tuned_weights),
        "base_mb": size_mb(base.path),
        "pipeline_mb": size_mb(folder / "pipeline"),
        "lora_mb": size_mb(folder / method.weights_file) if method.name == "lora" else 0.0,
        "kohya_lora_mb": size_mb(folder / KOHYA_FILE),
        "single_file_mb": size_mb(folder / SINGLE_FILE),
        "embeddings_mb": size_mb(folder / "embeddings"),
    }


def read_method(fine_tuned_weights: Path) -> Method:
    """The method that weights were tuned by; what is a setting of another one is None in their record and not used."""
    from fungal_assets.diffusion.methods import get_method

    training = read_json(fine_tuned_weights / "training.json")
    given = {name: training[name] for name in SETTINGS_OF_METHODS if training.get(name) is not None}
    return get_method(training["method"], **{"lora_rank": 1, "vectors_per_species": 1} | given)


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


def save_pipeline(pipeline: DiffusionPipeline, folder: Path) -> None:
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


@dataclass(frozen=True)
class _Exports:
    """Writes the files of one model, each with its header."""

    folder: Path
    training: dict[str, Any]
    origin: Origin
    architecture: Architecture
    strength: float

    def write_pipeline(self, pipeline: DiffusionPipeline) -> None:
        """The diffusers folder; the tuned parts of it, denoiser and text encoders that learnt, say what they are."""
        from fungal_assets.diffusion.encoding import read_tensors, write_tensors

        save_pipeline(pipeline, self.folder / "pipeline")
        encoders = text_encoders_of(pipeline) if self.training.get("trains_text_encoder") else {}
        denoiser = UNET_FILE if (self.folder / UNET_FILE).is_file() else TRANSFORMER_FILE
        for name in (denoiser, *(f"pipeline/{part}/model.safetensors" for part in encoders)):
            write_tensors(self.folder / name, read_tensors(self.folder / name), self._texts())

    def write_single_file(self, pipeline: DiffusionPipeline) -> str | None:
        """One file in the original layout; returns why there is none."""
        from fungal_assets.diffusion.original_layout import find_unnamed, to_original

        shutil.rmtree(self.folder / Path(SINGLE_FILE).parent, ignore_errors=True)
        if self.training["method"] == "textual_inversion":
            return (
                "the original layout has no room for words of its own; load the base model and `embeddings/`"
            )
        unnamed = find_unnamed(pipeline)
        if unnamed:
            return f"Stable Diffusion's original layout has no name for {', '.join(unnamed)}"
        self._write(SINGLE_FILE, to_original(pipeline), self._spec(is_adapter=False))
        return None

    def write_lora(
        self,
        tuned: Path,
        method: Method,
        xl_unet: OriginalNames | None,
        base: dict[str, torch.Tensor] | None,
    ) -> None:
        """The adapter under both naming schemes, its second matrices times the strength; a DoRA's as they are.

        kohya's has no names for a transformer here: ComfyUI reads diffusers' of Stable Diffusion 3.

        Args:
            tuned: The file that training left.
            method: That tuned it.
            xl_unet: As `to_kohya` takes it.
            base: For a DoRA the base model's weights of its layers.
        """
        from fungal_assets.diffusion.encoding import read_tensors
        from fungal_assets.diffusion.kohya import to_kohya
        from fungal_assets.diffusion.lora import is_dora, scale_second

        lora = read_tensors(tuned)
        exports = replace(self, strength=1.0) if is_dora(lora) else self
        half = {name: tensor.half() for name, tensor in scale_second(lora, exports.strength).items()}
        spec = self._spec(is_adapter=True)
        exports._write(method.weights_file, half, spec)
        if any(name.startswith(TRANSFORMER) for name in half):
            return
        network = kohya_network(self.training, self.architecture)
        kohya = to_kohya(half, alpha=self.training["lora_rank"], xl_unet=xl_unet, base=base)
        exports._write(KOHYA_FILE, kohya, spec | network)

    def write_embeddings(self, fine_tuned_weights: Path, widths: Sequence[int]) -> None:
        """The vectors of every name, in the formats that people load."""
        from fungal_assets.diffusion.inversion import read_vectors, write_for_use

        vectors = read_vectors(fine_tuned_weights, strength=self.strength)
        write_for_use(self.folder, vectors, self._texts(), widths=widths)

    def _write(self, name: str, tensors: dict[str, torch.Tensor], spec: dict[str, str]) -> None:
        from fungal_assets.diffusion.encoding import write_tensors

        write_tensors(self.folder / name, tensors, self._texts() | spec)
        fill_hash(self.folder / name)

    def _texts(self) -> dict[str, str]:
        return describe(self.training, self.origin, strength=self.strength)

    def _spec(self, *, is_adapter: bool) -> dict[str, str]:
        return model_spec(self.training, self.origin, self.architecture, is_adapter=is_adapter)


def _is_xl(pipeline: DiffusionPipeline) -> bool:
    return isinstance(family_of(pipeline), StableDiffusionXL)


def _architecture(pipeline: DiffusionPipeline, training: dict[str, Any]) -> Architecture:
    from fungal_assets.diffusion.original_layout import find_unnamed, is_open_clip

    return Architecture.of(
        training["base_model"]["id"],
        is_stable_diffusion=not find_unnamed(pipeline),
        is_open_clip=is_open_clip(pipeline.text_encoder),
        is_xl=_is_xl(pipeline),
        prediction_type=training["prediction_type"],
    )


def _record(fine_tuned_weights: Path, folder: Path, method: Method, base: BaseModel) -> dict[str, Any]:
    """What `weights.json` says; None for what is not there."""
    lora = method.weights_file if method.name == "lora" else None
    files = {"lora": lora, "kohya_lora": KOHYA_FILE, "single_file": SINGLE_FILE}
    hashes = {
        f"{kind}_sha256": hash_file(folder / name) if name and (folder / name).is_file() else None
        for kind, name in files.items()
    }
    return {
        **hashes,
        **_record_of_names(folder, method),
        "base_model": base.as_json(),
        "method": method.name,
        "tuned_sha256": hash_file(fine_tuned_weights / method.weights_file),
        "pipeline_sha256": hash_folder(folder / "pipeline"),
    }


def _record_of_names(folder: Path, method: Method) -> dict[str, Any]:
    """The names that became words of the text encoder, and the hash of their vectors, if any did."""
    if method.name != "textual_inversion":
        return {}
    from fungal_assets.diffusion.encoding import read_tensors

    names = sorted(read_tensors(folder / method.weights_file))
    return {"names": names, "embeddings_sha256": hash_folder(folder / "embeddings")}
