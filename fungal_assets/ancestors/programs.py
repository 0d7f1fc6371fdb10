"""Genomes as tensor programs: a whole population is computed in one go, over all points, on a CPU or a GPU alike.

Every node is a row with a value at each point. The rows of several genomes lie in one buffer, sorted by their depth
and, within one depth, by their activation; so a depth is a weighted sum for each connection, in place, and one call for
each kind of activation over all of its rows:

    v_l = f_l(b_l + sum of w x over the connections into v_l)

What no output needs is left out. As many genomes share the buffer as fit a processor's cache; on a GPU all of them. A
dense product for each depth was tried: most of it multiplies by nothing, and it took three times as long. The
activations are neat-python's own, to the last constant, so that a program agrees with `neat.nn.FeedForwardNetwork`,
which takes some hundred times as long (`benchmarks/ancestors.py`).
Belongs here: the compiler and its run. What inputs and outputs mean stands in `expression`. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import torch  # noqa: TID253

if TYPE_CHECKING:
    import neat

_CACHED_ROWS = 24


def _sin(z: torch.Tensor) -> torch.Tensor:
    return z.mul_(5).clamp_(-60, 60).sin_()


def _gauss(z: torch.Tensor) -> torch.Tensor:
    return z.clamp_(-3.4, 3.4).square_().mul_(-5).exp_()


def _tanh(z: torch.Tensor) -> torch.Tensor:
    return z.mul_(2.5).clamp_(-60, 60).tanh_()


def _hat(z: torch.Tensor) -> torch.Tensor:
    return z.abs_().neg_().add_(1).clamp_(min=0)


FUNCTIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sin": _sin,
    "gauss": _gauss,
    "tanh": _tanh,
    "abs": torch.abs_,
    "hat": _hat,
}
"""All but `identity`, which needs no call; each changes what it is given."""


@dataclass(frozen=True)
class Sum:
    """What a row is before its activation.

    Args:
        genome: Its number in the program.
        row: Of the buffer; of an output, the output's number.
        bias: Added at every point.
        sources: Rows of the buffer, or -1 - i of input number i, each with its weight.
    """

    genome: int
    row: int
    bias: float
    sources: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Level:
    """The nodes of one depth: their sums, and which rows have which activation, as first and one past the last."""

    sums: tuple[Sum, ...]
    kinds: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Group:
    """Genomes that share the buffer: its rows, the hidden nodes by depth, and the outputs."""

    rows: int
    levels: tuple[Level, ...]
    outputs: tuple[Sum, ...]


@dataclass(frozen=True)
class Program:
    """The computation of some genomes.

    Args:
        genomes: How many, P.
        outputs: Outputs of each, O.
        groups: In the genomes' order.
        uses: Inputs that any of them needs, by number.
    """

    genomes: int
    outputs: int
    groups: tuple[Group, ...]
    uses: frozenset[int]

    @torch.inference_mode()
    def run(self, inputs: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor:
        """The outputs at points.

        Args:
            inputs: float32, shape (I, N), the same for all genomes, or (P, I, N), each genome's own.
            room: float32, shape (P, O, N), where the outputs go: fresh memory for a large population costs as much
                time as a third of its computation. None for fresh memory.

        Returns:
            float32, shape (P, O, N).
        """
        shape = (self.genomes, self.outputs, inputs.shape[-1])
        found = room if room is not None and room.shape == shape else inputs.new_empty(shape)
        buffer = inputs.new_empty(max(group.rows for group in self.groups), inputs.shape[-1])
        told = [inputs.unbind(0)] if inputs.ndim == 2 else [own.unbind(0) for own in inputs]
        rows = buffer.unbind(0)
        for group in self.groups:
            for level in group.levels:
                for one in level.sums:
                    _add_up(rows[one.row], one, told[one.genome % len(told)], rows)
                for name, first, last in level.kinds:
                    FUNCTIONS[name](buffer[first:last])
            for one in group.outputs:
                _add_up(found[one.genome, one.row], one, told[one.genome % len(told)], rows)
        return found


def compile_genomes(
    genomes: Sequence[neat.DefaultGenome], *, inputs: int, outputs: int, device: torch.device | str = "cpu"
) -> Program:
    """The program of some genomes with so many inputs and outputs each, for that kind of device.

    An output to which nothing leads is its bias.
    """
    plans = [_sort_by_depth(genome, outputs) for genome in genomes]
    most = _CACHED_ROWS if torch.device(device).type == "cpu" else sum(map(len, plans))
    groups, uses = [], set[int]()
    first = 0
    while first < len(genomes):
        last, rows = first + 1, len(plans[first])
        while last < len(genomes) and rows + len(plans[last]) <= most:
            rows += len(plans[last])
            last += 1
        groups.append(_build_group(genomes, plans, range(first, last), outputs))
        first = last
    for group in groups:
        for one in (*group.outputs, *(one for level in group.levels for one in level.sums)):
            uses |= {-1 - source for source, _ in one.sources if source < 0}
    assert not uses or max(uses) < inputs, (uses, inputs)
    return Program(len(genomes), outputs, tuple(groups), frozenset(uses))


def _add_up(
    target: torch.Tensor, one: Sum, told: Sequence[torch.Tensor], rows: Sequence[torch.Tensor]
) -> None:
    """Fill a row."""
    if not one.sources:
        target.fill_(one.bias)
        return
    for number, (source, weight) in enumerate(one.sources):
        value = rows[source] if source >= 0 else told[-1 - source]
        if number:
            target.add_(value, alpha=weight)
        else:
            torch.mul(value, weight, out=target)
    if one.bias:
        target.add_(one.bias)


def _sort_by_depth(genome: neat.DefaultGenome, outputs: int) -> dict[int, int]:
    """The hidden nodes that an output needs, each with how many nodes deep it lies, from 1."""
    into = _links_into(genome)
    depths: dict[int, int] = {}

    def depth_of(node: int) -> int:
        if node < 0:
            return 0
        if node not in depths:
            depths[node] = 1 + max((depth_of(start) for start, _ in into.get(node, ())), default=0)
        return depths[node]

    for output in range(outputs):
        for start, _ in into.get(output, ()):
            depth_of(start)
    return depths


def _build_group(
    genomes: Sequence[neat.DefaultGenome],
    plans: Sequence[Mapping[int, int]],
    numbers: range,
    outputs: int,
) -> Group:
    """The hidden nodes of some genomes in a buffer, by depth and activation, and what they and the outputs add up."""
    nodes = sorted(
        (level, genomes[number].nodes[node].activation, number, node)
        for number in numbers
        for node, level in plans[number].items()
    )
    row_of = {(number, node): row for row, (_, _, number, node) in enumerate(nodes)}
    into = {number: _links_into(genomes[number]) for number in numbers}

    def add(number: int, node: int, row: int) -> Sum:
        sources = tuple(
            (start if start < 0 else row_of[number, start], weight)
            for start, weight in into[number].get(node, ())
        )
        return Sum(number, row, genomes[number].nodes[node].bias, sources)

    levels = []
    for _, members in groupby(enumerate(nodes), key=lambda item: item[1][0]):
        own = list(members)
        sums = tuple(add(number, node, row) for row, (_, _, number, node) in own)
        kinds = []
        for name, alike in groupby(own, key=lambda item: item[1][1]):
            rows = [row for row, _ in alike]
            kinds += [(name, rows[0], rows[-1] + 1)] if name in FUNCTIONS else []
        levels.append(Level(sums, tuple(kinds)))
    last = tuple(add(number, output, output) for number in numbers for output in range(outputs))
    return Group(len(nodes), tuple(levels), last)


def _links_into(genome: neat.DefaultGenome) -> dict[int, list[tuple[int, float]]]:
    """Starts and weights of the enabled connections into each node."""
    into: dict[int, list[tuple[int, float]]] = {}
    for (start, end), gene in genome.connections.items():
        if gene.enabled:
            into.setdefault(end, []).append((start, gene.weight))
    return into
