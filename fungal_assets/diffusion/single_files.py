"""A checkpoint of someone else's, read safely: only its inference weights stay, as safetensors or a diffusers folder.

A `.ckpt` of the trainers of Stable Diffusion's first days is a pickle of all that the trainer knew: weights, their
running average (EMA), the optimiser's moments, callbacks. A pickle may name any function to be called, so torch's
restricted reader opens it (`weights_only`), which makes tensors and plain containers alone. Objects of the trainer's
libraries come as empty stand-ins: nothing of theirs is imported, and nothing is read from them. A file that names
anything else is refused. Tensors are mapped from disk, so what is dropped is never read.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch  # noqa: TID253

from fungal_assets.diffusion.base_models import load_single_file, resolve_base_model
from fungal_assets.diffusion.encoding import read_tensors, write_tensors
from fungal_assets.diffusion.families import parts_of
from fungal_assets.diffusion.original_layout import UNET
from fungal_assets.diffusion.pruning import save_pipeline
from fungal_assets.errors import InputError
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, size_mb

WEIGHTS = ("plain", "ema")
SUFFIX = ".safetensors"
_TRAINERS = (
    "pytorch_lightning.",
    "lightning.",
    "lightning_fabric.",
    "omegaconf.",
    "numpy.",
    "argparse.Namespace",
)
"""What of a pickle becomes a stand-in, by how its name begins."""
_PARTS = (UNET, "first_stage_model.", "cond_stage_model.", "conditioner.")
_LOSS = "first_stage_model.loss."
_EMA = "model_ema."


class _StandIn:
    """An empty object in the place of one that is not wanted; whatever it is given, it forgets."""

    def __new__(cls, *_: object, **__: object) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def convert_checkpoint(
    checkpoint: Path,
    output: Path,
    *,
    weights: str,
    like: str | None = None,
    tell: Tell = stay_silent,
) -> Figures:
    """Write the inference weights of a checkpoint in half precision.

    Memory holds these weights once, and once more for a folder; what is dropped is not read.

    Args:
        checkpoint: A `.ckpt` or `.safetensors` file in Stable Diffusion's original layout.
        output: A file that ends in `.safetensors`, in the same layout, or a diffusers folder, which is a base model.
        weights: `"ema"` for the running average of the UNet's weights, `"plain"` for the weights themselves.
        like: For a folder: a base model of the same architecture, whose configuration, tokenizer and scheduler it gets.
        tell: Progress.

    Returns:
        Megabytes before and after, tensors kept, and how many were dropped as what.

    Raises:
        InputError: `output` is there already; or the file cannot be read safely, holds no such weights, or is of
            another architecture than `like`.
    """
    if weights not in WEIGHTS:
        raise InputError(f"weights is {weights!r}; expected one of {WEIGHTS!r}.")
    if output.exists():
        raise InputError(f"{output} is there already, and nothing is written over it. Name another place.")
    is_folder = output.suffix != SUFFIX
    if is_folder and like is None:
        raise InputError(
            f"{output} is to be a diffusers folder, whose configuration a checkpoint does not hold. Give a base model "
            f"of the same architecture (--like stable-diffusion-1.5), or a file that ends in {SUFFIX}."
        )
    kept, dropped = pick_weights(read_checkpoint(checkpoint), weights=weights)
    tell(f"{len(kept)} tensors stay; dropped: {_told(dropped)}")
    single = output.with_name(f".{output.name}{SUFFIX}") if is_folder else output
    write_tensors(single, {name: _halved(values) for name, values in kept.items()})
    if is_folder:
        try:
            _write_folder(single, output, str(like))
        finally:
            single.unlink()
    return {
        "before_mb": size_mb(checkpoint),
        "after_mb": size_mb(output),
        "tensors": len(kept),
        "dropped": _told(dropped),
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, tensors mapped from disk; of a safetensors file, `{"state_dict": tensors}`.

    Raises:
        InputError: There is no such file, it is damaged or of a form that can't be mapped, or it names code.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file. Give a .ckpt or a .safetensors file.")
    if path.suffix == SUFFIX:
        return {"state_dict": read_tensors(path)}
    stand_ins = [(_StandIn, name) for name in _unknown_names(path)]
    try:
        with torch.serialization.safe_globals(stand_ins):
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{path} could not be read as tensors and plain containers: {_first_line(error)} Nothing of it was run. "
            "Get the model as safetensors."
        ) from error
    if not isinstance(held, dict):
        raise InputError(f"{path} holds a {type(held).__name__}; expected a dictionary of tensors.")
    return held


def _unknown_names(path: Path) -> list[str]:
    """The trainer's classes that a pickle names, found without running it.

    Raises:
        InputError: It names something else too, or is not of torch's format of files that can be mapped.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{path} is damaged, or of torch's format before 1.6, which can't be mapped from disk. Get the model as "
            "safetensors."
        )
    try:
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{path} is no checkpoint of torch: {_first_line(error)}") from error
    refused = [name for name in names if not name.startswith(_TRAINERS)]
    if refused:
        raise InputError(
            f"{path} is refused: its pickle names {', '.join(refused)}, which could run anything on this machine. A "
            "checkpoint needs tensors and plain containers only. Nothing of it was run; get the model as safetensors."
        )
    return names


