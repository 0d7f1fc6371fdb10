"""What a form should be like whatever the words say: one solid body with a clear edge.

Each prior is a loss, float scalar, 0 where the form is perfect. Belongs here: the blob that a form starts from and
these losses. The guide's part does not. Torch kernel.
"""

from __future__ import annotations

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.forms.volume import Volume

_MOSTLY_FULL, _MOSTLY_EMPTY = 0.3, 0.05


def blob(grid_size: int, generator: torch.Generator) -> Volume:
    """A grey, soft egg with a grain of noise: neither stalk nor cap, and the same from all sides."""
    line = torch.linspace(-1, 1, grid_size)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    falloff = torch.exp(-((x / 0.38) ** 2 + (y / 0.5) ** 2 + (z / 0.38) ** 2) / 2)
    noise = torch.randn(4, grid_size, grid_size, grid_size, generator=generator)
    return Volume(9 * falloff - 7 + 0.1 * noise[0], 0.1 * noise[1:])


def alpha_entropy(alpha: torch.Tensor) -> torch.Tensor:
    """Mean entropy of the pixels' opacity in bits: 0 where each is clear or opaque."""
    inside = alpha.clamp(1e-4, 1 - 1e-4)
    bits = inside * torch.log2(inside) + (1 - inside) * torch.log2(1 - inside)
    return -bits.mean()


def total_variation(field: torch.Tensor) -> torch.Tensor:
    """Mean squared difference between neighbours of a field, shape (..., D, H, W)."""
    return sum(field.diff(dim=dim).square().mean() for dim in (-1, -2, -3))  # type: ignore[return-value]


def majority(cell_alpha: torch.Tensor) -> torch.Tensor:
    """Cells fill where a third of their neighbourhood is full, as in a stem, and empty where nearly nothing is.

    This closes thin stems that would stay glassy, and clears haze. The neighbourhood, 3 cells wide, only votes: no
    gradient runs through it.

    Args:
        cell_alpha: float, shape (D, H, W), 0 to 1.
    """
    around = F.avg_pool3d(cell_alpha.detach()[None, None], 3, stride=1, padding=1)[0, 0]
    full = (around - _MOSTLY_FULL).clamp(min=0) * (1 - cell_alpha)
    empty = (_MOSTLY_EMPTY - around).clamp(min=0) * cell_alpha
    return (full + empty).mean()


def touching_the_box(cell_alpha: torch.Tensor) -> torch.Tensor:
    """Mean opacity of the outermost two layers: a form stays inside its box."""
    edge = torch.ones_like(cell_alpha, dtype=torch.bool)
    edge[2:-2, 2:-2, 2:-2] = False
    return cell_alpha[edge].mean()
