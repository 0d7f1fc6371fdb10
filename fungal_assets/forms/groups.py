"""A species as it stands: a cluster of individuals of different ages, all from one volume.

An individual is the grown form changed in a fixed order. With the form's height as the unit, y from 0 at the foot to 1:

    1. it widens towards the top:    (x, z) *= 1 + (spread - 1) y^2 (3 - 2 y)
    2. it turns about the y axis by `turn_deg`, from +z towards +x
    3. it bends, upright again at the top:    (x, z) += lean (2 y - y^2) (sin lean_deg, cos lean_deg)
    4. it is made `scale` times as large, and stands at (x, z)

The young are small and narrow, the old wide; those at the rim lean outwards, as crowded stems do, and carry their caps
level. Each stands as near to the middle as its neighbours let it. Placements are plain numbers that a game can read;
`compose` makes one volume of them. Belongs here: placing and composing. Pictures do not. Torch kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.forms.volume import EMPTY, Volume, crop

LEVELS = 32
_TRIES = 400
_CLOSENESS = 0.97
_MATTER = 0.3


@dataclass(frozen=True)
class Placement:
    """One individual. Lengths are in heights of the form as grown, angles in degrees, azimuth 0 on +z and 90 on +x.

    Args:
        x, z: Where its foot stands on the ground.
        turn_deg: Turn about its own axis.
        scale: Size.
        spread: Width at the top, 1 as grown.
        lean: How far its top stands off its foot, in its own height.
        lean_deg: Whither.
        age: 0 newly come up, 1 old.
    """

    x: float
    z: float
    turn_deg: float
    scale: float
    spread: float
    lean: float
    lean_deg: float
    age: float


@dataclass(frozen=True)
class Body:
    """A form standing at the origin, one unit high.

    Args:
        volume: Cropped, its foot's middle at the origin. Its density stays that of a world unit.
        profile: float64, shape (LEVELS,): its reach from the axis at even heights from foot to top.
        height: Its height before, in world units.
    """

    volume: Volume
    profile: np.ndarray
    height: float


def stand(volume: Volume) -> Body:
    """A form moved to the origin and made one unit high; of an empty one its box."""
    small = crop(volume)
    low, steps = np.array(small.bounds[0]), np.array(small.steps)
    alpha = small.cell_alpha().numpy()
    z, y, x = np.nonzero(alpha >= min(_MATTER, alpha.max() / 2))
    places = low + np.stack([x, y, z], 1) * steps
    bottom, top = places[:, 1].min(), places[:, 1].max() + 1e-6
    height = float(top - bottom)
    foot = places[places[:, 1] <= bottom + 0.12 * height].mean(0)
    origin = np.array([foot[0], bottom, foot[2]])
    bounds = tuple(tuple(((np.array(corner) - origin) / height).tolist()) for corner in small.bounds)
    level = ((places[:, 1] - bottom) / height * (LEVELS - 1)).round().astype(int)
    profile = np.zeros(LEVELS)
    np.maximum.at(profile, level, np.hypot(places[:, 0] - foot[0], places[:, 2] - foot[2]) / height)
    profile = np.maximum(profile, np.maximum(np.append(profile[1:], 0), np.append(0, profile[:-1])) * 0.9)
    return Body(Volume(small.density, small.colour, bounds), profile, height)  # type: ignore[arg-type]


def place_group(body: Body, *, individuals: int, seed: int | Sequence[int]) -> list[Placement]:
    """Where the individuals of a cluster stand, and how each has grown; the eldest first.

    Args:
        body: The form.
        individuals: How many.
        seed: The same gives the same.
    """
    rng = np.random.default_rng(seed)
    placed: list[Placement] = []
    for age in _draw_ages(individuals, rng):
        candidates = [_draw(age, body, placed, rng) for _ in range(_TRIES if placed else 1)]
        candidates.sort(key=lambda each: math.hypot(each.x, each.z))
        placed.append(next((each for each in candidates if _is_free(each, placed, body)), candidates[-1]))
    return placed


def as_json(placements: Sequence[Placement]) -> list[dict[str, Any]]:
    """Placements as plain numbers, rounded to what can be seen."""
    return [{name: round(value, 4) for name, value in asdict(each).items()} for each in placements]


def move(points: torch.Tensor, placement: Placement) -> torch.Tensor:
    """Where points of the form stand in the group: float, shape (N, 3).

    Args:
        points: float, shape (N, 3), as x, y, z of a form one unit high.
        placement: Of the individual.
    """
    x, y, z = points.unbind(-1)
    height = y.clamp(0, 1)
    wide = 1 + (placement.spread - 1) * height**2 * (3 - 2 * height)
    turn = math.radians(placement.turn_deg)
    x, z = wide * x, wide * z
    x, z = x * math.cos(turn) + z * math.sin(turn), z * math.cos(turn) - x * math.sin(turn)
    bend = placement.lean * (2 * height - height**2)
    x = x + bend * math.sin(math.radians(placement.lean_deg))
    z = z + bend * math.cos(math.radians(placement.lean_deg))
    return torch.stack(
        [placement.scale * x + placement.x, placement.scale * y, placement.scale * z + placement.z], -1
    )


def move_back(points: torch.Tensor, placement: Placement) -> torch.Tensor:
    """The inverse of `move`: float, shape (..., 3)."""
    x, y, z = points.unbind(-1)
    x, y, z = (x - placement.x) / placement.scale, y / placement.scale, (z - placement.z) / placement.scale
    height = y.clamp(0, 1)
    bend = placement.lean * (2 * height - height**2)
    x = x - bend * math.sin(math.radians(placement.lean_deg))
    z = z - bend * math.cos(math.radians(placement.lean_deg))
    turn = math.radians(placement.turn_deg)
    x, z = x * math.cos(turn) - z * math.sin(turn), z * math.cos(turn) + x * math.sin(turn)
    wide = 1 + (placement.spread - 1) * height**2 * (3 - 2 * height)
    return torch.stack([x / wide, y, z / wide], -1)


@torch.inference_mode()
def compose(body: Body, placements: Sequence[Placement], *, finer: float = 1.5) -> Volume:
    """One volume of all individuals, in the form's own world units, its ground at y = 0.

    Args:
        body: The form.
        placements: Its individuals.
        finer: Samples for one of the form's own.
    """
    step = min(body.volume.steps) / finer
    boxes = [_box(body, each) for each in placements]
    low = torch.stack([box[0] for box in boxes]).amin(0) - 2 * step
    counts = [
        int(span / step) + 3
        for span in (torch.stack([box[1] for box in boxes]).amax(0) - low + step).tolist()
    ]
    fields = torch.full((4, *counts[::-1]), EMPTY)
    own = torch.cat([body.volume.density[None], body.volume.colour])[None]
    corner, reach = (torch.tensor(end) for end in body.volume.bounds)
    for placement, box in zip(placements, boxes, strict=True):
        first = ((box[0] - low) / step).floor().int().tolist()
        last = [min(int(end) + 2, counts[i]) for i, end in enumerate(((box[1] - low) / step).ceil().tolist())]
        lines = [low[i] + step * torch.arange(first[i], last[i]) for i in range(3)]
        z, y, x = torch.meshgrid(lines[2], lines[1], lines[0], indexing="ij")
        inside = 2 * (move_back(torch.stack([x, y, z], -1), placement) - corner) / (reach - corner) - 1
        found = F.grid_sample(own, inside[None], align_corners=True, padding_mode="border")[0]
        thick = _thicken(found[0], placement.scale)
        found[0] = torch.where((inside.abs() <= 1).all(-1), thick, EMPTY)
        window = (slice(None), *(slice(first[i], last[i]) for i in (2, 1, 0)))
        there = fields[window]
        fields[window] = torch.where(found[:1] > there[:1], found, there)
    low, high = low * body.height, (low + step * (torch.tensor(counts) - 1)) * body.height
    return Volume(fields[0], fields[1:], (tuple(low.tolist()), tuple(high.tolist())))  # type: ignore[arg-type]


def _thicken(density: torch.Tensor, scale: float) -> torch.Tensor:
    """A density before its activation, made as opaque in a body of that scale as it was at full size."""
    return torch.log(torch.expm1((F.softplus(density) / scale).clamp(max=60)))


def _draw_ages(individuals: int, rng: np.random.Generator) -> list[float]:
    """Ages from 1 down: one old, most grown, some buds."""
    even = np.linspace(1, 0, individuals) if individuals > 1 else np.ones(1)
    ages = np.clip(even**0.8 + rng.normal(0, 0.06, individuals), 0.02, 1)
    return sorted(ages.tolist(), reverse=True)


def _draw(age: float, body: Body, placed: Sequence[Placement], rng: np.random.Generator) -> Placement:
    """An individual of that age somewhere."""
    widest = 2 * float(body.profile.max())
    away = 0.0 if not placed else widest * math.sqrt(len(placed) + 1) * float(rng.random())
    azimuth_deg = float(rng.uniform(0, 360))
    scale = (0.3 + 0.7 * age) * float(rng.uniform(0.92, 1.08))
    crowd = min(1.0, away / widest) if placed else 0.2
    return Placement(
        x=away * math.sin(math.radians(azimuth_deg)),
        z=away * math.cos(math.radians(azimuth_deg)),
        turn_deg=float(rng.uniform(0, 360)),
        scale=scale,
        spread=0.72 + 0.34 * age + float(rng.uniform(-0.04, 0.04)),
        lean=crowd * float(rng.uniform(0.08, 0.34)),
        lean_deg=(azimuth_deg + float(rng.normal(0, 25))) % 360,
        age=age,
    )


def _is_free(candidate: Placement, placed: Sequence[Placement], body: Body) -> bool:
    """Whether it touches none of those that stand already, at any height."""
    heights = np.linspace(0, 1.2, LEVELS)
    axis, reach = _outline(candidate, heights, body)
    for other in placed:
        place, wide = _outline(other, heights, body)
        apart = np.hypot(*(axis - place))
        if ((apart < _CLOSENESS * (reach + wide)) & (reach > 0) & (wide > 0)).any():
            return False
    return True


def _outline(placement: Placement, heights: np.ndarray, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """The axis, shape (2, N), and the reach, shape (N,), of an individual at some heights; 0 above its top."""
    own = heights / placement.scale
    level = own.clip(0, 1)
    bend = placement.scale * placement.lean * (2 * level - level**2)
    azimuth = math.radians(placement.lean_deg)
    axis = np.stack([placement.x + bend * math.sin(azimuth), placement.z + bend * math.cos(azimuth)])
    wide = 1 + (placement.spread - 1) * level**2 * (3 - 2 * level)
    reach = placement.scale * wide * np.interp(level, np.linspace(0, 1, LEVELS), body.profile)
    return axis, np.where(own <= 1, reach, 0)


def _box(body: Body, placement: Placement) -> tuple[torch.Tensor, torch.Tensor]:
    """Corners of the box that an individual takes, in heights of the form."""
    low, high = body.volume.bounds
    lines = [torch.linspace(low[i], high[i], 9) for i in range(3)]
    points = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)
    moved = move(points, placement)
    return moved.amin(0), moved.amax(0)
