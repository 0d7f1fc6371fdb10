"""Light on a growing form, so that a shape can't be painted on a flat or lumpy one.

A volume's colours hold their own light and shade, and a guide may be content with a picture on a plain body. Shown
under a lamp that moves, now and then without its colours, only a body of the right shape looks right (B. Poole et al.,
"DreamFusion", 2022). Normals are the gradient of the smoothed opacity,

    n = - grad a / |grad a|,    light = ambient + (1 - ambient) max(0, n . l)

Belongs here: normals, lamps and volumes under them. When they are lit does not. Torch kernel.
"""

from __future__ import annotations

import math

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.forms.volume import Camera, Volume

_LEAST, _MOST = 0.004, 0.996


def normals(volume: Volume) -> torch.Tensor:
    """Unit vectors out of the body along x, y, z: float, shape (3, D, H, W); 0 where nothing changes.

    Differentiable in the density.
    """
    smooth = F.avg_pool3d(volume.cell_alpha()[None, None], 3, stride=1, padding=1, count_include_pad=False)
    padded = F.pad(smooth, (1, 1, 1, 1, 1, 1), mode="replicate")[0, 0]
    inner = slice(1, -1)
    x, y, z = volume.steps
    slopes = [
        (padded[inner, inner, 2:] - padded[inner, inner, :-2]) / x,
        (padded[inner, 2:, inner] - padded[inner, :-2, inner]) / y,
        (padded[2:, inner, inner] - padded[:-2, inner, inner]) / z,
    ]
    return F.normalize(-torch.stack(slopes), dim=0, eps=1e-6)


def lamp(camera: Camera, generator: torch.Generator) -> torch.Tensor:
    """Where the light comes from, a unit vector, shape (3,): behind the camera, and off it by chance."""
    azimuth, elevation = math.radians(camera.azimuth_deg), math.radians(camera.elevation_deg)
    level = math.cos(elevation)
    behind = torch.tensor([math.sin(azimuth) * level, math.sin(elevation), math.cos(azimuth) * level])
    return F.normalize(behind + 0.6 * torch.randn(3, generator=generator), dim=0)


def lit(volume: Volume, light: torch.Tensor, *, ambient: float, is_textureless: bool = False) -> Volume:
    """The volume under a lamp.

    Args:
        volume: Whose colours are lit.
        light: Unit vector to the lamp, shape (3,).
        ambient: Light that is everywhere, 0 to 1; the lamp adds the rest.
        is_textureless: Whether it is white all over instead of its colours.
    """
    toward = torch.einsum("c,cdhw->dhw", light.to(volume.density.device), normals(volume)).clamp(min=0)
    shine = ambient + (1 - ambient) * toward
    rgb = shine.expand(3, -1, -1, -1) if is_textureless else volume.rgb() * shine
    return Volume(volume.density, _to_colour(rgb), volume.bounds)


def mapped(volume: Volume) -> Volume:
    """The volume in the colours of its normals, each axis from -1 to 1 as 0 to 1."""
    return Volume(volume.density, _to_colour((normals(volume) + 1) / 2), volume.bounds)


def _to_colour(rgb: torch.Tensor) -> torch.Tensor:
    return torch.logit(rgb.clamp(_LEAST, _MOST))
