"""A voxel volume and its plane-sweep renderer, the same on a CPU and a GPU, with nothing to compile.

Axes are right-handed: x right, y up, z towards the camera at azimuth 0. Arrays run z, y, x. The camera goes round the
y axis: azimuth 90 deg stands on +x, a positive elevation above, and it always looks at the origin. A volume fills a
box of the world, its outermost samples on the faces of the box; what lies outside is empty.

A ray is sampled where it meets the planes of the volume along the axis that the camera looks along most, and each
plane is read by a bilinear lookup. For a density `sigma`, a colour `c` and the way `d_i` of the ray from plane to plane

    a_i = 1 - exp(-sigma_i d_i),   T_i = prod_{j<i} (1 - a_j),   image = sum_i T_i a_i c_i,   alpha = sum_i T_i a_i

(N. Max, "Optical models for direct volume rendering", 1995). Belongs here: volume, camera, rendering, upsampling,
cropping. What a volume should look like does not. Torch kernel: import this module inside functions only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

DENSITY_SCALE = 12.0
EMPTY = -30.0
DENSEST, THINNEST = 2.5, -7.0
"""Density of matter and of air, before its activation, in a volume that is made of a surface."""
Bounds = tuple[tuple[float, float, float], tuple[float, float, float]]
UNIT_BOUNDS: Bounds = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Volume:
    """Density and colour on a grid, before their activations.

    Args:
        density: float, shape (D, H, W) along z, y, x; any value. `softplus` times `DENSITY_SCALE` is the density per
            unit length; at `EMPTY` it is nothing at all.
        colour: float, shape (3, D, H, W); any value. Its sigmoid is sRGB, 0 to 1.
        bounds: Lowest and highest corner of the box, each as x, y, z.
    """

    density: torch.Tensor
    colour: torch.Tensor
    bounds: Bounds = UNIT_BOUNDS

    @property
    def steps(self) -> tuple[float, float, float]:
        """Distance between neighbouring samples along x, y and z."""
        low, high = self.bounds
        counts = self.density.shape[::-1]
        return tuple((high[i] - low[i]) / (counts[i] - 1) for i in range(3))  # type: ignore[return-value]

    def cell_alpha(self) -> torch.Tensor:
        """Opacity of each sample over one step: float, shape (D, H, W), 0 to 1."""
        return 1 - torch.exp(-F.softplus(self.density) * DENSITY_SCALE * min(self.steps))

    def rgb(self) -> torch.Tensor:
        """Colour of each sample: sRGB float, shape (3, D, H, W), 0 to 1."""
        return torch.sigmoid(self.colour)


def density_across(cells: torch.Tensor) -> torch.Tensor:
    """Density before its activation of samples that lie so many cells inside a surface, any shape; even beyond one."""
    return cells.clamp(-1, 1) * (DENSEST - THINNEST) / 2 + (DENSEST + THINNEST) / 2


@dataclass(frozen=True)
class Camera:
    """A camera on an orbit.

    Args:
        azimuth_deg: 0 on +z, 90 on +x.
        elevation_deg: Above the horizon, -90 to 90, both ends excluded.
        radius: Distance from the origin, in world units.
        fov_deg: Angle of view, the same upwards and sideways.
    """

    azimuth_deg: float
    elevation_deg: float
    radius: float = 3.6
    fov_deg: float = 36.0


@dataclass(frozen=True)
class View:
    """One rendered view.

    Args:
        rgb: float, shape (3, H, W), 0 to 1, already multiplied by alpha: the picture on black.
        alpha: float, shape (H, W), 0 to 1.
        depth: float, shape (H, W): mean distance from the camera where matter is met, times alpha.
    """

    rgb: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor

    def over(self, ground: torch.Tensor) -> torch.Tensor:
        """The view on a ground of that sRGB colour, shape (3,) or (3, H, W): float, shape (3, H, W)."""
        ground = ground[:, None, None] if ground.ndim == 1 else ground
        return self.rgb + (1 - self.alpha) * ground


def rays(
    camera: Camera, size_px: int, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rays through the centres of the pixels of a square picture, row 0 at the top.

    Returns:
        The camera's place, float32, shape (3,), and unit directions, float32, shape (size_px, size_px, 3).
    """
    azimuth, elevation = math.radians(camera.azimuth_deg), math.radians(camera.elevation_deg)
    outward = torch.tensor(
        [
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        ],
        device=device,
    )
    right = torch.tensor([math.cos(azimuth), 0.0, -math.sin(azimuth)], device=device)
    up = torch.linalg.cross(outward, right)
    half = math.tan(math.radians(camera.fov_deg) / 2)
    place = ((torch.arange(size_px, device=device) + 0.5) / size_px * 2 - 1) * half
    directions = -outward + place[None, :, None] * right - place[:, None, None] * up
    return outward * camera.radius, F.normalize(directions, dim=-1)


