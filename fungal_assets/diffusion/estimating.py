"""What a run will need, told before its first step: memory, and after a few steps time.

The activations are measured, not guessed: the loss of one row and of two is worked out once, and every tensor that
autograd keeps for the way back is counted by its storage, the weights' own left out. They grow by the same amount with
each row, so two measurements give any batch. What the optimiser remembers is measured on a small parameter of its own.
Of what is computed again on the way back only its inputs are counted, so that with `checkpoints_gradients` a block's
activations come on top.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253

from fungal_assets.diffusion.families import parts_of
from fungal_assets.diffusion.stepping import make_optimiser, memory_tensors
from fungal_assets.errors import TrainingError
from fungal_assets.progress import Tell

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from fungal_assets.diffusion.loop import Loop

PASSING = 1.05
"""What a step takes beside what autograd keeps, for a moment, as a factor of that (docs/log.md, 2026-11-29)."""
PROBE_SHAPE = (256, 256)
TIMED_STEPS = 3


@dataclass(frozen=True)
class Need:
    """Memory of a run on its device, bytes.

    Args:
        weights: Of the model, and the average of what learns; they lie there already.
        gradients: Of what learns.
        optimiser: What it remembers.
        fixed: What autograd keeps whatever the batch.
        row: What it keeps of each row.
        is_summed: Whether gradients lie there while a part's activations come, as from a step's second part on.
    """

    weights: int
    gradients: int
    optimiser: int
    fixed: int
    row: int
    is_summed: bool = False

    def activations(self, rows: int) -> int:
        """What the way there of so many rows takes."""
        return round(PASSING * (self.fixed + self.row * rows))

    def more(self, rows: int) -> int:
        """What is still to come beside the weights; on the way back activations go as gradients come."""
        activations = self.activations(rows)
        if self.is_summed:
            return self.optimiser + self.gradients + activations
        return self.optimiser + max(self.gradients, activations)

    def rows_in(self, free: int) -> int:
        """The most rows at once that fit into so many free bytes; 0 for none."""
        if self.optimiser + self.gradients > free:
            return 0
        left = free - self.optimiser - (self.gradients if self.is_summed else 0)
        return max(0, int((left / PASSING - self.fixed) // max(1, self.row)))


def foresee(loop: Loop, parts: Iterable[torch.nn.Module]) -> Need:
    """Measure what a loop's step will need; nothing of it changes.

    Args:
        loop: The run.
        parts: Of the model, all that lie on the device.
    """
    weights = [param for part in parts for param in part.parameters()]
    with loop.uncompiled():
        one, two = (count_kept(loop, rows, weights) for rows in (1, 2))
    learning, average = _bytes(loop.parameters.values()), loop.learner.average
    return Need(
        weights=_bytes(weights) + (_bytes(average.shadow_params) if average else 0),
        gradients=learning,
        optimiser=round(learning * _remembered(loop)),
        fixed=max(0, 2 * one - two),
        row=two - one,
        is_summed=loop.accumulation_steps > 1,
    )


def count_kept(loop: Loop, rows: int, weights: Collection[torch.Tensor]) -> int:
    """Bytes that autograd keeps for the way back of so many rows, weights left out, each storage once."""
    batch = loop.batches.probe(0, rows)
    own = {weight.untyped_storage().data_ptr() for weight in weights}
    with counted(own) as kept:
        # Held while it is counted: what autograd keeps has its storage to itself only as long.
        losses = loop.losses(batch)
        total = sum(kept.values())
    del losses
    return total


@contextmanager
def counted(own: set[int]) -> Iterator[dict[int, int]]:
    """Within, the bytes of every storage that autograd keeps, by address."""
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        yield kept


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _remembered(loop: Loop) -> float:
    """Bytes that a loop's optimiser remembers for each byte that learns."""
    probe = torch.nn.Parameter(torch.zeros(PROBE_SHAPE, device=loop.batches.device))
    probe.grad = torch.zeros_like(probe)
    of_its_kind = make_optimiser(loop.optimiser, [probe], loop.learning_rate, loop.batches.device)
    of_its_kind.step()
    return _bytes(memory_tensors(of_its_kind, ["probe"]).values()) / _bytes([probe])


