"""What a generation of pictures is worth: new, like one of several targets, or fitting one of several words.

    novelty   to be unlike all others in what the pocket judge sees in them
    target    to match silhouette and colours of one of the targets
    words     that the judge finds one of the words to fit

With several targets or words one population is bred for all of them, each picture for what it comes nearest to beside
the others, so that what serves one can go on to serve another (A. Nguyen, J. Yosinski, J. Clune, "Innovation engines",
2015). All of it times the presence: a figure that is neither a speck nor the whole, stands off its ground and is no
noise. Belongs here: those measures. A person's choice is `breeding`'s. Torch is used behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from PIL import Image

from fungal_assets.ancestors.evolution import Genomes, Scores
from fungal_assets.ancestors.judging import FungusJudge
from fungal_assets.ancestors.novelty import novelty
from fungal_assets.ancestors.picture_drawing import Drawn, ask, place_points, sense
from fungal_assets.ancestors.picture_targets import Target

SIZE_PX = 32
_JUDGED_PX = 64
_THUMB_PX = 8
_SHARPNESS = 8
_REMEMBERED = 2
_OVERLAP_POWER, _COLOUR_SHARE, _FAR_COLOUR = 3, 0.5, 0.5


@dataclass
class PictureFitness:
    """Scores generations; an `evolution.Score`.

    Args:
        kind: `novelty`, `target` or `words`.
        judge: Asked by `novelty` and `words`.
        targets: Where the kind is `target`, on `SIZE_PX` points a side.
        words: Where the kind is `words`.
    """

    kind: str
    judge: FungusJudge
    targets: Sequence[Target] = ()
    words: Sequence[str] = ()

    @property
    def goals(self) -> list[str]:
        """Names of all that pictures are bred for; none of novelty."""
        return [target.name for target in self.targets] if self.kind == "target" else list(self.words)

    @cached_property
    def _told(self) -> dict[int, torch.Tensor]:
        return {size_px: sense(place_points(size_px)) for size_px in (SIZE_PX, _JUDGED_PX)}

    def __call__(self, genomes: Genomes, memory: np.ndarray) -> Scores:
        """The scores of a generation."""
        drawn = ask(genomes, self._told[SIZE_PX])
        presence = measure_presence(drawn)
        measures = [{"presence": round(float(one), 5)} for one in presence]
        if self.kind == "novelty":
            described = self._see(genomes)
            gaps = novelty(described, memory)
            worth = gaps / max(float(gaps.max()), 1e-9)
            remembered = np.argsort(-presence * gaps, kind="stable")[:_REMEMBERED].tolist()
        else:
            described, remembered = describe(drawn), []
            likeness = self._match(drawn) if self.kind == "target" else self._fit(genomes)
            worth = (likeness / likeness.max(0).clip(1e-6)).max(1) ** _SHARPNESS
            for measure, row in zip(measures, likeness, strict=True):
                measure |= {
                    name_goal(name): round(float(one), 5) for name, one in zip(self.goals, row, strict=True)
                }
        return Scores(np.round(presence * worth, 6), described, measures, remembered)

    def _match(self, drawn: Drawn) -> np.ndarray:
        """How well pictures match each target, 0 to 1: float, shape (P, targets)."""
        return np.stack([match(drawn, target) for target in self.targets], 1)

    def _fit(self, genomes: Genomes) -> np.ndarray:
        images = self._show(genomes)
        return np.stack([self.judge.fit(images, words) for words in self.words], 1)

    def _see(self, genomes: Genomes) -> np.ndarray:
        """What the judge sees in pictures: likeness to all that it knows, float32, shape (P, names)."""
        return np.round(self.judge.liken(self._show(genomes)), 4)

    def _show(self, genomes: Genomes) -> list[Image.Image]:
        rgb = ask(genomes, self._told[_JUDGED_PX]).rgb.view(-1, 3, _JUDGED_PX, _JUDGED_PX)
        return [Image.fromarray(one) for one in (rgb * 255).round().byte().movedim(1, -1).numpy()]


def name_goal(goal: str) -> str:
    """The name of the measure that says how near a picture comes to a goal."""
    return f"like {goal}"


def match(drawn: Drawn, target: Target) -> np.ndarray:
    """Overlap of the figure with the target's, times likeness of colours where both are: float, shape (P,), 0 to 1."""
    both, either = (pick(drawn.figure, target.figure).sum(1) for pick in (torch.minimum, torch.maximum))
    apart = ((drawn.rgb - target.rgb).norm(dim=1) / _FAR_COLOUR).clamp(max=1)
    unlike = (apart * torch.minimum(drawn.figure, target.figure)).sum(1) / both.clamp(min=1e-3)
    overlap = (both / either.clamp(min=1e-3)).numpy()
    return overlap**_OVERLAP_POWER * (1 - _COLOUR_SHARE * unlike.numpy())


def measure_presence(drawn: Drawn) -> np.ndarray:
    """Whether there is something to see in pictures of `SIZE_PX` points a side: float, shape (P,), 0 to 1.

    The figure holds between a twentieth and three fifths of the picture and leaves most of the border free, its colour
    is not the ground's, and neighbouring points are mostly alike.
    """
    figure, rgb = (each.unflatten(-1, (SIZE_PX, SIZE_PX)) for each in (drawn.figure, drawn.rgb))
    share = figure.mean((1, 2))
    border = torch.cat([figure[:, 0], figure[:, -1], figure[:, :, 0], figure[:, :, -1]], 1).mean(1)
    weight = figure[:, None]
    inside = (rgb * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=1e-3)
    outside = (rgb * (1 - weight)).sum((2, 3)) / (1 - weight).sum((2, 3)).clamp(min=1e-3)
    contrast = (inside - outside).norm(dim=1)
    noise = (rgb.diff(dim=2).abs().mean((1, 2, 3)) + rgb.diff(dim=3).abs().mean((1, 2, 3))) / 2
    shares = (
        _rise(share, 0.01, 0.05) * _rise(-share, -0.8, -0.6),
        _rise(-border, -0.6, -0.25),
        _rise(contrast, 0.05, 0.25),
        _rise(-noise, -0.16, -0.08),
    )
    return torch.stack(shares).prod(0).numpy()


def describe(drawn: Drawn) -> np.ndarray:
    """Small pictures to tell pictures apart by: float32, shape (P, 3 * 8**2), 0 to 1."""
    rgb = drawn.rgb.unflatten(-1, (SIZE_PX, SIZE_PX))
    return F.adaptive_avg_pool2d(rgb, _THUMB_PX).flatten(1).numpy()


def _rise(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high`, straight between."""
    return ((value - low) / (high - low)).clamp(0, 1)
