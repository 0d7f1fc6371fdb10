"""How a step is taken: the optimiser, its memory on disk, precision, parts, and what the machine must have for it.

What a step learns from is in `batches`, what it asks of the model in `objectives`. Here is what makes it fit the
machine: rows seen in parts whose gradients are summed, activations computed again instead of kept, the layout of
tensors, compiled code, arithmetic in bfloat16, and optimisers that remember less. Whatever is chosen, a run that is
gone on with is bit-equal to an unbroken one on a CPU.

Loads torch inside functions only, so that settings can be checked without it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.diffusion.devices import has_bfloat16_units, mixed_precision
from fungal_assets.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import torch

OPTIMISERS = ("adamw", "adamw8bit", "adafactor")
PRECISIONS = ("auto", "float32", "bfloat16")
WEIGHT_DECAY = 0.01
MEMORY = ("step", "exp_avg", "exp_avg_sq", "exp_avg_sq_row", "exp_avg_sq_col", "RMS")
_QUANTISED = "__bnb_optimizer_quant_state__"
"""Where bitsandbytes nests what it keeps in 8 bits."""


def refuse_impossible(
    device: torch.device, *, optimiser: str, precision: str, compiles: bool, named: str = "fine_tuned_weights"
) -> None:
    """Refuse settings that this machine cannot carry out, before anything dear is done.

    Raises:
        InputError: The device has no such arithmetic, or code cannot be compiled here.
        MissingExtraError: The optimiser's library is not installed.
    """
    if precision == "bfloat16" and not _multiplies_bfloat16(device):
        raise InputError(
            f"{named}.precision is 'bfloat16', and this machine's {device.type} has no units for it (CUDA, Intel's AMX "
            f"or AVX-512 BF16 expected), so that it would be slower. Set {named}.precision=auto."
        )
    if optimiser == "adamw8bit" and importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError(
            f"{named}.optimiser is 'adamw8bit', which needs bitsandbytes: pip install 'fungal_assets[adamw8bit]'. "
            "Without it, 'adafactor' remembers even less."
        )
    missing = _missing_to_compile(device) if compiles else None
    if missing:
        raise InputError(
            f"{named}.compiles is true, and {missing} was not found, without which torch.compile makes no code for "
            f"{device.type}. Install it, or set {named}.compiles=false."
        )


def _multiplies_bfloat16(device: torch.device) -> bool:
    return has_bfloat16_units() if device.type == "cpu" else device.type == "cuda"


def _missing_to_compile(device: torch.device) -> str | None:
    """What torch.compile needs for a device and this machine lacks."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"the compiler {compiler!r}"
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if not headers.is_file():
        return f"{headers} (of the package python3-dev)"
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "the library 'triton'"
    return None


def precise(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """The arithmetic of a step: bfloat16 or float32 as told, and with `"auto"` bfloat16 on CUDA alone.

    With `"auto"` every CPU comes to the same weights up to rounding in float32, whatever units it has.
    """
    import torch

    if precision == "auto":
        return mixed_precision(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def arrange(
    unet: torch.nn.Module, *, checkpoints_gradients: bool, is_channels_last: bool, compiles: bool
) -> torch.nn.Module:
    """The model with what learns attached, made ready for its steps; its parameters stay the same objects."""
    import torch

    if checkpoints_gradients:
        unet.enable_gradient_checkpointing()
    if is_channels_last:
        unet.to(memory_format=torch.channels_last)
    return torch.compile(unet, dynamic=False) if compiles else unet


def keep_code_in(folder: Path, *, is_main: bool) -> None:
    """Have torch.compile keep its code in a folder of this run, which the main process empties before.

    In the folder that it shares between runs by itself, a killed run leaves half a library, and the next one that would
    load it ends: "file too short".
    """
    if is_main:
        shutil.rmtree(folder, ignore_errors=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.absolute())


def make_optimiser(
    kind: str, parameters: Sequence[torch.nn.Parameter], learning_rate: float, device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser of that name; all of them take the same learning rates.

    AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) remembers two numbers a parameter. With moments of 8 bits
    (Dettmers et al. 2022, arXiv:2110.02861) these are a quarter as large. Adafactor (Shazeer and Stern 2018,
    arXiv:1804.04235) keeps rows and columns of a matrix alone; here without the learning rate of its own.
    """
    import torch

    if kind == "adamw":
        fused = device.type in ("cpu", "cuda")
        return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY, fused=fused)
    if kind == "adamw8bit":
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY)
    assert kind == "adafactor", kind
    from transformers.optimization import Adafactor

    how = {"scale_parameter": False, "relative_step": False, "warmup_init": False}
    return Adafactor(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY, **how)


def memory_tensors(optimiser: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """What an optimiser remembers of each parameter, as tensors under `key.name`; numbers become tensors too."""
    import torch

    found: dict[str, torch.Tensor] = {}
    for index, values in optimiser.state_dict()["state"].items():
        nested = values.get(_QUANTISED, {})
        flat = {key: value for key, value in values.items() if key != _QUANTISED}
        assert set(flat) <= set(MEMORY), sorted(flat)
        # All parameters share one scale, which a file would refuse to hold several times over.
        flat |= {f"{_QUANTISED}/{key}": value.clone() for key, value in nested.items()}
        found |= {f"{key}.{names[index]}": torch.as_tensor(value) for key, value in flat.items()}
    return found


def restore_memory(
    optimiser: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Put back what `memory_tensors` gave, each tensor laid out as its parameter; others among them are left alone."""
    numbers = {name: index for index, name in enumerate(parameters)}
    state: dict[int, dict[str, Any]] = {}
    for path, tensor in tensors.items():
        key, _, name = path.partition(".")
        outer, _, inner = key.partition("/")
        if name not in numbers or (outer not in MEMORY and outer != _QUANTISED):
            continue
        values = state.setdefault(numbers[name], {})
        if inner:
            values = values.setdefault(outer, {})
        values[inner or key] = _as_remembered(tensor, parameters[name])
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _as_remembered(tensor: torch.Tensor, parameter: torch.nn.Parameter) -> torch.Tensor | int:
    """A count as a number, and what has a parameter's shape in its layout too: fused kernels walk both in step."""
    import torch

    if tensor.dtype == torch.int64 and tensor.dim() == 0:
        return int(tensor)
    if tensor.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor).detach()
    return tensor
