"""Upright blades: grass, moss stalks and dry straw as rows of cards that face the camera.

Each row is an upright plane across the view; a blade is a leaning wedge within its cell of the row. Cheap,
and seen from the side far more like grass than any painted floor. Torch kernel module.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fungal_assets.pocket.fungarium.palette import rgb
from fungal_assets.pocket.fungarium.scene import Scene


@dataclass(frozen=True)
class Blades:
    """How blades grow: height and cell width in fruiting-body heights, share of cells that bear one, colours."""

    height: float
    cell: float
    share: float
    dark: tuple[float, float, float]
    light: tuple[float, float, float]


BLADES: dict[str, Blades] = {
    "field": Blades(0.34, 0.036, 0.95, (38, 58, 20), (150, 178, 74)),
    "moss": Blades(0.1, 0.022, 0.8, (48, 66, 24), (160, 176, 74)),
    "sand": Blades(0.34, 0.034, 0.05, (120, 116, 66), (196, 184, 118)),
    "snow": Blades(0.32, 0.034, 0.035, (128, 104, 72), (190, 166, 120)),
}
_ROWS = (
    4.5,
    3.2,
    2.3,
    1.7,
    1.25,
    0.9,
    0.6,
    0.35,
    0.12,
    -0.12,
    -0.35,
    -0.6,
)  # in scene radii behind the centre


def _chance(cells: torch.Tensor, salt: float) -> torch.Tensor:
    return torch.frac(torch.sin(cells * 12.9898 + salt * 78.233) * 4375.85453).abs()


def _row(
    blades: Blades, across: torch.Tensor, up: torch.Tensor, *, salt: float, tall: float, width: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns cover and tone, each (N,), of one row at places `across` and `up`; `width` is a pixel's there."""
    cover, tone = torch.zeros_like(up), torch.zeros_like(up)
    for half in (0.0, 0.5):
        cell = torch.floor(across / blades.cell + half)
        high = (
            tall
            * (0.35 + 0.65 * _chance(cell, salt + half))
            * (_chance(cell, salt + half + 3) < blades.share)
        )
        rise = (up / high.clamp_min(1e-3)).clamp(0, 1)
        lean = (_chance(cell, salt + half + 7) - 0.5) * 1.7
        middle = (cell + 0.5 - half + lean * rise**1.6) * blades.cell
        thick = 0.3 * blades.cell * (1 - rise)
        inside = ((thick - (across - middle).abs()) / width + 0.5).clamp(0, 1) * ((up > -0.02) & (up < high))
        over = inside > cover
        tone = torch.where(over, (0.15 + 0.7 * rise) * (0.7 + 0.5 * _chance(cell, salt + half + 11)), tone)
        cover = torch.maximum(cover, inside)
    return cover, tone


def draw_blades(
    scene: Scene,
    rays: torch.Tensor,
    depth: torch.Tensor,
    light: torch.Tensor,
    cover: torch.Tensor,
    *,
    cone: float,
) -> None:
    """Draws the blades of the scene's habitat over `light` (N, 3) and takes them off `cover` (N,), in place.

    Args:
        scene: the scene.
        rays: unit directions, (N, 3).
        depth: what each ray met, (N,); blades behind it stay hidden.
        light: linear light so far.
        cover: share of the fungus in each ray.
        cone: width of a pixel at unit depth.
    """
    blades, floor = BLADES.get(scene.traits.habitat), scene.substrate.ground_y
    steep = abs(scene.traits.elevation_deg)
    if blades is None or floor is None or scene.camera.eye[1] < floor + 0.03 or steep > 48:
        return
    right = scene.camera.axes[0]
    forward = torch.linalg.cross(right.new_tensor([0.0, 1.0, 0.0]), right)
    dark, pale = rgb(*blades.dark).to(light.device), rgb(*blades.light).to(light.device)
    middle = scene.center.clone()
    middle[1] = floor
    most = blades.height * min(
        1.0, max(0.3, 2.0 * float(scene.center[1] - floor) / 0.9)
    )  # low fungi stay in sight
    for number, row in enumerate(_ROWS):
        start = (middle + forward * (row * scene.radius) - scene.camera.eye) @ forward
        t = start / (rays @ forward).clamp_min(1e-4)
        tall = most * (0.45 if row < 0 else 0.75 if row < 0.5 else 1.0)
        up = scene.camera.eye[1] + rays[:, 1] * t - floor
        index = ((up > -0.02) & (up < tall) & (t > 0) & (t < depth)).nonzero()[:, 0]
        if len(index) == 0:
            continue
        t = t[index]
        across = (scene.camera.eye + rays[index] * t[:, None]) @ right
        salt = scene.traits.seed % 89 + number * 1.37
        share, tone = _row(
            blades, across, up[index], salt=salt, tall=tall, width=cone * t + 0.004 * max(0.0, row)
        )
        share = share * (1 - max(0.0, (steep - 30) / 18)) * (1.0 if row < 1 else 0.85)
        color = (dark + (pale - dark) * tone[:, None].clamp(0, 1.2)) * 1.05
        light[index] += (color - light[index]) * share[:, None]
        cover[index] *= 1 - share