def render(volume: Volume, camera: Camera, size_px: int, *, blend_deg: float = 0.0) -> View:
    """Render one square view; differentiable in the volume.

    Args:
        volume: What is seen.
        camera: From where; it must stand outside the volume's box.
        size_px: Side of the picture.
        blend_deg: Where the looking direction is nearer than this to changing the swept axis, the sweeps along both
            are mixed, so that a turntable does not jump there.
    """
    origin, directions = rays(camera, size_px, volume.density.device)
    shares = axis_shares(-origin / camera.radius, blend_deg)
    sweeps = [(share, _sweep(volume, origin, directions, axis)) for axis, share in shares]
    if len(sweeps) == 1:
        return sweeps[0][1]
    return View(
        *(sum(share * getattr(view, name) for share, view in sweeps) for name in ("rgb", "alpha", "depth"))
    )


def axis_shares(forward: torch.Tensor, blend_deg: float) -> list[tuple[int, float]]:
    """The axes to sweep, each with its share of the picture.

    Args:
        forward: Where the camera looks, a unit vector, shape (3,).
        blend_deg: Nearer than this to changing the axis, two are mixed.
    """
    strengths, axes = forward.abs().sort(descending=True)
    gap_deg = math.degrees(math.atan2(float(strengths[0]), float(strengths[1]))) - 45
    if gap_deg >= blend_deg:
        return [(int(axes[0]), 1.0)]
    share = 0.5 + 0.5 * gap_deg / blend_deg
    return [(int(axes[0]), share), (int(axes[1]), 1 - share)]


def _sweep(volume: Volume, origin: torch.Tensor, directions: torch.Tensor, axis: int) -> View:
    """Render by planes across one axis (0 x, 1 y, 2 z), front to back."""
    low, high = (torch.tensor(corner, device=origin.device) for corner in volume.bounds)
    fields = torch.cat([volume.density[None], volume.colour])
    planes = fields.movedim(3 - axis, 0)
    along = torch.linspace(float(low[axis]), float(high[axis]), planes.shape[0], device=origin.device)
    if float(origin[axis]) > 0:
        planes, along = planes.flip(0), along.flip(0)
    distance = (along[:, None, None] - origin[axis]) / directions[..., axis]
    across = [other for other in (0, 1, 2) if other != axis]
    places = [
        2 * (origin[i] + distance * directions[..., i] - low[i]) / (high[i] - low[i]) - 1 for i in across
    ]
    grid = torch.stack(places, -1)
    values = F.grid_sample(planes, grid, align_corners=True, padding_mode="zeros")
    is_inside = (grid.abs() <= 1).all(-1)
    step = volume.steps[axis] / directions[..., axis].abs()
    opacity = 1 - torch.exp(-F.softplus(values[:, 0]) * DENSITY_SCALE * step * is_inside)
    passed = torch.cumprod(torch.cat([torch.ones_like(opacity[:1]), 1 - opacity + 1e-7]), 0)[:-1]
    weights = opacity * passed
    rgb = (weights[:, None] * torch.sigmoid(values[:, 1:])).sum(0)
    return View(rgb, weights.sum(0), (weights * distance).sum(0))


def upsample(volume: Volume, grid_size: tuple[int, int, int]) -> Volume:
    """The same field on another grid of (D, H, W) samples, by trilinear interpolation, faces on faces."""
    fields = torch.cat([volume.density[None], volume.colour])[None]
    finer = F.interpolate(fields, grid_size, mode="trilinear", align_corners=True)[0]
    return Volume(finer[0].contiguous(), finer[1:].contiguous(), volume.bounds)


def crop(volume: Volume, *, least_alpha: float = 1e-3, margin: int = 1) -> Volume:
    """The smallest box of a volume that holds every sample whose opacity over a step is above `least_alpha`.

    A volume with no such sample comes back whole.
    """
    is_full = volume.cell_alpha() > least_alpha
    if not bool(is_full.any()):
        return volume
    spans = []
    for axis in range(3):
        filled = is_full.any(dim=[other for other in range(3) if other != axis]).nonzero()[:, 0]
        first = max(int(filled[0]) - margin, 0)
        spans.append((first, min(int(filled[-1]) + margin + 1, is_full.shape[axis])))
    low, steps = volume.bounds[0], volume.steps
    corners = [tuple(low[i] + (spans[2 - i][end] - end) * steps[i] for i in range(3)) for end in (0, 1)]
    window = tuple(slice(first, last) for first, last in spans)
    return Volume(volume.density[window], volume.colour[(slice(None), *window)], (corners[0], corners[1]))  # type: ignore[arg-type]
