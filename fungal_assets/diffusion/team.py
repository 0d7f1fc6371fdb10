"""Processes that train one model together: each computes its rows of every batch, and all take the same step.

A step's batch is decided by the seed and the step's number, so every process makes the whole of it and takes its part.
The loss is the mean over the B rows of the batch, so its gradient is the sum over the processes of the gradients of
(sum over own rows) / B: parts of unequal size weigh as they should. After the sum all have the same gradients, so the
same clipping, the same step of the optimiser and the same weights, to the bit; against one process the order of the
additions differs, and so the last bits.

Only the main process reads states, and writes them and the output. A signal is agreed on between two steps, by a number
that travels with the losses, so that no process waits for one that has stopped.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch  # noqa: TID253

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fungal_assets.diffusion.batches import Batch

BUCKET_NUMBERS = 1 << 24
"""So many numbers of gradients travel at once: few messages, and little memory beside the gradients."""

Parameters = Iterable[torch.nn.Parameter]
Compute = Callable[["Batch"], torch.Tensor]
Value = TypeVar("Value")


class Team(Protocol):
    """Those who train together."""

    @property
    def size(self) -> int:
        """How many processes."""
        ...

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        ...

    def main_first(self) -> AbstractContextManager[None]:
        """A context that the main process goes through before the others, which find what it has made."""
        ...

    def stepping(self) -> AbstractContextManager[None]:
        """A context for the steps: within it signals are agreed on, not raised where they come."""
        ...

    def share(self, make: Callable[[], Value]) -> Value:
        """What the main process makes, for all."""
        ...

    def backward(self, batch: Batch, compute: Compute, parameters: Parameters, *, parts: int) -> torch.Tensor:
        """Leave the gradients of a batch's mean loss in the parameters; the losses of all rows, float32 (B,).

        What a process computes it computes in `parts` parts, one after the other.
        """
        ...

    def heed(self) -> None:
        """Raise KeyboardInterrupt in all processes if one of them was to stop."""
        ...


@dataclass(frozen=True)
class Alone:
    """One process."""

    size: int = 1
    is_main: bool = True

    def main_first(self) -> AbstractContextManager[None]:
        """Nothing to wait for."""
        return nullcontext()

    def stepping(self) -> AbstractContextManager[None]:
        """A signal is an exception where it comes."""
        return nullcontext()

    def share(self, make: Callable[[], Value]) -> Value:
        """What is made."""
        return make()

    def backward(self, batch: Batch, compute: Compute, parameters: Parameters, *, parts: int) -> torch.Tensor:
        """The gradients of the mean."""
        found = []
        for part in batch.parts(parts):
            losses = compute(part)
            (losses.mean() * (len(losses) / len(batch.x_t))).backward()
            found.append(losses.detach())
        return torch.cat(found)

    def heed(self) -> None:
        """Nothing was agreed on."""


class Together:
    """One of several processes of a `torch.distributed` group, which is there already."""

    def __init__(self) -> None:
        self.rank, self.size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        self.is_main = self.rank == 0
        self._is_stepping = self._is_to_stop = self._is_agreed = False

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The others wait."""
        if not self.is_main:
            torch.distributed.barrier()
        yield
        if self.is_main:
            torch.distributed.barrier()

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """From here to its end `stop` waits until all agree."""
        self._is_stepping = True
        try:
            yield
        finally:
            self._is_stepping = False

    def stop(self, *_: object) -> None:
        """A handler of signals: between two steps of all processes, and outside of steps at once.

        Raises:
            KeyboardInterrupt: Outside of steps.
        """
        self._is_to_stop = True
        if not self._is_stepping:
            raise KeyboardInterrupt

    def ask_to_stop(self) -> None:
        """Stop between two steps of all processes, whenever the next ones come; from any thread."""
        self._is_to_stop = True

    def share(self, make: Callable[[], Value]) -> Value:
        """It travels pickled: small things."""
        told: list[Any] = [make() if self.is_main else None]
        torch.distributed.broadcast_object_list(told)
        return told[0]

    def backward(self, batch: Batch, compute: Compute, parameters: Parameters, *, parts: int) -> torch.Tensor:
        """Own rows forward and backward, then the sums over all processes."""
        count = len(batch.x_t)
        assert count >= self.size * parts, (count, self.size, parts)
        told = torch.zeros(count + 1, device=batch.x_t.device)
        edges = [count * at // (self.size * parts) for at in range(self.size * parts + 1)]
        for first, last in pairwise(edges[self.rank * parts : (self.rank + 1) * parts + 1]):
            own = compute(batch.rows(first, last))
            (own.sum() / count).backward()
            told[first:last] = own.detach()
        told[count] = float(self._is_to_stop)
        torch.distributed.all_reduce(told)
        self._is_agreed = bool(told[count] > 0)
        _sum_gradients(parameters)
        return told[:count]

    def heed(self) -> None:
        """As the numbers that travelled with the losses of the step that is done said."""
        if self._is_agreed:
            raise KeyboardInterrupt


def _sum_gradients(parameters: Parameters) -> None:
    """Make every gradient the sum over the processes; all have the same ones, as all go through the same layers."""
    for gradients in _buckets(parameter.grad for parameter in parameters if parameter.grad is not None):
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([item.numel() for item in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


def _buckets(gradients: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """The gradients in groups of about `BUCKET_NUMBERS` numbers of one type."""
    bucket: list[torch.Tensor] = []
    for gradient in gradients:
        is_full = sum(item.numel() for item in bucket) + gradient.numel() > BUCKET_NUMBERS
        if bucket and (is_full or bucket[0].dtype != gradient.dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
