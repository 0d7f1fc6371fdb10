"""The whole state of a training run on disk: what learns, what optimiser and average remember, and how far it is.

One state is a folder with `state.safetensors` and `state.json`, written under a hidden name and renamed, so a
run that is killed at any moment leaves whole states only; the two newest are kept, and a damaged one is
passed over for the one before it. No generator state is needed: see `batches`.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch  # noqa: TID253
from safetensors import SafetensorError

from fungal_assets.diffusion.encoding import read_tensors, write_tensors
from fungal_assets.diffusion.stepping import memory_tensors, restore_memory
from fungal_assets.errors import TrainingError
from fungal_assets.progress import Tell
from fungal_assets.store import hash_file, write_atomically

if TYPE_CHECKING:
    from diffusers.training_utils import EMAModel

KEPT_STATES = 2
TENSORS_NAME, JSON_NAME = "state.safetensors", "state.json"


@dataclass
class Progress:
    """How far a run is; every number survives JSON exactly.

    Args:
        step: Steps done.
        probe_loss: Loss on the probe before the first step.
        curve: One row per step done: step, loss, specimen_loss, rehearsal_loss, learning_rate; other
            losses in other loops.
        looks: One row per look; see `watching`.
    """

    step: int = 0
    probe_loss: float = 0.0
    curve: list[dict[str, float | None]] = field(default_factory=list)
    looks: list[dict[str, float | None]] = field(default_factory=list)


class Learning(Protocol):
    """Whatever learns and can be written down whole, such as a `Learner`."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that changes in training, by name."""

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `tensors` gave."""


@dataclass(frozen=True)
class Learner:
    """What learns, the optimiser over it and the average of it, in the same order.

    Args:
        parameters: What learns, by name.
        optimiser: Moves it.
        average: The average over the steps (Polyak and Juditsky 1992), exponential, or None.
    """

    parameters: Mapping[str, torch.nn.Parameter]
    optimiser: torch.optim.Optimizer
    average: EMAModel | None = None

    @contextmanager
    def averaged(self, changing: Callable[[], AbstractContextManager[None]] = nullcontext) -> Iterator[None]:
        """Within, what learns is its average; unchanged where there is none.

        Args:
            changing: Makes contexts in which it is put in place and put back.
        """
        if self.average is None:
            yield
            return
        with changing():
            self.average.store(self.parameters.values())
            self.average.copy_to(self.parameters.values())
        try:
            yield
        finally:
            with changing():
                self.average.restore(self.parameters.values())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that changes in training, by name."""
        found: dict[str, torch.Tensor] = {f"weights.{name}": param for name, param in self.parameters.items()}
        found |= memory_tensors(self.optimiser, list(self.parameters))
        if self.average is not None:
            shadows = zip(self.parameters, self.average.shadow_params, strict=True)
            found |= {f"average.{name}": shadow for name, shadow in shadows}
            found["averaged_steps"] = torch.tensor(self.average.optimization_step)
        return found

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `tensors` gave."""
        for name, param in self.parameters.items():
            param.data.copy_(tensors[f"weights.{name}"])
        restore_memory(self.optimiser, self.parameters, tensors)
        if self.average is not None:
            for name, shadow in zip(self.parameters, self.average.shadow_params, strict=True):
                shadow.copy_(tensors[f"average.{name}"])
            self.average.optimization_step = int(tensors["averaged_steps"])


def write_state(folder: Path, learner: Learning, progress: Progress, run_key: str) -> None:
    """Write one state into a folder; the same state is the same bytes."""
    write_tensors(folder / TENSORS_NAME, learner.tensors())
    sha256 = hash_file(folder / TENSORS_NAME)
    record = {"run_key": run_key, "sha256": sha256} | dataclasses.asdict(progress)
    write_atomically(folder / JSON_NAME, json.dumps(record, indent=1, sort_keys=True))


def keep_state(states: Path, learner: Learning, progress: Progress, run_key: str) -> None:
    """Add a state to the folder of states and drop all but the newest two.

    Raises:
        TrainingError: It can't be written, as on a full disk; the states before it are as they were.
    """
    final = _place(states, progress.step)
    if final.exists():
        return
    new = states / ".new"
    shutil.rmtree(new, ignore_errors=True)
    try:
        write_state(new, learner, progress, run_key)
        new.rename(final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise TrainingError(_not_kept(states, learner, progress, error)) from error
    for old in sorted(states.glob("step-*"))[:-KEPT_STATES]:
        shutil.rmtree(old)


def load_state(states: Path, learner: Learning, step: int) -> None:
    """Load the state of a step, which another process has found to be whole."""
    learner.load(read_tensors(_place(states, step) / TENSORS_NAME))


def _place(states: Path, step: int) -> Path:
    return states / f"step-{step:08d}"


def _not_kept(states: Path, learner: Learning, progress: Progress, error: Exception) -> str:
    needed = sum(tensor.nbytes for tensor in learner.tensors().values())
    kept = [path.name for path in sorted(states.glob("step-*"))]
    return (
        f"the state of step {progress.step} could not be written to {states}: {error}. It needs {needed / 1e6:.1f} MB, "
        f"{shutil.disk_usage(states).free / 1e6:.1f} MB are free; kept are {kept!r}. Free some and type the same "
        "command again: training goes on from the newest of these."
    )


def resume(states: Path, learner: Learning, run_key: str, tell: Tell) -> Progress | None:
    """Load the newest whole state of this very run, or find that there is none.

    Args:
        states: Folder of states; may be missing.
        learner: Takes the tensors.
        run_key: Hash of all that decides the run; a state of another run is not used.
        tell: Hears of every state that was passed over, and why.
    """
    for folder in sorted(states.glob("step-*"), reverse=True):
        record = _read_record(folder)
        if record is None:
            tell(f"the state in {folder} is damaged; going on from the one before it")
            shutil.rmtree(folder)
        elif record["run_key"] != run_key:
            tell(f"the state in {folder} belongs to a run with other settings; it is not used")
            shutil.rmtree(folder)
        else:
            learner.load(read_tensors(folder / TENSORS_NAME))
            return Progress(record["step"], record["probe_loss"], record["curve"], record["looks"])
    return None


def keep_best(states: Path, parameters: Mapping[str, torch.Tensor], step: int) -> None:
    """Keep the weights of the best look so far beside the states.

    As a state is kept after each look, the newest two know of no other best look than the newest two.
    """
    write_tensors(_best_path(states, step), parameters)
    for old in sorted(states.glob("best-*"))[:-KEPT_STATES]:
        old.unlink()


@torch.no_grad()
def take_best(states: Path, parameters: Mapping[str, torch.Tensor], step: int) -> None:
    """Put the weights of the best look, which was after so many steps, in the place of those that learn."""
    tensors = read_tensors(_best_path(states, step))
    for name, param in parameters.items():
        param.copy_(tensors[name])


def _best_path(states: Path, step: int) -> Path:
    return states / f"best-{step:08d}.safetensors"


def _read_record(folder: Path) -> dict[str, Any] | None:
    """The state's JSON if its tensors are the ones that it names, else None."""
    try:
        record = json.loads((folder / JSON_NAME).read_text())
        return record if record["sha256"] == hash_file(folder / TENSORS_NAME) else None
    except (OSError, ValueError, KeyError):
        return None
