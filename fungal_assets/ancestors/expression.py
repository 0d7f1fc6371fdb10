"""What grows from a genome: density and colour at every point of the box, as a grid for breeding or a volume to keep.

The network is asked twice: where to look, of the point itself, then what is there, of the point that it was sent to.
A point is matter where its density is above 0. The seeded genome answers with minus the ancestor's distance, so that
its surface is the ancestor's, at any resolution. Belongs here: inputs and outputs of genomes. Torch kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch  # noqa: TID253
from scipy import ndimage  # noqa: TID253

from fungal_assets.ancestors.fields import Field
from fungal_assets.ancestors.genomes import OUTPUTS, PLACES, SENSES, SPOKES, input_names, lone_seed
from fungal_assets.ancestors.programs import Program, compile_genomes
from fungal_assets.forms.solid import HALF_OPAQUE, largest_piece
from fungal_assets.forms.volume import DENSITY_SCALE, EMPTY, Volume

if TYPE_CHECKING:
    import neat

DISTANCE_GAIN = 4.0
"""How steep the density of an ancestor is: by so much the patterns are smaller than the forms."""
_FAR = 1.6
BEND = 0.3
"""The furthest that a point can be sent, along each axis."""
_AXIS_WIDTH = 0.12
_LEAST_SLOPE = 0.5
_SOFT_CELLS = 0.35
_SOLID = 12.0
_MARGIN_CELLS = 2
_BENT_AT_ONCE = 8
_SPOKES = PLACES.index(f"spokes {SPOKES[0]}")
_BENDS = slice(OUTPUTS.index("bend x"), OUTPUTS.index("bend z") + 1)


@dataclass(frozen=True)
class Growth:
    """What grows from some genomes, on one grid.

    Args:
        density: float32, shape (P, n, n, n) along z, y, x; above 0 is matter.
        colour: float32, shape (P, 3, n, n, n); its sigmoid is sRGB.
    """

    density: torch.Tensor
    colour: torch.Tensor


def grid_points(size: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """The points of a grid in the box: float32, shape (size**3, 3), x y z, in the order of a volume's samples."""
    line = torch.linspace(-1, 1, size, device=device)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3)


def sense(
    points: torch.Tensor, fields: Sequence[Field], wanted: frozenset[int] | None = None
) -> torch.Tensor:
    """What a genome is told of points.

    Args:
        points: float32, shape (..., 3).
        fields: Of the ancestors.
        wanted: Numbers of the inputs that are needed; the others are left as they come. None for all.

    Returns:
        float32, shape (I, ...): the inputs in the order of `genomes.input_names`.
    """
    names = input_names(len(fields))
    wanted = frozenset(range(len(names))) if wanted is None else wanted
    told = points.new_empty(len(names), *points.shape[:-1])
    x, y, z = points.unbind(-1)
    told[0], told[1], told[2] = x, y, z
    axis = (x * x + z * z).sqrt()
    told[3], told[4] = axis, (axis * axis + y * y).sqrt()
    if wanted & set(range(_SPOKES, len(PLACES))):
        angle, near = torch.atan2(z, x), (axis / _AXIS_WIDTH).clamp(max=1)
        for number, count in enumerate(SPOKES, _SPOKES):
            if number in wanted:
                told[number] = near * torch.cos(count * angle)
    for number, field in enumerate(fields):
        first = len(PLACES) + number * len(SENSES)
        if first in wanted:
            told[first] = (-DISTANCE_GAIN * field.distance_at(points)).clamp(-_FAR, _FAR)
        if wanted & set(range(first + 1, first + len(SENSES))):
            told[first + 1 : first + len(SENSES)] = field.colour_at(points)
    return told


@torch.inference_mode()
def express(
    genomes: Sequence[neat.DefaultGenome],
    fields: Sequence[Field],
    size: int,
    *,
    device: torch.device | str = "cpu",
    inputs: torch.Tensor | None = None,
    room: torch.Tensor | None = None,
) -> Growth:
    """What grows from genomes on a grid of `size` samples a side.

    Args:
        genomes: One or more.
        fields: Of their ancestors, in their order.
        size: Samples along a side.
        device: Where to compute; the result stays there.
        inputs: `sense` of the grid's points, if it is there already.
        room: float32, shape (P, outputs, size**3), which the growth then lies in; None for fresh memory.
    """
    points = grid_points(size, device)
    told = sense(points, fields) if inputs is None else inputs
    found = _compile(genomes, fields, device).run(told, room)
    bent = [number for number, genome in enumerate(genomes) if bends(genome)]
    for chosen in [bent[start : start + _BENT_AT_ONCE] for start in range(0, len(bent), _BENT_AT_ONCE)]:
        moved = points + BEND * torch.tanh(found[chosen, _BENDS]).transpose(1, 2)
        program = _compile([genomes[number] for number in chosen], fields, device)
        found[chosen] = program.run(sense(moved, fields, program.uses).transpose(0, 1))
    grid = found.view(len(genomes), len(OUTPUTS), size, size, size)
    return Growth(grid[:, 0], grid[:, 1:4])


@torch.inference_mode()
def grow_volume(genome: neat.DefaultGenome, fields: Sequence[Field], size: int) -> Volume:
    """The volume of a genome, ready to be meshed and filmed: float32 on a grid of `size` samples a side.

    Its surface, where a cell is half opaque, is where the genome's density is 0: the density is divided by its slope,
    so that every surface is as sharp as every other.
    """
    grown = express([genome], fields, size)
    density, step = grown.density[0], 2 / (size - 1)
    slopes = torch.gradient(density, spacing=step)
    slope = sum(part * part for part in slopes).sqrt().clamp(min=_LEAST_SLOPE)  # type: ignore[union-attr]
    half_opaque = math.log(math.expm1(math.log(2) / (DENSITY_SCALE * step)))
    soft = half_opaque + (density / slope) / (_SOFT_CELLS * step) * half_opaque
    return Volume(soft.clamp(EMPTY, _SOLID), grown.colour[0].contiguous())


def grow_form(genome: neat.DefaultGenome, fields: Sequence[Field], size: int) -> Volume:
    """The volume of a genome without the crumbs beside its largest piece."""
    volume = grow_volume(genome, fields, size)
    piece = largest_piece((volume.cell_alpha() > HALF_OPAQUE).numpy())
    near = torch.from_numpy(ndimage.binary_dilation(piece, iterations=_MARGIN_CELLS))
    return replace(volume, density=torch.where(near, volume.density, torch.tensor(EMPTY)))


def grow_seed(field: Field, size: int) -> Volume:
    """The volume of an ancestor, as its own first genome grows it."""
    return grow_form(lone_seed(), [field], size)


def bends(genome: neat.DefaultGenome) -> bool:
    """Whether a genome looks anywhere else than at the point that it is asked of."""
    ends = range(len(OUTPUTS))[_BENDS]
    return any(gene.enabled and key[1] in ends for key, gene in genome.connections.items()) or any(
        genome.nodes[end].bias for end in ends
    )


def _compile(
    genomes: Sequence[neat.DefaultGenome], fields: Sequence[Field], device: torch.device | str
) -> Program:
    return compile_genomes(genomes, inputs=len(input_names(len(fields))), outputs=len(OUTPUTS), device=device)
