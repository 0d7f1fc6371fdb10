"""Signed-distance forms: outlines turned about an axis, and bundles of tapered limbs baked into a grid.

A form answers two questions at points in its own space (y up, foot at the origin, about one unit high):
how far is the surface, and which part of the fungus is nearest. Distances are damped so that a ray may always
step by them (sphere tracing, Hart 1996). Colour and light belong elsewhere. Torch kernel module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812

from fungal_assets.pocket.fungarium.noise import solid_blend

CAP, HYMENIUM, STEM, RING, BASE = range(5)
PARTS = 5


@dataclass(frozen=True)
class Outline:
    """Half of a closed outline, from the axis at the top to the axis at the foot.

    Attributes:
        points: (radius, height) pairs in order.
        parts: the part of the fungus that each segment belongs to, one fewer than the points.
    """

    points: tuple[tuple[float, float], ...]
    parts: tuple[int, ...]


def smooth_curve(points: list[tuple[float, float]], *, steps: int = 5) -> list[tuple[float, float]]:
    """Draws a Catmull-Rom curve through (radius, height) points; the radius stays at or above 0."""
    knots = [points[0], *points, points[-1]]
    curve = []
    for p0, p1, p2, p3 in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        for step in range(steps):
            t = step / steps
            weights = (
                -0.5 * t + t * t - 0.5 * t**3,
                1 - 2.5 * t * t + 1.5 * t**3,
                0.5 * t + 2 * t * t - 1.5 * t**3,
                -0.5 * t * t + 0.5 * t**3,
            )
            x, y = (sum(w * p[i] for w, p in zip(weights, (p0, p1, p2, p3), strict=True)) for i in (0, 1))
            curve.append((max(x, 0.0), y))
    return [*curve, points[-1]]


def outline(*pieces: tuple[int, list[tuple[float, float]]], steps: int = 5) -> Outline:
    """Joins pieces of (part, points) into one outline, each piece smoothed by itself."""
    points: list[tuple[float, float]] = []
    parts: list[int] = []
    for part, knots in pieces:
        curve = smooth_curve(knots, steps=steps)
        if points:
            curve = curve if curve[0] != points[-1] else curve[1:]
            parts += [part]
        parts += [part] * (len(curve) - 1)
        points += curve
    return Outline(tuple(points), tuple(parts))


@dataclass(frozen=True)
class Relief:
    """What roughens a surface: the solid texture's channel, its cell side, height, and the parts that bear it.

    `kind`: 'warts' (raised spots), 'pits' (sunken cells between ridges), 'scales' (ragged raised flakes),
    'wrinkles' (smooth folds).
    """

    kind: str
    cell: float
    height: float
    on: tuple[int, ...] = (CAP,)
    share: float = 0.35

    def mask(self, points: torch.Tensor, offset: float) -> torch.Tensor:
        """Returns the relief's height at points (N, 3) as a share, float32 (N,), 0 to 1."""
        slope, blend = _RELIEFS[self.kind]
        value = solid_blend(points, blend, cell=self.cell, offset=offset)
        level = self.share if self.kind == "warts" else 0.0
        return ((value + level) * slope).clamp(0, 1)


# each kind of relief is a clamped blend of the channels (smooth noise, F1, F2 - F1, 1) times a slope
_RELIEFS: dict[str, tuple[float, tuple[float, float, float, float]]] = {
    "warts": (6.0, (0.12, -1.0, 0.0, -0.06)),
    "pits": (2.4, (0.0, 0.0, -1.0, 0.42)),
    "scales": (4.0, (0.7, 0.0, 1.0, -0.55)),
    "wrinkles": (1.0, (1.0, 0.0, 0.0, 0.0)),
}


