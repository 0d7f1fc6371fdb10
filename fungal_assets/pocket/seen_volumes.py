"""Pictures of fungi with the volume that each shows: what the lifter learns from.

A fungus of the fungarium is rendered in the dark room, from about where the pocket model paints its portraits from, and
its distance and paint are read on the grid that the lifter fills: upright, facing the camera, about the
subject. The paint is darkened in nooks as an overcast sky leaves them, so that gills and pits are seen without a lamp.
Some pictures are also painted over by the pocket model, since its pictures are what will be lifted. All of it is kept
in parts, so that a recipe which was stopped goes on. Belongs here: making such pairs, and reading them. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.forms.lifting import GRID, Window, window_about
from fungal_assets.forms.revolving import find_silhouette
from fungal_assets.forms.solid import overlap
from fungal_assets.pocket.facts import word_fungus
from fungal_assets.pocket.fungarium import MORPHOTYPE_TABLE, MORPHOTYPES, Traits, sample_portrait
from fungal_assets.pocket.fungarium.palette import to_srgb
from fungal_assets.pocket.fungarium.rendering import render_picture
from fungal_assets.pocket.fungarium.scene import Scene, build_scene
from fungal_assets.pocket.fungarium.skins import paint_skin
from fungal_assets.pocket.fungarium.tracing import self_occlusion, surface_normals
from fungal_assets.pocket.processes import in_processes
from fungal_assets.progress import Tell, follow

SEED = 5_000_000
PART = 32
_IMAGE_PX, _COLUMNS, _COARSE = 128, 96, 16
DISTANCE_STEPS = 32
"""Steps of a kept distance in one cell; beyond four cells it is cut."""
_LIKE = 0.7
"""Least intersection over union at which a silhouette found in a picture is taken for the subject."""


@dataclass(frozen=True)
class SeenVolumes:
    """Pictures and their volumes.

    Args:
        pictures: uint8, shape (N, 128, 128, 3), sRGB.
        masks: bool, shape (N, 128, 128): where the fungus is.
        found: bool, the same: where `find_silhouette` says that it is, or `masks` where it is mistaken.
        windows: float32, shape (N, 3): column, row and half side of the square that the volume lies behind, pixels.
        distances: int8, shape (N, G, G, G) along z, y, x: to the surface in 32nds of a cell, below 0 inside.
        colours: uint8, shape (N, 3, G, G, G), sRGB; grey away from the surface.
        morphotypes: Number of each in `MORPHOTYPES`, int16, shape (N,).
    """

    pictures: np.ndarray
    masks: np.ndarray
    found: np.ndarray
    windows: np.ndarray
    distances: np.ndarray
    colours: np.ndarray
    morphotypes: np.ndarray

    def __len__(self) -> int:
        return len(self.windows)


def traits_seen(number: int) -> Traits:
    """The traits of pair `number`: the morphotypes take turns, the camera goes wherever portraits may be taken from."""
    name = MORPHOTYPES[number % len(MORPHOTYPES)]
    kind, rng = MORPHOTYPE_TABLE[name], np.random.default_rng([SEED, number])
    turn, lift, lifted, many = rng.random(4)
    portrait = sample_portrait(SEED + number, morphotype=name)
    return replace(
        portrait,
        habitat="dark_room",
        azimuth_deg=float(160 * turn - 80) if kind.is_shelf else float(360 * turn),
        elevation_deg=float(20 + 26 * lift if kind.is_hollow and lifted < 0.6 else 25 * lift - 4),
        count=1 if many < 0.88 else 2,
    )


@torch.no_grad()
def see(traits: Traits) -> dict[str, np.ndarray] | None:
    """A picture of these traits and its volume, by the names of `SeenVolumes`; None where the frame cuts the fungus."""
    picture = render_picture(traits, size_px=_IMAGE_PX)
    mask = (picture.mask > 0.5).numpy()
    if not mask.any() or any(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])):
        return None
    window = window_about(mask)
    pixels = (picture.image.clamp(0, 1) * 255).round().byte().numpy()
    distances, colours = _read_volume(build_scene(traits, columns=_COLUMNS), window)
    return {
        "pictures": pixels,
        "masks": mask,
        "found": found_mask(pixels, mask),
        "windows": np.array([*window.middle, window.half_px], dtype=np.float32),
        "distances": distances,
        "colours": colours,
        "morphotypes": np.int16(MORPHOTYPES.index(traits.morphotype)),
    }


def found_mask(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What `find_silhouette` finds in a picture where that is like the mask, otherwise the mask."""
    shape = find_silhouette(picture)
    return shape.mask if shape is not None and overlap(shape.mask, mask) >= _LIKE else mask


