"""Final renders: the picture of `volume.render`, by looking only where something is.

A form fills a small part of its box, and is opaque. So the planes of a sweep are taken in slabs, front to back; in each
slab only those rays are followed that pass the box of what is in it and have not yet met something opaque. Nothing is
differentiated. Cameras here may also be shifted sideways, their picture sheared back, as an autostereoscopic display
needs them. Belongs here: rays of such cameras, and the sparse sweep. Torch kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.forms.volume import DENSITY_SCALE, Volume, axis_shares, crop, upsample

BLEND_DEG = 5.0
_SLAB = 8
_LEAST_PASSED = 1 / 512
_LEAST_SIGMA = 1e-3
_SEEN_ALPHA = 0.02
_MARGIN = 1.1
_FAR = 5.0


@dataclass(frozen=True)
class Lens:
    """A camera that looks at the origin through a window there, and may stand beside the window's axis.

    Args:
        azimuth_deg: 0 on +z, 90 on +x.
        elevation_deg: Above the horizon, -90 to 90, both ends excluded.
        distance: From the origin to the window's axis foot, in world units.
        half_height: Half the height of the window through the origin that the picture shows, in world units.
        aspect: Width of the window over its height.
        shift: How far it stands to the right of the axis, in world units. It goes on looking along the axis, and its
            picture is sheared so that what lies in the window stays in place: parallel cameras, no toe-in.
    """

    azimuth_deg: float
    elevation_deg: float
    distance: float = 3.6
    half_height: float = 1.0
    aspect: float = 1.0
    shift: float = 0.0

    def basis(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Unit vectors to the right, upwards and out of the window towards the viewer: float32, shape (3,) each."""
        azimuth, elevation = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        outward = torch.tensor(
            [
                math.sin(azimuth) * math.cos(elevation),
                math.sin(elevation),
                math.cos(azimuth) * math.cos(elevation),
            ]
        )
        right = torch.tensor([math.cos(azimuth), 0.0, -math.sin(azimuth)])
        return right, torch.linalg.cross(outward, right), outward

    def rays(self, width_px: int, height_px: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the camera stands, float32, shape (3,), and unit directions, float32, (height_px, width_px, 3)."""
        right, up, outward = self.basis()
        origin = self.distance * outward + self.shift * right
        across = ((torch.arange(width_px) + 0.5) / width_px * 2 - 1) * self.half_height * self.aspect
        down = ((torch.arange(height_px) + 0.5) / height_px * 2 - 1) * self.half_height
        aims = across[None, :, None] * right - down[:, None, None] * up
        return origin, F.normalize(aims - origin, dim=-1)

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """Where points are seen: float, shape (N, 2), right and up, -1 to 1 within the picture.

        Args:
            points: float, shape (N, 3), in world units, before the camera.
        """
        right, up, outward = self.basis()
        towards = self.distance / (self.distance - points @ outward)
        across = self.shift + (points @ right - self.shift) * towards
        return torch.stack(
            [across / (self.half_height * self.aspect), points @ up * towards / self.half_height], -1
        )


@dataclass(frozen=True)
class _Slab:
    """Some neighbouring planes and the box of what is in them.

    Args:
        fields: float32, shape (K, 4, A, B): density and colour, before activation.
        along: float32, shape (K,): where the planes cross the swept axis.
        bounds: Lowest and highest corner of the planes, across the two other axes, float32, shape (2,) each.
        low, high: The same of the box of what is there.
    """

    fields: torch.Tensor
    along: torch.Tensor
    bounds: tuple[torch.Tensor, torch.Tensor]
    low: torch.Tensor
    high: torch.Tensor

    def reversed(self) -> _Slab:
        """The slab seen from its other side."""
        return replace(self, fields=self.fields.flip(0), along=self.along.flip(0))

    def pass_through(self, places: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What rays gather on their way, and what of them passes.

        Args:
            places: float32, shape (2, K, N): where each meets the planes.
            lengths: float32, shape (N,): the way of each from plane to plane, times the density's scale.

        Returns:
            Colour times opacity, shape (3, N), and what passes, shape (N,), 0 to 1.
        """
        low, high = (corner[:, None, None] for corner in self.bounds)
        grid = (2 * (places - low) / (high - low) - 1).movedim(0, -1)
        values = F.grid_sample(self.fields, grid[:, None], align_corners=True, padding_mode="zeros")[:, :, 0]
        is_inside = (grid.abs() <= 1).all(-1)
        passed = torch.exp(-(F.softplus(values[:, 0]) * lengths * is_inside).cumsum(0))
        weights = torch.cat([torch.ones_like(passed[:1]), passed[:-1]]) - passed
        return (weights[:, None] * torch.sigmoid(values[:, 1:])).sum(0), passed[-1]


class Caster:
    """A volume made ready to be seen from many places.

    Args:
        volume: What is seen.
        finer: How many times as fine its grid is made before.
    """

    def __init__(self, volume: Volume, *, finer: int = 2):
        sizes = tuple(finer * (count - 1) + 1 for count in volume.density.shape)
        self._volume = upsample(volume, sizes) if finer > 1 else volume  # type: ignore[arg-type]
        self._slabs: dict[tuple[int, bool], list[_Slab]] = {}

    @torch.inference_mode()
    def look(self, lens: Lens, width_px: int, height_px: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One view.

        Returns:
            rgb, float32, shape (3, H, W), 0 to 1, already multiplied by alpha, and alpha, float32, shape (H, W).
        """
        origin, directions = lens.rays(width_px, height_px)
        flat = directions.reshape(-1, 3).T.contiguous()
        picture = torch.zeros(4, flat.shape[1])
        for axis, share in axis_shares(-lens.basis()[2], BLEND_DEG):
            picture += share * self._sweep(origin, flat, axis)
        shaped = picture.view(4, height_px, width_px)
        return shaped[:3], shaped[3]

    def _sweep(self, origin: torch.Tensor, directions: torch.Tensor, axis: int) -> torch.Tensor:
        """Colour and alpha of all rays, float32, shape (4, N), by the planes across one axis."""
        across = [other for other in (0, 1, 2) if other != axis]
        slopes = directions[across] / directions[axis]
        lengths = self._volume.steps[axis] * DENSITY_SCALE / directions[axis].abs()
        begin, rgb, passed = origin[across][:, None], torch.zeros_like(directions), torch.ones_like(lengths)
        for slab in self._slabs_before(float(origin[axis]), axis):
            near, far = (begin + slopes * (slab.along[end] - origin[axis]) for end in (0, -1))
            is_met = (torch.maximum(near, far) >= slab.low[:, None]).all(0)
            is_met &= (torch.minimum(near, far) <= slab.high[:, None]).all(0)
            rays = (is_met & (passed > _LEAST_PASSED)).nonzero()[:, 0]
            if not len(rays):
                continue
            places = begin[:, None] + slopes[:, None, rays] * (slab.along - origin[axis])[:, None]
            colour, kept = slab.pass_through(places, lengths[rays])
            rgb[:, rays] += passed[rays] * colour
            passed[rays] *= kept
        return torch.cat([rgb, 1 - passed[None]])

    def _slabs_before(self, place: float, axis: int) -> list[_Slab]:
        """All slabs that hold anything, the nearest to a camera at that place on the axis first; made once."""
        side = axis, place > 0
        if side not in self._slabs:
            slabs = list(self._cut(axis))
            self._slabs[side] = [slab.reversed() for slab in reversed(slabs)] if place > 0 else slabs
        return self._slabs[side]

    def _cut(self, axis: int) -> Iterator[_Slab]:
        volume, others = self._volume, [other for other in (0, 1, 2) if other != axis]
        planes = torch.cat([volume.density[None], volume.colour]).movedim(3 - axis, 0).contiguous()
        along = torch.linspace(volume.bounds[0][axis], volume.bounds[1][axis], planes.shape[0])
        low, high = (torch.tensor([corner[i] for i in others]) for corner in volume.bounds)
        steps = torch.tensor([volume.steps[i] for i in others])
        for first in range(0, planes.shape[0], _SLAB):
            window = slice(first, first + _SLAB)
            filled = (F.softplus(planes[window, 0]) > _LEAST_SIGMA).any(0).nonzero()
            if len(filled):
                box = [low + steps * end.flip(0) for end in (filled.amin(0) - 1, filled.amax(0) + 1)]
                yield _Slab(planes[window], along[window], (low, high), box[0], box[1])


def settle(volume: Volume, *, aspect: float = 1.0, elevation_deg: float = 12.0) -> tuple[Volume, Lens]:
    """A form cropped and moved to the middle, and a camera whose picture it fills from all round, in front of it.

    Args:
        volume: The form; it turns about the middle of its box.
        aspect: Width of the picture over its height.
        elevation_deg: Of the camera.
    """
    volume = _centre(crop(volume))
    points = places(volume)
    distance = _FAR * float(points.norm(dim=1).max())
    ring = [Lens(azimuth_deg, elevation_deg, distance) for azimuth_deg in range(0, 360, 15)]
    seen = torch.cat([lens.project(points) for lens in ring])
    drop = float(seen[:, 1].max() + seen[:, 1].min()) / 2 / math.cos(math.radians(elevation_deg))
    volume = _shift(volume, (0.0, -drop, 0.0))
    points = points - torch.tensor([0.0, drop, 0.0])
    wide, tall = torch.cat([lens.project(points) for lens in ring]).abs().amax(0).tolist()
    reach = _MARGIN * max(tall, wide / aspect) + max(volume.steps)
    return volume, replace(ring[0], half_height=reach, aspect=aspect)


def places(volume: Volume) -> torch.Tensor:
    """Where a volume holds anything to be seen: float32, shape (N, 3), as x, y, z; the origin if nowhere."""
    z, y, x = (volume.cell_alpha() > _SEEN_ALPHA).nonzero().T
    if not len(x):
        return torch.zeros(1, 3)
    counts = torch.stack([x, y, z], -1)
    return torch.tensor(volume.bounds[0]) + counts * torch.tensor(volume.steps)


def _centre(volume: Volume) -> Volume:
    low, high = volume.bounds
    return _shift(volume, tuple(-(low[i] + high[i]) / 2 for i in range(3)))


def _shift(volume: Volume, by: Sequence[float]) -> Volume:
    low, high = (tuple(corner[i] + by[i] for i in range(3)) for corner in volume.bounds)
    return replace(volume, bounds=(low, high))  # type: ignore[arg-type]
