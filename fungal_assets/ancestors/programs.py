"""Genomes as tensor programs: a whole population is computed at once, over all points, on a CPU or a GPU alike.

The nodes of all genomes are sorted by their depth. The nodes of one depth are one product with the inputs, one batched
product with the nodes before, and one call for each kind of activation:

    v_l = f(b_l + A_l x + B_l [v_1 ... v_{l-1}])

What no output needs is left out. The activations are neat-python's own, to the last constant, so that a program agrees
with `neat.nn.FeedForwardNetwork`, which takes some hundred times as long (`benchmarks/ancestors.py`).
Belongs here: the compiler and its run. What inputs and outputs mean stands in `expression`. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253

if TYPE_CHECKING:
    import neat

_CACHE_FLOATS = 400_000
_POINTS_ON_GPU = 1 << 18


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
class Level:
    """The nodes of one depth, of all genomes; genomes with fewer have rows of zeros.

    Args:
        first: Its first slot.
        last: One after its last slot.
        from_nodes: float32, shape (P, last - first, first): weights from the nodes of the levels before.
        kinds: Rows of each activation among all rows of all genomes, int64 (n,), by its name.
    """

    first: int
    last: int
    from_nodes: torch.Tensor
    kinds: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Program:
    """The computation of some genomes.

    Args:
        genomes: How many, P.
        outputs: Outputs of each, O.
        slots: Rows of each, S, those of the outputs last.
        from_inputs: float32, shape (P, S, I).
        bias: float32, shape (P, S, 1).
        levels: In their order; the last one is the outputs.
        uses: Inputs that any of them needs, by number.
    """

    genomes: int
    outputs: int
    slots: int
    from_inputs: torch.Tensor
    bias: torch.Tensor
    levels: tuple[Level, ...]
    uses: frozenset[int]

    @torch.inference_mode()
    def run(self, inputs: torch.Tensor) -> torch.Tensor:
        """The outputs at points.

        Args:
            inputs: float32, shape (I, N), the same for all genomes, or (P, I, N), each genome's own.

        Returns:
            float32, shape (P, O, N).
        """
        width = max(256, _CACHE_FLOATS // max(self.slots * self.genomes, 1))
        width = width if inputs.device.type == "cpu" else _POINTS_ON_GPU
        found = inputs.new_empty(self.genomes, self.outputs, inputs.shape[-1])
        for part, into in zip(inputs.split(width, -1), found.split(width, -1), strict=True):
            into.copy_(self._run_part(part))
        return found

    def _run_part(self, inputs: torch.Tensor) -> torch.Tensor:
        count = inputs.shape[-1]
        if inputs.ndim == 2:
            sums = torch.addmm(self.bias.view(-1, 1), self.from_inputs.view(-1, inputs.shape[0]), inputs)
            sums = sums.view(self.genomes, self.slots, count)
        else:
            sums = torch.baddbmm(self.bias, self.from_inputs, inputs)
        flat = sums.view(-1, count)
        for level in self.levels:
            if level.first:
                sums[:, level.first : level.last] += level.from_nodes @ sums[:, : level.first]
            for name, rows in level.kinds.items():
                flat.index_copy_(0, rows, FUNCTIONS[name](flat.index_select(0, rows)))
        return sums[:, -self.outputs :]


def compile_genomes(
    genomes: Sequence[neat.DefaultGenome], *, inputs: int, outputs: int, device: torch.device | str = "cpu"
) -> Program:
    """The program of some genomes with so many inputs and outputs each.

    An output to which nothing leads is 0 plus its bias.
    """
    plans = [_sort_by_depth(genome, outputs) for genome in genomes]
    depth = max((max(plan.values(), default=0) for plan in plans), default=0)
    widths = [
        max(sum(own == level for own in plan.values()) for plan in plans) for level in range(1, depth + 1)
    ]
    firsts = [sum(widths[:level]) for level in range(depth + 1)]
    slots = [_place_nodes(plan, firsts, outputs) for plan in plans]
    count = sum(widths) + outputs
    from_inputs, from_nodes, bias, kinds = _weigh(genomes, slots, count, inputs)
    levels = []
    for first, last in zip(firsts, [*firsts[1:], count], strict=True):
        own = {name: [row for row in rows if first <= row % count < last] for name, rows in kinds.items()}
        chosen = {name: torch.tensor(rows, device=device) for name, rows in sorted(own.items()) if rows}
        levels.append(Level(first, last, from_nodes[:, first:last, :first].contiguous().to(device), chosen))
    uses = frozenset((from_inputs != 0).any(0).any(0).nonzero()[:, 0].tolist())
    return Program(len(genomes), outputs, count, from_inputs.to(device), bias.to(device), tuple(levels), uses)


def _sort_by_depth(genome: neat.DefaultGenome, outputs: int) -> dict[int, int]:
    """The hidden nodes that an output needs, each with how many nodes deep it lies, from 1."""
    into: dict[int, list[int]] = {}
    for (start, end), gene in genome.connections.items():
        if gene.enabled:
            into.setdefault(end, []).append(start)
    depths: dict[int, int] = {}

    def depth_of(node: int) -> int:
        if node < 0:
            return 0
        if node not in depths:
            depths[node] = 1 + max((depth_of(start) for start in into.get(node, ())), default=0)
        return depths[node]

    for output in range(outputs):
        for start in into.get(output, ()):
            depth_of(start)
    return depths


def _place_nodes(plan: Mapping[int, int], firsts: Sequence[int], outputs: int) -> dict[int, int]:
    """The slot of each node that counts, among those of all levels."""
    slots, filled = {output: firsts[-1] + output for output in range(outputs)}, list(firsts)
    for node, level in sorted(plan.items()):
        slots[node] = filled[level - 1]
        filled[level - 1] += 1
    return slots


def _weigh(
    genomes: Sequence[neat.DefaultGenome], slots: Sequence[Mapping[int, int]], count: int, inputs: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, list[int]]]:
    """Weights from inputs (P, S, I), from nodes (P, S, S), biases (P, S, 1), and the rows of each activation."""
    from_inputs, from_nodes = (
        torch.zeros(len(genomes), count, inputs),
        torch.zeros(len(genomes), count, count),
    )
    bias = torch.zeros(len(genomes), count, 1)
    kinds: dict[str, list[int]] = {}
    for number, (genome, own) in enumerate(zip(genomes, slots, strict=True)):
        for node, slot in own.items():
            gene = genome.nodes[node]
            bias[number, slot] = gene.bias
            if gene.activation in FUNCTIONS:
                kinds.setdefault(gene.activation, []).append(number * count + slot)
        for (start, end), link in genome.connections.items():
            if link.enabled and end in own:
                target, source = (from_inputs, -1 - start) if start < 0 else (from_nodes, own[start])
                target[number, own[end], source] = link.weight
    return from_inputs, from_nodes, bias, kinds
