"""What a generation is worth: new and alive, like a target, or like what the words say.

    novelty   unlike all others, alive, and not of one colour: no goal but to be something else that could live
    target    overlap with another object (J. Clune, H. Lipson, "Evolving 3D objects", 2011)
    words     how well the pocket judge finds the words to fit its views, and novelty

Belongs here: those three. A person's choice is `breeding`'s. Torch is used behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253

from fungal_assets.ancestors.evolution import Genomes, Scores
from fungal_assets.ancestors.expression import express, grid_points, grow_volume, sense
from fungal_assets.ancestors.fields import Field
from fungal_assets.ancestors.genomes import OUTPUTS, lone_seed
from fungal_assets.ancestors.living import Kin, measure_viability, overlap
from fungal_assets.ancestors.novelty import describe, novelty, variety

if TYPE_CHECKING:
    from fungal_assets.ancestors.judging import FungusJudge

FITNESSES = ("novelty", "target", "words")
_REMEMBERED = 2
_VIEWS, _VIEW_PX = 2, 96


@dataclass
class Fitness:
    """Scores generations; an `evolution.Score`.

    Args:
        fields: Of the ancestors.
        kind: One of `FITNESSES`.
        grid_size: Samples along a side of the grid that forms are grown on to be scored.
        target: The field to be matched, where the kind is `target`.
        words: The words to be fitted, where the kind is `words`.
        judge: Who finds whether they fit.
        device: Where to compute.
    """

    fields: Sequence[Field]
    kind: str
    grid_size: int
    target: Field | None = None
    words: str = ""
    judge: FungusJudge | None = None
    device: str = "cpu"
    _room: torch.Tensor | None = None

    @cached_property
    def _inputs(self) -> torch.Tensor:
        return sense(grid_points(self.grid_size, self.device), self.fields)

    @cached_property
    def _kin(self) -> Kin:
        return Kin.of(matter_of(self.fields, self.grid_size, self.device))

    def __call__(self, genomes: Genomes, memory: np.ndarray) -> Scores:
        """The scores of a generation."""
        shape = (len(genomes), len(OUTPUTS), self.grid_size**3)
        if self._room is None or self._room.shape != shape:
            self._room = torch.empty(shape, device=self.device)
        given = {"device": self.device, "inputs": self._inputs, "room": self._room}
        grown = express(genomes, self.fields, self.grid_size, **given)
        matter = grown.density > 0
        viability, overlaps, pieces = measure_viability(matter, self._kin)
        alive = np.array([one.product for one in viability])
        described = describe(pieces, grown.colour)
        gaps = novelty(described, memory)
        new = gaps / max(float(gaps.max()), 1e-9)
        measures = [
            {**asdict(one), "viability": one.product, "novelty": float(gap), "overlap": float(own.max())}
            for one, gap, own in zip(viability, gaps, overlaps, strict=True)
        ]
        fitness = alive * (0.1 + 0.9 * new) * (0.6 + 0.4 * variety(described))
        if self.kind == "target":
            assert self.target is not None
            wanted = matter_of([self.target], self.grid_size, self.device)
            matched = overlap(matter, wanted)[:, 0]
            fitness = matched * np.array([0.5 + 0.5 * one.wholeness * one.air for one in viability])
            for measure, value in zip(measures, matched, strict=True):
                measure["matched"] = float(value)
        elif self.kind == "words":
            fits = np.array(
                [self._fit(genome) if one > 0 else 0.0 for genome, one in zip(genomes, alive, strict=True)]
            )
            fitness = alive * (0.2 * new + 0.8 * fits)
            for measure, value in zip(measures, fits, strict=True):
                measure["fit"] = float(value)
        remembered = [int(number) for number in np.argsort(-alive * gaps, kind="stable")[:_REMEMBERED]]
        rounded = [{name: round(value, 5) for name, value in measure.items()} for measure in measures]
        return Scores(np.round(fitness, 6), described, rounded, remembered)

    def _fit(self, genome: object) -> float:
        from fungal_assets.ancestors.judging import photograph

        assert self.judge is not None
        volume = grow_volume(genome, self.fields, self.grid_size)  # type: ignore[arg-type]
        shown = photograph(volume, views=_VIEWS, size_px=_VIEW_PX)
        return float(self.judge.fit(shown, self.words).mean())


def matter_of(fields: Sequence[Field], grid_size: int, device: str = "cpu") -> torch.Tensor:
    """Where the matter of objects is, each as its own seeded genome grows it: bool, shape (A, n, n, n)."""
    grown = [express([lone_seed()], [field], grid_size, device=device).density[0] for field in fields]
    return torch.stack(grown) > 0