def _read_volume(scene: Scene, window: Window) -> tuple[np.ndarray, np.ndarray]:
    axes, camera = scene.camera.axes, scene.camera
    toward = F.normalize(axes[2] * axes.new_tensor([-1.0, 0.0, -1.0]), dim=0)
    frame = torch.stack([axes[0], axes.new_tensor([0.0, 1.0, 0.0]), toward])
    u, v = window.middle[0] / _IMAGE_PX * 2 - 1, 1 - window.middle[1] / _IMAGE_PX * 2
    ray = axes[2] + camera.tan_half * (
        (u - 2 * camera.shift[0]) * axes[0] + (v - 2 * camera.shift[1]) * axes[1]
    )
    far = float((scene.center - camera.eye) @ axes[2])
    half = window.half_px / _IMAGE_PX * 2 * camera.tan_half * far
    middle = camera.eye + far * ray
    for _ in range(2):
        coarse = _distance(scene, _grid_points(_COARSE, middle, half * 1.6, frame))
        depths = _grid_points(_COARSE, middle, half * 1.6, frame)[coarse < 0] @ toward
        if len(depths):
            middle = middle + toward * ((depths.amin() + depths.amax()) / 2 - middle @ toward)
    points, cell = _grid_points(GRID, middle, half, frame), 2 * half / (GRID - 1)
    cells = _distance_near(scene, points, middle, half, frame, reach=3 * cell) / cell
    colours = torch.full((len(points), 3), 0.5)
    near = (cells.abs() < 2.5).nonzero()[:, 0]
    colours[near] = _paint(scene, points[near], cell)
    cube = (GRID, GRID, GRID)
    distances = (cells * DISTANCE_STEPS).round().clamp(-127, 127).to(torch.int8).view(cube)
    return distances.numpy(), (colours * 255).round().byte().T.reshape(3, *cube).numpy()


def _grid_points(grid_size: int, middle: torch.Tensor, half: float, frame: torch.Tensor) -> torch.Tensor:
    """Points of a grid along z, y, x of the rows x, y, z of `frame`, in the scene: (grid_size**3, 3)."""
    line = torch.linspace(-half, half, grid_size)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3) @ frame + middle


def _distance(scene: Scene, points: torch.Tensor) -> torch.Tensor:
    """Signed distance of scene points (N, 3) to the nearest fruiting body."""
    gaps = [
        scene.form.distance(place.to_form(points)) / scene.form.damping * place.scale
        for place in scene.placements
    ]
    return torch.stack(gaps).amin(0)


def _distance_near(
    scene: Scene,
    points: torch.Tensor,
    middle: torch.Tensor,
    half: float,
    frame: torch.Tensor,
    *,
    reach: float,
) -> torch.Tensor:
    """Distance at the points of the grid: exact within `reach` of the surface, from a coarser grid elsewhere."""
    coarse = _distance(scene, _grid_points(_COARSE, middle, half, frame)).view(1, 1, *(_COARSE,) * 3)
    distance = F.interpolate(coarse, (GRID,) * 3, mode="trilinear", align_corners=True).view(-1)
    near = (distance.abs() < reach + 2 * half / (_COARSE - 1)).nonzero()[:, 0]
    distance[near] = _distance(scene, points[near])
    return distance


def _paint(scene: Scene, points: torch.Tensor, cell: float) -> torch.Tensor:
    """Colour of points near the surface, darkened in nooks: sRGB, (N, 3)."""
    gaps = torch.stack(
        [scene.form.distance(place.to_form(points)) * place.scale for place in scene.placements]
    )
    owner, colours = gaps.argmin(0), torch.zeros_like(points)
    for number, place in enumerate(scene.placements):
        own = (owner == number).nonzero()[:, 0]
        local = place.to_form(points[own])
        normals = surface_normals(scene.form, local, step=0.5 * cell / place.scale)
        gap = scene.form.distance(local) / scene.form.damping
        surface = local - normals * gap[:, None].clamp(-2 * cell, 2 * cell)
        light = 0.55 + 0.45 * self_occlusion(scene.form, surface, normals)
        colours[own] = paint_skin(scene.skin, scene.form, surface) * light[:, None]
    return to_srgb(colours).clamp(0, 1)


