"""Pictures that grow from genomes, of any resolution: the network is asked of every point what is there.

After Picbreeder (J. Secretan, N. Beato, D. D'Ambrosio and others, 2008). A point is told by its place, its distance
from the upright axis, through which symmetry comes, and its distance from the middle. The answer is whether the figure
is there (where it is above 0), and lightness, chroma and hue of its colour and of the ground's, by Oklab (B. Ottosson,
2020), in which all hues of one lightness look equally light; that there is a figure is this project's addition. Nothing
depends on pixels: a larger picture shows the same in more of them.
Belongs here: the stock of pictures and drawing them. Torch kernel.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253
from PIL import Image

from fungal_assets.ancestors.genomes import Stock, empty_genome
from fungal_assets.ancestors.programs import compile_genomes

if TYPE_CHECKING:
    import neat

INPUTS = ("x", "y", "axis", "middle")
OUTPUTS = ("figure", "lightness", "chroma", "hue", "ground", "ground hue")
_CHANGES = {
    "DefaultGenome": {
        "weight_mutate_rate": 0.15,
        "weight_mutate_power": 0.35,
        "bias_mutate_rate": 0.1,
        "bias_mutate_power": 0.25,
        "activation_mutate_rate": 0.02,
        "conn_add_prob": 0.3,
        "node_add_prob": 0.2,
    },
    "DefaultReproduction": {"survival_threshold": 0.2},
}
"""Pictures change in fewer places at a time, by more, and fewer have children: so they come nearer to a target."""
FINER = 4
"""Samples along each side of a pixel."""
_SOFT = 0.04
"""How far from 0 the figure's answer is where it is hardly there or hardly not there, so that evolution can be led."""
_EDGE, _LEAST_SLOPE = 0.008, 0.2
"""Half the width of a figure's edge in a picture, of half its side, where the answer changes by no less than that."""
_CHROMA, _GROUND_CHROMA = 0.19, 0.05
_DARKEST, _LIGHTEST = 0.22, 0.95
_POINTS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Drawn:
    """What is at some points of pictures.

    Args:
        rgb: float32, shape (P, 3, N), sRGB, 0 to 1.
        figure: float32, shape (P, N), 0 to 1: whether the figure is there.
    """

    rgb: torch.Tensor
    figure: torch.Tensor


def picture_stock() -> Stock:
    """The stock of pictures, begun from chance."""
    return Stock(INPUTS, OUTPUTS, (chance_genome,), _CHANGES)


def chance_genome(key: int, config: neat.Config) -> neat.DefaultGenome:
    """A genome without hidden nodes: each output of all inputs but `x`, so that the first pictures are symmetric.

    All have the same links, as otherwise each would be a kind of its own.
    """
    genome, settings = empty_genome(key, config), config.genome_config
    for output in range(len(OUTPUTS)):
        for pin in range(1, len(INPUTS)):
            genome.add_connection(settings, -1 - pin, output, random.gauss(0, 1), True)
        genome.nodes[output].bias = random.gauss(0, 0.4)
    return genome


def place_points(size_px: int, rows: slice = slice(None)) -> torch.Tensor:
    """The middles of the pixels of a square picture, or some rows of it: float32, shape (N, 2), x right and y up."""
    line = (torch.arange(size_px) + 0.5) / size_px * 2 - 1
    y, x = torch.meshgrid(-line[rows], line, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def sense(points: torch.Tensor) -> torch.Tensor:
    """What a genome is told of points (N, 2): float32, shape (I, N), in the order of `INPUTS`."""
    x, y = points.unbind(-1)
    return torch.stack([x, y, x.abs(), (x * x + y * y).sqrt()])


@torch.inference_mode()
def ask(genomes: Sequence[neat.DefaultGenome], told: torch.Tensor) -> Drawn:
    """What the genomes have at points, told by `sense`, with a soft edge about the figure."""
    found = compile_genomes(genomes, inputs=len(INPUTS), outputs=len(OUTPUTS)).run(told)
    return _colour(found, torch.sigmoid(found[:, 0] / _SOFT))


@torch.inference_mode()
def draw(genome: neat.DefaultGenome, size_px: int, *, finer: int = FINER) -> Image.Image:
    """The picture of a genome: RGB, each pixel the mean of `finer` times `finer` samples."""
    fine_px = size_px * finer
    program = compile_genomes([genome], inputs=len(INPUTS), outputs=len(OUTPUTS))
    step = finer * max(1, _POINTS_AT_ONCE // (fine_px * finer))
    bands = []
    for top in range(0, fine_px, step):
        first, last = max(top - 1, 0), min(top + step + 1, fine_px)  # a row more, for the slope
        found = program.run(sense(place_points(fine_px, slice(first, last)))).unflatten(-1, (-1, fine_px))
        slopes = torch.gradient(found[:, 0], spacing=2 / fine_px, dim=(1, 2))
        slope = torch.hypot(*slopes).clamp(min=_LEAST_SLOPE)
        rows = slice(top - first, top - first + step)
        kept, slope = found[:, :, rows].flatten(2), slope[:, rows].flatten(1)
        rgb = _colour(kept, torch.sigmoid(2 * kept[:, 0] / (slope * _EDGE))).rgb[0]
        bands.append(rgb.view(3, -1, finer, size_px, finer).mean((2, 4)))
    return Image.fromarray((torch.cat(bands, 1) * 255).round().byte().movedim(0, -1).numpy())


def _colour(found: torch.Tensor, share: torch.Tensor) -> Drawn:
    """The colours of answers (P, O, N) where the figure holds such shares, (P, N)."""
    _, light, chroma, hue, ground, ground_hue = found.unbind(1)
    body = from_oklab(_lightness(light), _CHROMA * torch.sigmoid(2 * chroma), torch.pi * hue)
    behind = from_oklab(_lightness(ground), torch.full_like(ground, _GROUND_CHROMA), torch.pi * ground_hue)
    return Drawn(body * share[:, None] + behind * (1 - share[:, None]), share)


def from_oklab(lightness: torch.Tensor, chroma: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Colours in sRGB, given by lightness (0 to 1), chroma and hue (radians), each (P, N): shape (P, 3, N), clipped.

    With the constants of B. Ottosson, "A perceptual color space for image processing" (2020).
    """
    a, b = chroma * torch.cos(hue), chroma * torch.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    linear = torch.stack([red, green, blue], 1).clamp(0, 1)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _lightness(answer: torch.Tensor) -> torch.Tensor:
    return _DARKEST + (_LIGHTEST - _DARKEST) * torch.sigmoid(2 * answer)