def rows_at_once(loop: Loop) -> int:
    """The most rows that a process of a loop sees at once."""
    return -(-loop.batches.batch_size // (loop.accumulation_steps * loop.team.size))


def free_bytes(device: torch.device) -> int | None:
    """What can still be had on a device; None where it does not say."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "cpu":
        import psutil

        return psutil.virtual_memory().available
    return None


def tell_memory(loop: Loop, pipeline: DiffusionPipeline, *, method: str, tell: Tell) -> None:
    """Say what memory the run will need, and refuse it where that is not free.

    Args:
        loop: The run.
        pipeline: The model.
        method: Its method, for the remedy.
        tell: Hears of it.

    Raises:
        TrainingError: It cannot fit.
    """
    device = loop.batches.device
    free = free_bytes(device)
    if free is not None and device.type == "cpu":
        # The other processes take as much of it, where each GPU has its own.
        free //= loop.team.size
    parts = parts_of(pipeline).values()
    try:
        need = foresee(loop, [part for part in parts if part.device.type == device.type])
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"not even a step of two pictures fits into the memory of {device}. {_remedy(method, 0)}"
        ) from error
    rows = rows_at_once(loop)
    tell(f"memory on {device}: {phrase_need(need, rows)}" + (f"; {_gb(free)} free" if free else ""))
    if free is not None:
        refuse_too_much(need, rows, free, method=method, processes=loop.team.size)


def phrase_need(need: Need, rows: int) -> str:
    """What is needed, part by part."""
    return (
        f"{_gb(need.weights)} of weights and {_gb(need.more(rows))} more: {_gb(need.optimiser)} that the optimiser "
        f"remembers, and of activations of {rows} pictures ({_gb(need.activations(rows))}) and gradients "
        f"({_gb(need.gradients)}) the larger"
    )


def refuse_too_much(need: Need, rows: int, free: int, *, method: str, processes: int = 1) -> None:
    """Refuse a run that cannot fit.

    Args:
        need: What it needs.
        rows: How many a process sees at once.
        free: Bytes that a process can have.
        method: Its method, for the remedy.
        processes: How many share a batch.

    Raises:
        TrainingError: More is needed than is free; the message says what would fit.
    """
    if need.more(rows) <= free:
        return
    raise TrainingError(
        f"this training cannot fit: it needs {phrase_need(need, rows)}; only {_gb(free)} are free. "
        f"{_remedy(method, need.rows_in(free) * processes)}"
    )


def _remedy(method: str, rows: int) -> str:
    ways = [f"set batch_size to {rows} and raise accumulation_steps"] if rows else []
    ways += ["use method 'lora', which needs no gradients of the whole model"] if method == "full" else []
    ways += ["set checkpoints_gradients", "use a smaller resolution", "end what else takes the memory"]
    return f"{'; or '.join(ways)}.".capitalize()


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


class Pace:
    """Tells after a few steps how long the rest will take.

    Args:
        tell: Hears it.
        steps: How many steps are to be done.
        looks: How many looks are to be taken.
        look_s: Seconds of one; 0 where that is not known.
        clock: Seconds that pass.
    """

    def __init__(
        self,
        tell: Tell,
        steps: int,
        looks: int = 0,
        look_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._tell, self._steps, self._looks, self._look_s = tell, steps, looks, look_s
        self._clock, self._start_s, self._done = clock, clock(), 0

    def tick(self) -> None:
        """A step is done."""
        self._done += 1
        if self._done != TIMED_STEPS or self._steps <= TIMED_STEPS:
            return
        step_s = (self._clock() - self._start_s) / TIMED_STEPS
        whole_s = step_s * self._steps + self._look_s * self._looks
        looks = (
            f" and each of {self._looks} looks {self._look_s:.1f} s" if self._looks and self._look_s else ""
        )
        self._tell(
            f"time: a step takes {step_s:.2f} s{looks}, so {self._steps} steps take about {whole_s:.0f} s"
        )