def pick_weights(held: Mapping[str, Any], *, weights: str) -> tuple[dict[str, torch.Tensor], Counter[str]]:
    """What inference needs of what a checkpoint holds.

    Args:
        held: From `read_checkpoint`; tensors in `"state_dict"`, or right there.
        weights: `"ema"` or `"plain"`.

    Returns:
        Tensors by original name, and how many others there are of each kind.

    Raises:
        InputError: There are no weights of a UNet in the original layout, or no running average of each of them.
    """
    state = held.get("state_dict", held)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise InputError(
            f"'state_dict' is a {type(state).__name__}; expected a dictionary of tensors by name."
        )
    dropped = Counter({str(name): 1 for name in held if name != "state_dict" and state is not held})
    kept: dict[str, torch.Tensor] = {}
    for name, values in state.items():
        if isinstance(values, torch.Tensor) and name.startswith(_PARTS) and not name.startswith(_LOSS):
            kept[name] = values
        else:
            dropped[name.split(".")[0]] += 1
    unet = [name for name in kept if name.startswith(UNET)]
    if not unet:
        raise InputError(
            f"no tensor's name begins with {UNET!r}: that is no Stable Diffusion in the original layout. Names begin "
            f"with {', '.join(sorted({name.split('.')[0] for name in state})[:5])}."
        )
    if weights == "ema":
        averages = {name: _EMA + name.removeprefix("model.").replace(".", "") for name in unet}
        missing = [name for name, average in averages.items() if average not in state]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(unet)} weights of the UNet have no running average, {missing[0]!r} among "
                "them. Take the weights themselves: --weights plain."
            )
        kept |= {name: state[average] for name, average in averages.items()}
    return kept, dropped


def _write_folder(single: Path, output: Path, like: str) -> None:
    """A diffusers folder of the weights in one file.

    Raises:
        InputError: They are not those of the architecture of `like`.
    """
    configuration = resolve_base_model(like)
    try:
        pipeline = load_single_file(single, configuration.path, dtype=torch.float16)
    except (ValueError, KeyError, AttributeError, RuntimeError, OSError) as error:
        raise InputError(
            f"the checkpoint is not of the architecture of {configuration.id!r}: {_first_line(error)} Give another one "
            "by --like."
        ) from error
    empty = [
        f"{part}.{name}"
        for part, whole in parts_of(pipeline).items()
        for name, at in whole.named_parameters()
        if at.is_meta
    ]
    if empty:
        raise InputError(
            f"the checkpoint lacks {len(empty)} tensors that {configuration.id!r} has, such as {empty[0]!r}. Give "
            "another base model by --like."
        )
    save_pipeline(pipeline, output)


def _halved(values: torch.Tensor) -> torch.Tensor:
    return values.half() if values.is_floating_point() else values.clone()


def _told(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(dropped.items())) or "nothing"


def _first_line(error: Exception) -> str:
    """What went wrong in one sentence; torch's own advice to load unsafely is not passed on."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "weights_only" not in line), type(error).__name__)
    return told if told.endswith(".") else f"{told}."
