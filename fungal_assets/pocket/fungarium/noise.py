"""Solid textures: one periodic 3-D table of smooth noise and cell distances, read by trilinear lookup.

Every texture of the fungarium (bark, moss, warts, scales, pits) is read from this table at a point in space,
so a picture is the same at any size. Worley's cell distances (A Cellular Texture Basis Function, 1996) give
warts (F1) and ridges (F2 - F1). Torch kernel module: imported only inside functions.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812

CELLS = 6  # cells along one period
VOXELS = 54  # voxels along one period


def _smooth(generator: torch.Generator, cells: int) -> torch.Tensor:
    lattice = torch.rand((cells, cells, cells), generator=generator)
    at = torch.arange(VOXELS) * cells / VOXELS
    low, part = at.floor().long(), at - at.floor()
    ease = part * part * (3 - 2 * part)
    for axis in range(3):
        ends = lattice.index_select(axis, low), lattice.index_select(axis, (low + 1) % cells)
        shape = [1, 1, 1]
        shape[axis] = VOXELS
        lattice = torch.lerp(ends[0], ends[1], ease.view(shape))
    return lattice


def _cells(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    names = torch.rand((CELLS, CELLS, CELLS), generator=generator)
    seeds = torch.rand((CELLS, CELLS, CELLS, 3), generator=generator) * 0.8 + 0.1
    at = torch.arange(VOXELS) * CELLS / VOXELS
    points = torch.stack(torch.meshgrid(at, at, at, indexing="ij"), -1)
    cell = points.floor().long()
    nearest, named = [], []
    for offset in torch.cartesian_prod(*[torch.tensor([-1, 0, 1])] * 3):
        near = cell + offset
        wrapped = near % CELLS
        seed = near + seeds[wrapped[..., 0], wrapped[..., 1], wrapped[..., 2]]
        nearest.append((points - seed).norm(dim=-1))
        named.append(names[wrapped[..., 0], wrapped[..., 1], wrapped[..., 2]])
    distances, index = torch.stack(nearest).topk(2, dim=0, largest=False)
    return distances[0], distances[1], torch.stack(named).gather(0, index[:1])[0]


@lru_cache(maxsize=4)
def _table(device: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1729)
    first, second, name = _cells(generator)
    channels = torch.stack([_smooth(generator, CELLS), first, second - first, name])
    padded = torch.cat([channels, channels[:, :1]], 1)
    padded = torch.cat([padded, padded[:, :, :1]], 2)
    padded = torch.cat([padded, padded[..., :1]], 3)
    return padded[None].to(device).contiguous()


@lru_cache(maxsize=32)
def _blended(device: str, blend: tuple[float, float, float, float]) -> torch.Tensor:
    smooth, first, border, constant = blend
    table = _table(device)
    return (smooth * table[:, :1] + first * table[:, 1:2] + border * table[:, 2:3] + constant).contiguous()


def _read(table: torch.Tensor, points: torch.Tensor, cell: float, offset: float) -> torch.Tensor:
    shift = [offset * share % 1.0 for share in (0.317, 0.719, 0.523)]
    place = torch.frac(points * (1 / (cell * CELLS)) + points.new_tensor(shift))
    place = (place + (place < 0)) * 2 - 1
    return F.grid_sample(table, place.view(1, 1, 1, -1, 3), align_corners=True)[0, :, 0, 0]


def solid(points: torch.Tensor, *, cell: float, offset: float = 0.0) -> torch.Tensor:
    """Reads the solid texture.

    Args:
        points: float32, shape (N, 3), any unit of length.
        cell: side of one cell in that unit.
        offset: shifts the texture, so that two readings are independent.

    Returns:
        float32, shape (4, N): smooth noise 0 to 1, distance to the nearest cell seed in cells (0 to about
        1.2), second minus first distance (0 on the borders between cells), a random number 0 to 1 for the cell.
    """
    return _read(_table(str(points.device)), points, cell, offset)


def solid_blend(
    points: torch.Tensor, blend: tuple[float, float, float, float], *, cell: float, offset: float = 0.0
) -> torch.Tensor:
    """Reads one blend (smooth, first, border, constant) of the channels; cheaper than `solid`; float32 (N,)."""
    return _read(_blended(str(points.device), blend), points, cell, offset)[0]


def fractal(points: torch.Tensor, *, cell: float, octaves: int = 3, offset: float = 0.0) -> torch.Tensor:
    """Sums octaves of smooth noise at `points` (N, 3); returns float32 (N,), about 0 to 1, mean 0.5."""
    total, weight, size = torch.zeros_like(points[:, 0]), 0.0, cell
    for octave in range(octaves):
        share = 0.55**octave
        total = total + share * solid_blend(
            points, (1.0, 0.0, 0.0, 0.0), cell=size, offset=offset + 1.7 * octave
        )
        weight, size = weight + share, size / 2.1
    return total / weight