def see_all(folder: Path, count: int, *, first: int = 0, processes: int, tell: Tell) -> SeenVolumes:
    """`count` pairs from number `first` on but those cut by the frame, made where they are missing in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(first, first + count, PART)
    missing = [start for start in starts if not _part_path(folder, start).exists()]
    in_processes(partial(_see_part, folder), missing, processes=processes, what="pairs", tell=tell)
    return read_parts([_part_path(folder, start) for start in starts])


def _part_path(folder: Path, start: int) -> Path:
    return folder / f"pairs-{start:05d}.npz"


def _see_part(folder: Path, start: int) -> None:
    rows = [row for number in range(start, start + PART) if (row := see(traits_seen(number)))]
    path = _part_path(folder, start)
    temporary = path.with_suffix(".part.npz")
    columns: dict[str, Any] = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    np.savez_compressed(temporary, **columns)
    temporary.replace(path)


def read_parts(paths: Sequence[Path]) -> SeenVolumes:
    """All pairs of some parts, in order."""
    parts = [dict(np.load(path, allow_pickle=False)) for path in paths]
    return SeenVolumes(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def paint_over(
    folder: Path, pairs: SeenVolumes, count: int, pipeline_folder: Path, *, tell: Tell
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The first `count` pictures as a model paints them over, noised a third to two thirds of the way.

    Returns:
        By their place in `pairs`: picture, uint8, shape (128, 128, 3), and what of it is found, bool, shape (128, 128).
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, min(count, len(pairs)), PART)
    paths = [folder / f"painted-{start:05d}.npz" for start in starts]
    paint = None
    for start, path in follow(zip(starts, paths, strict=True), tell, "painted", len(paths)):
        if path.exists():
            continue
        paint = paint or _painter(pipeline_folder)
        own = range(start, min(start + PART, len(pairs)))
        pictures = np.concatenate([paint(pairs, own[at : at + 8]) for at in range(0, len(own), 8)])
        found = [found_mask(picture, mask) for picture, mask in zip(pictures, pairs.masks[own], strict=True)]
        temporary = path.with_suffix(".part.npz")
        np.savez_compressed(temporary, pictures=pictures, found=np.stack(found))
        temporary.replace(path)
    painted: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for start, path in zip(starts, paths, strict=True):
        part = np.load(path, allow_pickle=False)
        painted |= {
            start + at: pair for at, pair in enumerate(zip(part["pictures"], part["found"], strict=True))
        }
    return painted


def _painter(pipeline_folder: Path) -> Callable[[SeenVolumes, Sequence[int]], np.ndarray]:
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionImg2ImgPipeline
    from PIL import Image

    from fungal_assets.diffusion.base_models import load_pipeline

    parts = load_pipeline(pipeline_folder, device="cpu", dtype=torch.float32).components
    parts["scheduler"] = DPMSolverMultistepScheduler.from_config(parts["scheduler"].config)
    pipeline = StableDiffusionImg2ImgPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)

    def paint(pairs: SeenVolumes, own: Sequence[int]) -> np.ndarray:
        rng = np.random.default_rng([SEED, 1, own[0]])
        kinds = [MORPHOTYPE_TABLE[MORPHOTYPES[kind]] for kind in pairs.morphotypes[own]]
        with mixed_precision(torch.device("cpu"), on_cpu=True):
            painted = pipeline(
                [word_fungus(kind.words[0], place="on a black background") for kind in kinds],
                image=[Image.fromarray(picture) for picture in pairs.pictures[own]],
                strength=float(0.3 + 0.35 * rng.random()),
                num_inference_steps=10,
                guidance_scale=2.0,
                generator=[torch.Generator().manual_seed(SEED + place) for place in own],
                output_type="np",
            ).images
        return (painted * 255).round().astype(np.uint8)

    return paint
