"""Training state on disk as safetensors and JSON: two checkpoints kept, each complete or absent, never a pickle.

A checkpoint is one file `step-00001234.safetensors`, its tensors named by what they belong to, its numbers in the
header. Randomness is no part of it: every training step draws from generators seeded by (seed, step).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer


def save_checkpoint(
    folder: Path,
    step: int,
    modules: Mapping[str, nn.Module | Mapping[str, Tensor]],
    optimizer: Optimizer,
    *,
    keep: int = 2,
) -> Path:
    """Write the state after `step` steps and drop all but the `keep` newest."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{name}/{key}": value for name, part in modules.items() for key, value in _state(part).items()
    }
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": torch.as_tensor(value) for key, value in entry.items()}
    path = folder / f"step-{step:08d}.safetensors"
    temporary = path.with_suffix(".part")
    save_file(
        {key: value.detach().contiguous().clone() for key, value in tensors.items()},
        temporary,
        {"step": str(step)},
    )
    temporary.replace(path)
    for old in sorted(folder.glob("step-*.safetensors"))[:-keep]:
        old.unlink()
    return path


def load_checkpoint(
    folder: Path, modules: Mapping[str, nn.Module | dict[str, Tensor]], optimizer: Optimizer
) -> int:
    """Restore the newest checkpoint into the modules and the optimiser; returns its step, 0 where there is none."""
    paths = sorted(folder.glob("step-*.safetensors"))
    if not paths:
        return 0
    tensors = load_file(paths[-1])
    for name, part in modules.items():
        state = _below(tensors, name)
        part.load_state_dict(state) if isinstance(part, nn.Module) else part.update(state)
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in _below(tensors, "optimizer").items():
        index, field = key.split("/")
        entries.setdefault(int(index), {})[field] = value
    state = optimizer.state_dict() | {"state": entries}
    optimizer.load_state_dict(state)
    with safe_open(paths[-1], "pt") as file:
        return int(file.metadata()["step"])


def _state(part: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return part.state_dict() if isinstance(part, nn.Module) else part


def _below(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")
    }


def append_losses(path: Path, rows: Iterable[Mapping[str, float]]) -> None:
    """Add rows to a JSON-lines loss log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
