"""The scene: where each fruiting body stands, what it grows on, and where the camera is.

World axes: x right, y up, z towards a camera at azimuth 0; lengths in fruiting-body heights. Right-handed.
Belongs here: placement and the camera. Paint of the ground stands in `habitats`. Torch kernel module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from fungal_assets.pocket.fungarium.bodies import build_body
from fungal_assets.pocket.fungarium.morphotypes import MORPHOTYPE_TABLE
from fungal_assets.pocket.fungarium.shapes import Form, Limbs, Turned
from fungal_assets.pocket.fungarium.skins import Skin
from fungal_assets.pocket.fungarium.traits import Traits


@dataclass(frozen=True)
class Placement:
    """Where one fruiting body stands: `turn` (3, 3) has the form's axes as columns."""

    origin: torch.Tensor
    turn: torch.Tensor
    scale: float

    def to_form(self, points: torch.Tensor) -> torch.Tensor:
        """Takes world points (N, 3) into the form's space."""
        return (points - self.origin) @ self.turn / self.scale


@dataclass(frozen=True)
class Substrate:
    """What the fungus grows on: a floor at `ground_y` (or None) and a log or trunk (`wood_axis` 'x', 'y' or None)."""

    ground_y: float | None
    wood_axis: str | None = None
    wood_center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    wood_radius: float = 1.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: `axes` (3, 3) has right, up and forward as rows; `tan_half` of the vertical view."""

    eye: torch.Tensor
    axes: torch.Tensor
    tan_half: float
    shift: tuple[float, float]

    def rays(self, pixels: torch.Tensor, *, size_px: int, supersample: int = 1) -> torch.Tensor:
        """Returns unit directions through pixels of a square frame.

        Args:
            pixels: int64, shape (N,): indices, row by row from the upper left.
            size_px: side of the frame.
            supersample: rays per pixel along each side.

        Returns:
            float32, shape (N * supersample**2, 3), the rays of one pixel after another.
        """
        inner = (torch.arange(supersample, device=self.eye.device) + 0.5) / supersample
        row, column = pixels.div(size_px, rounding_mode="floor"), pixels % size_px
        y = (row[:, None, None] + inner[:, None]).expand(-1, -1, supersample)
        x = (column[:, None, None] + inner).expand(-1, supersample, -1)
        u, v = x / size_px * 2 - 1, 1 - y / size_px * 2
        plane = torch.stack([u - 2 * self.shift[0], v - 2 * self.shift[1]], -1).reshape(-1, 2) * self.tan_half
        rays = plane @ self.axes[:2] + self.axes[2]
        return rays / rays.norm(dim=-1, keepdim=True)

    def place_in_frame(self, directions: torch.Tensor) -> torch.Tensor:
        """Returns where directions (N, 3) from the eye fall in the frame: (N, 2), right and up, -1 to 1."""
        local = directions @ self.axes.T
        return local[:, :2] / local[:, 2:] / self.tan_half + 2 * local.new_tensor(self.shift)


@dataclass(frozen=True)
class Scene:
    """Everything that the renderer traces."""

    traits: Traits
    form: Form
    skin: Skin
    placements: tuple[Placement, ...]
    substrate: Substrate
    camera: Camera
    sun: torch.Tensor
    center: torch.Tensor
    radius: float


def choose_substrate(traits: Traits) -> Substrate:
    """Chooses floor and wood for a habitat: shelf fungi always get wood except in the dark room."""
    is_shelf = MORPHOTYPE_TABLE[traits.morphotype].is_shelf
    if traits.habitat == "dark_room":
        return Substrate(None) if is_shelf else Substrate(0.0)
    if traits.habitat == "tree_trunk":
        return Substrate(-2.2, "y", (0.0, 0.0, -1.5), 1.5)
    if traits.habitat == "log":
        return (
            Substrate(-0.75, "x", (0.0, 0.0, -0.8), 0.8)
            if is_shelf
            else Substrate(-1.1, "x", (0.0, -0.75, 0.0), 0.75)
        )
    return Substrate(-0.95, "y", (0.0, 0.0, -0.75), 0.75) if is_shelf else Substrate(0.0)


def _frame(up: np.ndarray, yaw: float) -> torch.Tensor:
    up = up / np.linalg.norm(up)
    front = np.array([math.sin(yaw), 0.0, math.cos(yaw)])
    right = np.cross(up, front)
    right /= np.linalg.norm(right)
    return torch.tensor(np.stack([right, up, np.cross(right, up)], 1), dtype=torch.float32)


def _place(
    origin: tuple[float, float, float], up: tuple[float, float, float], yaw: float, scale: float
) -> Placement:
    return Placement(torch.tensor(origin, dtype=torch.float32), _frame(np.array(up), yaw), scale)


def _half_width(form: Form) -> float:
    if isinstance(form, Turned):
        return form.bounds[0] - 0.12
    return form.box[0] - 0.14 if isinstance(form, Limbs) else form.reach


def _on_wall(traits: Traits, wide: float, substrate: Substrate, rng: np.random.Generator) -> list[Placement]:
    is_shelf = MORPHOTYPE_TABLE[traits.morphotype].is_shelf
    out = []
    heights = {"bracket": 0.36, "oyster": 0.34, "jelly_ear": 0.5}.get(traits.morphotype, 0.85)
    for i in range(traits.count):
        row = (i + 1) // 2 * (1 if i % 2 else -1)
        scale = 1.0 if i == 0 else 0.55 + 0.4 * rng.random()
        x = 0.0 if i == 0 else wide * (rng.random() * 1.5 - 0.75)
        y = row * heights * (0.9 + 0.2 * rng.random())
        z = 0.0
        if substrate.wood_axis == "y":
            z = math.sqrt(max(0.1, substrate.wood_radius**2 - x * x)) - substrate.wood_radius
        elif substrate.wood_axis == "x":
            x, y = row * wide * 1.1, y * 0.45
            z = math.sqrt(max(0.1, substrate.wood_radius**2 - y * y)) - substrate.wood_radius
        yaw = (
            math.atan2(x, substrate.wood_radius) + 0.15 * rng.normal()
            if substrate.wood_axis == "y"
            else 0.1 * rng.normal()
        )
        up = (0.06 * rng.normal(), 1.0, 0.04 * rng.normal())
        back = 0.0
        if traits.morphotype == "jelly_ear":
            up = (0.5 * rng.normal() * 0.5 + 0.4 * x, 0.25 + 0.2 * rng.normal(), 1.0)
        elif traits.morphotype == "oyster":
            back = 0.36
        elif not is_shelf:
            up, yaw = (0.15 * rng.normal() + 0.5 * x, 0.85, 0.6), 0.0
        z += back * scale
        out.append(_place((x, y, z), up, yaw, scale))
    return out


def _on_floor(traits: Traits, wide: float, substrate: Substrate, rng: np.random.Generator) -> list[Placement]:
    tilt = 0.1 if traits.morphotype not in ("earthstar", "coral") else 0.03
    turn = 2 * math.pi * rng.random()
    out = []
    for i in range(traits.count):
        scale = 1.0 if i == 0 else 0.5 + 0.45 * rng.random()
        angle = turn + 2.4 * i + 0.5 * rng.random()
        gap = 0.0 if i == 0 else wide * (0.62 + 0.5 * scale) * (1.0 if i < 4 else 1.5)
        x, z = gap * math.cos(angle), gap * math.sin(angle)
        y = 0.0
        if substrate.wood_axis == "x":
            z *= 0.35
            x *= 1.15
            y = math.sqrt(substrate.wood_radius**2 - z * z) - substrate.wood_radius
        lean = (tilt * rng.normal() + 0.22 * x, 1.0, tilt * rng.normal() + 0.22 * z)
        out.append(_place((x, y, z), lean, 2 * math.pi * rng.random(), scale))
    return out


def _extent(form: Form, placements: list[Placement]) -> tuple[torch.Tensor, float]:
    wide = _half_width(form)
    if isinstance(form, Limbs):
        low, high = form.box[1] + 0.15, form.box[2] - 0.1
    else:
        low, high = form.bounds[1] + 0.12, form.bounds[2] - 0.12  # type: ignore[attr-defined]
    spots = []
    for place in placements:
        for y, side in ((low, 0.5), (high, 0.5), (0.7 * high + 0.3 * low, 1.0)):
            ring = torch.tensor(
                [[wide * side * c, y, wide * side * s] for c, s in ((1, 0), (-1, 0), (0, 1), (0, -1))]
            )
            spots.append(place.origin + (ring * place.scale) @ place.turn.T)
    cloud = torch.cat(spots)
    center = (cloud.amax(0) + cloud.amin(0)) / 2
    return center, (cloud - center).norm(dim=-1).max().item()


def _camera(traits: Traits, center: torch.Tensor, radius: float) -> Camera:
    azimuth, elevation = math.radians(traits.azimuth_deg), math.radians(traits.elevation_deg)
    away = torch.tensor(
        [
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        ]
    )
    half = math.radians(traits.fov_deg) / 2
    eye = center + away * (radius / math.sin(half) / traits.frame_fill)
    right = torch.tensor([math.cos(azimuth), 0.0, -math.sin(azimuth)])
    forward = -away
    up = torch.linalg.cross(right, forward)
    return Camera(eye, torch.stack([right, up, forward]), math.tan(half), (traits.shift_x, traits.shift_y))


def _sun(traits: Traits) -> torch.Tensor:
    azimuth = math.radians(traits.azimuth_deg + traits.sun_azimuth_deg)
    if choose_substrate(traits).wood_axis == "y":
        azimuth = max(-1.1, min(1.1, math.remainder(azimuth, 2 * math.pi)))
    height = math.radians(traits.sun_elevation_deg)
    return torch.tensor(
        [math.sin(azimuth) * math.cos(height), math.sin(height), math.cos(azimuth) * math.cos(height)]
    )


def build_scene(traits: Traits, *, columns: int) -> Scene:
    """Builds the scene of these traits; `columns` is how finely forms are baked."""
    form, skin = build_body(traits, columns=columns)
    substrate = choose_substrate(traits)
    rng = np.random.default_rng([traits.seed, 77])
    on_wall = MORPHOTYPE_TABLE[traits.morphotype].is_shelf or traits.habitat == "tree_trunk"
    placements = (_on_wall if on_wall else _on_floor)(traits, _half_width(form), substrate, rng)
    center, radius = _extent(form, placements)
    camera = _camera(traits, center, radius)
    return Scene(traits, form, skin, tuple(placements), substrate, camera, _sun(traits), center, radius)