@dataclass
class Form:
    """One fungus in its own space; subclasses give `_base`.

    Attributes:
        reach: radius of the sphere about `middle` that holds it.
        middle: height of that sphere's centre.
        offset: shifts its textures.
        relief: what roughens it, or None.
        gills: number of gills, 0 for none; they roughen the hymenium for the light only.
        damping: what the distance is multiplied by so that it never overshoots.
        grain: the finest length that the baked grid resolves.
    """

    reach: float
    middle: float
    offset: float
    relief: Relief | None = None
    gills: int = 0
    damping: float = 1.0
    grain: float = 0.01

    def _base(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        raise NotImplementedError

    def parts(self, points: torch.Tensor) -> torch.Tensor:
        """Returns how much each part owns each of the points (N, 3): float32, shape (5, N), sums to 1."""
        raise NotImplementedError

    def distance(self, points: torch.Tensor, *, rough: bool = True) -> torch.Tensor:
        """Returns the damped signed distance at points (N, 3), float32 (N,), negative inside.

        Args:
            points: float32, shape (N, 3), in the form's space.
            rough: False leaves the relief out and answers a lower bound.
        """
        base, bearing = self._base(points)
        if self.relief is None:
            return base * self.damping
        if not rough:
            return (base - self.relief.height) * self.damping
        height = self.relief.height * self.relief.mask(points, self.offset)
        return (base - height * (1.0 if bearing is None else bearing)) * self.damping


@dataclass
class Turned(Form):
    """An outline turned about the y axis, then bent, ruffled and lobed.

    Attributes:
        table: float32 (1, 2, rows, columns): signed distance and relief share over (height, radius).
        owners: float32 (1, 5, rows, columns): owner parts over the same grid.
        bounds: (radius_max, height_min, height_max) of the grid.
        bend: sideways drift of the axis at the top, as a share of height squared.
        shear: backward slant of what lies under `shear_from`.
        ruffle: height of the waves at the rim; `lobes`: share by which the radius swells and shrinks.
        waves: number of waves; `phase`: where they begin, radians; `rim`: radius at which waves are full.
        cut: whether what lies behind the plane z = 0 is cut away.
    """

    table: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    owners: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    bounds: tuple[float, float, float] = (1.0, 0.0, 1.0)
    bend: float = 0.0
    shear: float = 0.0
    shear_from: float = 0.0
    ruffle: float = 0.0
    lobes: float = 0.0
    waves: int = 5
    phase: float = 0.0
    rim: float = 1.0
    cut: bool = False

    def unfold(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Undoes bend, slant and waves at points (N, 3); returns radius, height, and angle, each (N,)."""
        x, y, z = points.unbind(-1)
        if self.bend:
            x = x - self.bend * y.clamp(0, 1.6) ** 2
        if self.shear:
            z = z + self.shear * (self.shear_from - y).clamp(0, 1.2)
        radius = (x * x + z * z + 1e-12).sqrt()
        angle = torch.atan2(z, x)
        if self.ruffle or self.lobes:
            u = (radius / self.rim).clamp(max=1.2)
            wave = torch.sin(self.waves * angle + self.phase)
            wave = 0.7 * wave + 0.3 * torch.sin((self.waves + 2) * angle + 2.3 * self.phase)
            y = y - self.ruffle * u * u * wave
            slow = torch.sin(2 * angle + self.phase) + 0.6 * torch.sin(3 * angle - 1.7 * self.phase)
            radius = radius * (1 + self.lobes * u * (0.6 * slow + 0.4 * wave))
        return radius, y, angle

    def _lookup(self, table: torch.Tensor, radius: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
        radius_max, low, high = self.bounds
        grid = torch.stack([radius / radius_max * 2 - 1, (height - low) / (high - low) * 2 - 1], -1)
        return F.grid_sample(table, grid.view(1, 1, -1, 2), align_corners=True, padding_mode="border")[
            0, :, 0
        ]

    def _base(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        radius, height, _ = self.unfold(points)
        radius_max, low, high = self.bounds
        distance, bearing = self._lookup(self.table, radius, height)
        aside = (radius - radius_max).clamp_min(0)
        beyond = (height - high).clamp_min(0) + (low - height).clamp_min(0)
        outside = aside * aside + beyond * beyond
        far = (outside + distance * distance).sqrt()
        total = torch.where(outside > 0, far, distance)
        return (torch.maximum(total, -points[:, 2] - 0.04) if self.cut else total), bearing

    def parts(self, points: torch.Tensor) -> torch.Tensor:
        """See `Form.parts`."""
        radius, height, _ = self.unfold(points)
        return self._lookup(self.owners, radius, height)


def bake_outline(
    shape: Outline, *, relief_on: tuple[int, ...], columns: int
) -> tuple[torch.Tensor, torch.Tensor, tuple[float, float, float]]:
    """Turns an outline into grids over (height, radius).

    Returns:
        The distance-and-relief table, the owners, and the bounds of `Turned`.
    """
    corners = torch.tensor(shape.points, dtype=torch.float32)
    margin = 0.12
    radius_max = corners[:, 0].max().item() + margin
    low, high = corners[:, 1].min().item() - margin, corners[:, 1].max().item() + margin
    rows = max(8, min(2 * columns, round(columns * (high - low) / radius_max)))
    radius = torch.linspace(0, radius_max, columns)
    height = torch.linspace(low, high, rows)
    start, along = corners[:-1], corners[1:] - corners[:-1]
    squared = (along * along).sum(-1).clamp_min(1e-12)
    owner = torch.tensor(shape.parts)
    aside = radius[:, None] - start[:, 0]  # (columns, segments); the grid is separable
    distances, owners = [], []
    for chunk in height.split(32):
        above = chunk[:, None] - start[:, 1]  # (rows, segments)
        t = (((aside * along[:, 0])[None] + (above * along[:, 1])[:, None]) / squared).clamp_(0, 1)
        gap = (aside[None] - t * along[:, 0]).square_() + (above[:, None] - t * along[:, 1]).square_()
        nearest, index = gap.min(-1)
        share = above / torch.where(along[:, 1] == 0, torch.ones_like(squared), along[:, 1])
        crosses = (above >= 0) != (above - along[:, 1] >= 0)
        crossing = torch.where(crosses, start[:, 0] + share * along[:, 0], -torch.ones_like(share))
        inside = (crossing[:, None] > radius[:, None]).sum(-1) % 2 == 1
        distances.append(torch.where(inside, -nearest.sqrt(), nearest.sqrt()).view(-1))
        owners.append(owner[index].view(-1))
    owned = F.one_hot(torch.cat(owners), PARTS).T.float().view(1, PARTS, rows, columns)
    bears = torch.zeros(PARTS)
    bears[list(relief_on)] = 1.0
    relief = (owned * bears.view(1, -1, 1, 1)).sum(1)
    relief = F.avg_pool2d(relief, 3, 1, 1, count_include_pad=False)
    table = torch.stack([torch.cat(distances).view(rows, columns), relief[0]])[None]
    return table.contiguous(), owned.contiguous(), (radius_max, low, high)


@dataclass
class Limbs(Form):
    """A bundle of tapered limbs melted together and baked into a grid.

    Attributes:
        table: float32 (1, 1 + 5, depth, rows, columns) over (z, y, x): distance, then owner parts.
        box: (half width, height_min, height_max); the grid spans x and z symmetrically.
    """

    table: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    box: tuple[float, float, float] = (1.0, 0.0, 1.0)

    def _read(self, points: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        half, low, high = self.box
        x, y, z = points.unbind(-1)
        grid = torch.stack([x / half, (y - low) / (high - low) * 2 - 1, z / half], -1)
        return F.grid_sample(table, grid.view(1, 1, 1, -1, 3), align_corners=True, padding_mode="border")[
            0, :, 0, 0
        ]

    def _base(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        half, low, high = self.box
        inside = torch.stack(
            [points[:, 0].clamp(-half, half), points[:, 1].clamp(low, high), points[:, 2].clamp(-half, half)],
            -1,
        )
        distance = self._read(points, self.table[:, :1])[0]
        outside = ((points - inside) ** 2).sum(-1)
        return torch.where(outside > 0, (outside + distance * distance).sqrt(), distance), None

    def parts(self, points: torch.Tensor) -> torch.Tensor:
        """See `Form.parts`."""
        return self._read(points, self.table[:, 1:])


def bake_limbs(
    limbs: torch.Tensor, owner: torch.Tensor, *, melt: float, cells: int
) -> tuple[torch.Tensor, tuple[float, float, float]]:
    """Bakes tapered limbs into a grid.

    Args:
        limbs: float32, shape (L, 8): start xyz, end xyz, start radius, end radius.
        owner: int64, shape (L,): the part each belongs to.
        melt: length over which limbs melt into one another, 0 for not at all.
        cells: grid cells along the widest side.

    Returns:
        The table and the box of `Limbs`.
    """
    start, end, r0, r1 = limbs[:, :3], limbs[:, 3:6], limbs[:, 6], limbs[:, 7]
    margin = 0.1
    ends = torch.cat([start, end])
    half = ends[:, [0, 2]].abs().max().item() + limbs[:, 6:].max().item() + margin
    low, high = (
        ends[:, 1].min().item() - margin - 0.05,
        ends[:, 1].max().item() + limbs[:, 6:].max().item() + margin,
    )
    step = max(2 * half, high - low) / cells
    across, rows = max(8, round(2 * half / step)), max(8, round((high - low) / step))
    axis, heights = torch.linspace(-half, half, across), torch.linspace(low, high, rows)
    points = torch.stack(torch.meshgrid(axis, heights, axis, indexing="ij"), -1).flip(-1).reshape(-1, 3)
    along = end - start
    squared = (along * along).sum(-1).clamp_min(1e-9)
    values, owners = [], []
    for chunk in points.split(2048):
        # |p - a - t d|^2 expanded, so that no (N, L, 3) tensor is made
        dot = chunk @ along.T - (start * along).sum(-1)
        t = (dot / squared).clamp(0, 1)
        away = (chunk * chunk).sum(-1, keepdim=True) - 2 * chunk @ start.T + (start * start).sum(-1)
        gap = (away - 2 * t * dot + t * t * squared).clamp_min(0).sqrt() - torch.lerp(
            r0.expand_as(t), r1.expand_as(t), t
        )
        nearest, index = gap.min(-1)
        if melt:
            nearest = nearest - melt * torch.exp((nearest[:, None] - gap) / melt).sum(-1).log()
        values.append(nearest)
        owners.append(owner[index])
    shape = (across, rows, across)
    owned = F.one_hot(torch.cat(owners), PARTS).T.float().view(PARTS, *shape)
    return torch.cat([torch.cat(values).view(1, *shape), owned])[None].contiguous(), (half, low, high)


def limbs_reach(box: tuple[float, float, float]) -> tuple[float, float]:
    """Returns (reach, middle) of a baked bundle of limbs."""
    half, low, high = box
    return math.hypot(half - 0.05, (high - low) / 2), (high + low) / 2
