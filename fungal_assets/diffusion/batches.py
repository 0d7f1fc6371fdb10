"""What each training step sees, decided by the seed and the step's number alone.

There is no generator whose state could be lost: step 217 draws the same rows, noise and noise levels in any
run. Rows come in a fresh random order per epoch, so each is seen equally often. Each comes with one of its wordings, by
chance. The shares of rehearsal, of wordings without a name and of names alone are met exactly over time, by rounding
their running totals, which also works at a batch size of one.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch  # noqa: TID253

from fungal_assets.diffusion.encoding import EMPTY_PROMPT, EncodedDataset, flatten, key_of
from fungal_assets.diffusion.objectives import Objective, stratified_steps
from fungal_assets.diffusion.rehearsal import Rehearsal

CAPTION_DROPOUT = 0.1


@dataclass(frozen=True)
class Batch:
    """The inputs and targets of one step, on the device; the first `specimens` of B rows are specimens.

    Args:
        x_t: float32, shape (B, C, H, W): noisy latents.
        timesteps: int64, shape (B,).
        text: float32, shape (B, L, D), or int64 token ids, shape (B, L), as the dataset's `texts`.
        target: float32, shape (B, C, H, W): what the model should predict.
        weight: float32, shape (B,).
        specimens: How many rows come from the dataset; the others are rehearsal.
        sizes: int64 on the CPU, shape (B, 2): height and width of each row where they differ, which lie in a line then,
            as in the dataset.
    """

    x_t: torch.Tensor
    timesteps: torch.Tensor
    text: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    specimens: int
    sizes: torch.Tensor | None = None

    def rows(self, first: int, last: int) -> Batch:
        """Its rows `first` to `last` - 1."""
        columns = ("x_t", "timesteps", "text", "target", "weight")
        cut = {name: getattr(self, name)[first:last] for name in columns}
        sizes = None if self.sizes is None else self.sizes[first:last]
        return Batch(**cut, specimens=min(max(self.specimens - first, 0), last - first), sizes=sizes)

    def by_shape(self) -> list[tuple[Any, torch.Tensor, torch.Tensor]]:
        """Of each shape: which rows have it, as an index, and their `x_t` and `target` in it, (n, C, H, W)."""
        if self.sizes is None:
            return [(slice(None), self.x_t, self.target)]
        found = []
        for height, width in self.sizes.unique(dim=0).tolist():
            rows = self._rows_of(height, width)
            lines = (each[rows, :, 0, : height * width] for each in (self.x_t, self.target))
            x_t, target = (line.unflatten(-1, (height, width)) for line in lines)
            found.append((rows, x_t, target))
        return found

    def in_order(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """What was found of each row, shape (B,), of what was found of each shape, in the order of `by_shape`."""
        if self.sizes is None:
            return values[0]
        rows = torch.cat([self._rows_of(*shape) for shape in self.sizes.unique(dim=0).tolist()])
        return torch.cat(list(values))[rows.argsort()]

    def _rows_of(self, height: int, width: int) -> torch.Tensor:
        assert self.sizes is not None
        return (self.sizes == torch.tensor([height, width])).all(dim=1).nonzero().flatten()

    def parts(self, count: int) -> list[Batch]:
        """The batch in `count` parts of as many rows each, in order."""
        rows = len(self.x_t) // count
        assert rows * count == len(self.x_t), (len(self.x_t), count)
        return [self.rows(first, first + rows) for first in range(0, rows * count, rows)]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """All batches of one training run, by step.

    Args:
        encoded: The dataset.
        rehearsal: The points to rehearse, or None.
        objective: Noise schedule and weights.
        batch_size: Rows in a step, rehearsal included.
        rehearsal_share: Share of them that is rehearsal, 0 to below 1; without `rehearsal` it must be 0.
        class_share: Share of the draws from the dataset that come with a wording without the species' name, 0 to
            below 1; above 0 every row must have such a wording.
        name_share: Share of them that come with the species' name alone; with `class_share` below 1; above 0 every row
            must have a name.
        seed: Decides everything drawn.
        device: Where batches go.
        caption_dropout: Share of the draws whose text is left empty, 0 to below 1.
        noise_offset: How much of a specimen's noise is the same all over a channel (Guttenberg 2023, "Diffusion with
            offset noise"): a schedule that never ends in pure noise teaches a model the mean brightness of its
            pictures (Lin et al. 2024, arXiv:2305.08891), so that it draws none that are dark or bright all over.
    """

    encoded: EncodedDataset
    rehearsal: Rehearsal | None
    objective: Objective
    batch_size: int
    rehearsal_share: float
    class_share: float
    name_share: float
    seed: int
    device: torch.device
    caption_dropout: float = CAPTION_DROPOUT
    noise_offset: float = 0.0

    def _rehearsed_before(self, step: int) -> int:
        return math.floor(step * self.batch_size * self.rehearsal_share + 1e-9)

    def _specimens_before(self, step: int) -> int:
        return step * self.batch_size - self._rehearsed_before(step)

    def rows_of(self, step: int) -> torch.Tensor:
        """Dataset rows of a step, int64: the next ones in the order of their epoch."""
        first, last = self._specimens_before(step), self._specimens_before(step + 1)
        count = self.encoded.row_count
        orders = {epoch: self._order(epoch) for epoch in range(first // count, (last - 1) // count + 1)}
        return torch.tensor(
            [int(orders[at // count][at % count]) for at in range(first, last)], dtype=torch.int64
        )

    def texts_of(self, step: int) -> torch.Tensor:
        """The texts of these rows, int64: indices in the dataset's `texts`."""
        rows, encoded = self.rows_of(step), self.encoded
        chances = torch.rand(len(rows), generator=self._generator("wording", step))
        texts = encoded.wordings.pick(rows, chances)
        is_class = self._is_class(step)
        texts[is_class] = encoded.class_wordings.pick(rows[is_class], chances[is_class])
        is_name = self._is_name(step)
        texts[is_name] = encoded.name_wordings.pick(rows[is_name], chances[is_name])
        return texts

    def _is_class(self, step: int) -> torch.Tensor:
        """Which of a step's draws come without a name, bool."""
        return self._is_counted(step, self._classes_before)

    def _is_name(self, step: int) -> torch.Tensor:
        """Which of a step's draws come with the name alone, bool."""
        return self._is_counted(step, self._names_before)

    def _is_counted(self, step: int, before: Callable[[int], int]) -> torch.Tensor:
        """Which of a step's draws add to a running total, bool."""
        first, last = self._specimens_before(step), self._specimens_before(step + 1)
        totals = [before(at) for at in range(first, last + 1)]
        return torch.tensor([after > earlier for earlier, after in pairwise(totals)], dtype=torch.bool)

    def _classes_before(self, draw: int) -> int:
        return math.floor(draw * self.class_share + 1e-9)

    def _names_before(self, draw: int) -> int:
        """Of the draws that say a name, so that none is counted twice."""
        named = draw - self._classes_before(draw)
        return math.floor(named * self.name_share / (1 - self.class_share) + 1e-9)

    def count_texts(self, steps: int) -> dict[str, int]:
        """What the first `steps` steps draw, counted as they are drawn.

        Returns:
            `specimens_drawn`; `class_texts_drawn`, how many of these draws are without a name; `names_drawn`, how many
            are a name alone; `texts`, how many distinct texts the dataset has; `texts_drawn`, how many of them are
            drawn.
        """
        drawn = [self.texts_of(step) for step in range(steps)]
        return {
            "specimens_drawn": sum(map(len, drawn)),
            "class_texts_drawn": sum(int(self._is_class(step).sum()) for step in range(steps)),
            "names_drawn": sum(int(self._is_name(step).sum()) for step in range(steps)),
            "texts": len(self.encoded.texts) - 1,
            "texts_drawn": len(set(torch.cat(drawn).tolist())),
        }

    def rows_seen(self, steps: int) -> int:
        """How many different rows the first `steps` steps train on, counted as they are drawn."""
        return int(self._is_seen(steps).sum())

    def rows_seen_by_shard(self, steps: int) -> dict[str, int]:
        """The same of each shard, by its name."""
        rows = self.encoded.rows_by_shard
        parts = self._is_seen(steps).split(list(rows.values()))
        return {name: int(part.sum()) for name, part in zip(rows, parts, strict=True)}

    def _is_seen(self, steps: int) -> torch.Tensor:
        """Which rows the first `steps` steps train on, bool (N,)."""
        is_seen = torch.zeros(self.encoded.row_count, dtype=torch.bool)
        for step in range(steps):
            if not is_seen.all():
                is_seen[self.rows_of(step)] = True
        return is_seen

    def steps_for_every_row(self) -> int:
        """The fewest steps that train on every row."""
        rows = self.encoded.row_count
        most = math.ceil(rows / (self.batch_size * (1 - self.rehearsal_share))) + 1
        return bisect_left(range(most), rows, key=self._specimens_before)

    def epochs(self, steps: int) -> float:
        """How often each row is seen in the first `steps` steps, on average."""
        return self._specimens_before(steps) / self.encoded.row_count

    def _order(self, epoch: int) -> torch.Tensor:
        """The rows of an epoch, int64 (N,): shuffled, and where shapes differ, a step's worth of one shape together."""
        generator, count = self._generator("order", epoch), self.encoded.row_count
        order = torch.randperm(count, generator=generator)
        if self.encoded.sizes is None:
            return order
        _, shapes = self.encoded.sizes.unique(dim=0, return_inverse=True)
        run = max(1, round(self.batch_size * (1 - self.rehearsal_share)))
        return in_runs(order, shapes, run=run, lead=-epoch * count % run, generator=generator)

    def _generator(self, purpose: str, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(int(key_of(self.seed, purpose, number), 16) >> 1)

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        generator = self._generator("step", step)
        drawn = (self.rows_of(step), self.texts_of(step))
        specimens = self._specimens(*drawn, generator, dropout=self.caption_dropout, varies=True)
        sizes = None if self.encoded.sizes is None else self.encoded.sizes[drawn[0]]
        rehearsed = self._rehearsed_before(step + 1) - self._rehearsed_before(step)
        if self.rehearsal is None or rehearsed == 0:
            return self._sent(*specimens, specimens=len(specimens[0]), sizes=sizes)
        points = self._rehearsal(self.rehearsal, rehearsed, generator)
        if sizes is not None:
            square = torch.tensor(points[0].shape[-2:])
            sizes = torch.cat([sizes, square.expand(rehearsed, -1)])
            length = int(sizes.prod(dim=1).max())
            specimens, points = in_lines(specimens, length), in_lines(points, length)
        both = zip(specimens, points, strict=True)
        return self._sent(*(torch.cat(pair) for pair in both), specimens=len(specimens[0]), sizes=sizes)

    def probe(self, number: int, count: int) -> Batch:
        """A fixed batch to measure by: `count` rows from the `number`-th on, as they are, captions only."""
        rows = torch.arange(number * count, (number + 1) * count) % self.encoded.row_count
        captions = self.encoded.wordings.pick(rows, torch.zeros(count))
        drawn = self._specimens(rows, captions, self._generator("probe", number), dropout=0.0, varies=False)
        sizes = None if self.encoded.sizes is None else self.encoded.sizes[rows]
        return self._sent(*drawn, specimens=count, sizes=sizes)

    def _specimens(
        self,
        rows: torch.Tensor,
        texts: torch.Tensor,
        generator: torch.Generator,
        *,
        dropout: float,
        varies: bool,
    ) -> tuple[torch.Tensor, ...]:
        """x_t, timesteps, text, target of dataset rows with these texts."""
        count, encoded = len(rows), self.encoded
        variants = torch.randint(encoded.latents.shape[1] if varies else 1, (count,), generator=generator)
        x_0 = encoded.latents[rows, variants]
        e = torch.randn(x_0.shape, generator=generator)
        t = self.objective.drawn(stratified_steps(count, self.objective.steps, generator))
        is_dropped = torch.rand(count, generator=generator) < dropout
        text = encoded.texts[torch.where(is_dropped, EMPTY_PROMPT, texts)]
        if varies and self.noise_offset:
            shared = torch.randn(
                *e.shape[:2], 1, 1, generator=self._generator("offset", generator.initial_seed())
            )
            e += self.noise_offset * shared
        on_cpu = replace(self.objective, alpha_bar=self.objective.alpha_bar.cpu())
        return on_cpu.noised(x_0, e, t), t, text, on_cpu.target(x_0, e, t)

    @staticmethod
    def _rehearsal(rehearsal: Rehearsal, count: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """The same four for rehearsal points."""
        points = torch.randint(rehearsal.row_count, (count,), generator=generator)
        is_dropped = torch.rand(count, generator=generator) < CAPTION_DROPOUT
        text = rehearsal.texts[torch.where(is_dropped, EMPTY_PROMPT, rehearsal.prompt_ids[points])]
        target = torch.where(
            is_dropped.view(-1, 1, 1, 1), rehearsal.unprompted[points], rehearsal.prompted[points]
        )
        return rehearsal.x_t[points], rehearsal.timesteps[points], text, target

    def _sent(
        self,
        x_t: torch.Tensor,
        t: torch.Tensor,
        text: torch.Tensor,
        target: torch.Tensor,
        *,
        specimens: int,
        sizes: torch.Tensor | None,
    ) -> Batch:
        x_t, t, text, target = (tensor.to(self.device) for tensor in (x_t, t, text, target))
        return Batch(x_t, t, text, target, self.objective.weight(t), specimens, sizes)


def in_lines(drawn: tuple[torch.Tensor, ...], length: int) -> tuple[torch.Tensor, ...]:
    """`x_t`, timesteps, text and target, the first and the last with the numbers of each row in a line."""
    x_t, t, text, target = drawn
    return flatten(x_t, length), t, text, flatten(target, length)


def in_runs(
    order: torch.Tensor, shapes: torch.Tensor, *, run: int, lead: int, generator: torch.Generator
) -> torch.Tensor:
    """The rows in another order, in which those of one shape come `run` at a time, as a step wants them.

    Args:
        order: int64, shape (N,): the rows, shuffled.
        shapes: int64, shape (N,): number of the shape of each row.
        run: How many of one shape follow one another.
        lead: How many rows come before the first run: so many fill up the step that the epoch before began.
        generator: Shuffles the runs.

    Returns:
        int64, shape (N,): the runs in random order; the rows that fill none are before and behind them.
    """
    of_shape = [
        order[shapes[order] == shape] for shape in torch.randperm(int(shapes.max()) + 1, generator=generator)
    ]
    whole = [len(rows) // run * run for rows in of_shape]
    runs = [
        rows[at : at + run] for rows, end in zip(of_shape, whole, strict=True) for at in range(0, end, run)
    ]
    left = torch.cat([rows[end:] for rows, end in zip(of_shape, whole, strict=True)])
    shuffled = [runs[at] for at in torch.randperm(len(runs), generator=generator).tolist()]
    return torch.cat([left[:lead], *shuffled, left[lead:]])
