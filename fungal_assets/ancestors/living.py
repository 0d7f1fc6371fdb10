"""Whether what grew could live: one piece, standing, of sane volume, in clear air, smooth, and kin of an ancestor.

Each is a share from 0 to 1 that falls off softly, so that evolution is led, not only barred; their product is the
viability. Belongs here: measures of grids. Numpy and torch.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.forms.solid import find_largest

LEAST_KINSHIP = 0.25
_FOOT_SHARE = 0.12
_LEAST_CELLS = 40


@dataclass(frozen=True)
class Viability:
    """Shares from 0 to 1 of one form.

    Args:
        wholeness: Its largest piece holds at least 95 % of its matter.
        standing: Its middle of mass is over its foot.
        volume: It has between a third and twice as much matter as the ancestor that it is most like.
        air: It does not touch the faces of the box.
        texture: It is neither a spray nor a lump: about as much of it lies deeper than its skin as in that ancestor.
        kinship: It overlaps that ancestor by more than `LEAST_KINSHIP` (intersection over union).
    """

    wholeness: float
    standing: float
    volume: float
    air: float
    texture: float
    kinship: float

    @property
    def product(self) -> float:
        """All together."""
        return float(np.prod(astuple(self)))


@dataclass(frozen=True)
class Kin:
    """What forms are compared with: the ancestors on the same grid.

    Args:
        matter: bool, shape (A, n, n, n).
        depths: Share of each one's matter that lies deeper than its skin, float, shape (A,).
    """

    matter: torch.Tensor
    depths: np.ndarray

    @staticmethod
    def of(matter: torch.Tensor) -> Kin:
        """The ancestors, bool, shape (A, n, n, n)."""
        return Kin(matter, _depths(matter))


def measure_viability(matter: torch.Tensor, kin: Kin) -> tuple[list[Viability], np.ndarray, torch.Tensor]:
    """How viable forms are.

    Args:
        matter: bool, shape (P, n, n, n) along z, y, x.
        kin: The ancestors.

    Returns:
        One viability each; the overlap with each ancestor, float, shape (P, A), 0 to 1; and the largest piece of each
        form alone, bool, shape (P, n, n, n).
    """
    overlaps, depths = overlap(matter, kin.matter), _depths(matter)
    counts = matter.flatten(1).sum(1).tolist()
    kin_counts = kin.matter.flatten(1).sum(1).tolist()
    found, pieces = [], torch.zeros_like(matter)
    for number, grid in enumerate(matter.cpu().numpy()):
        nearest = int(overlaps[number].argmax())
        piece, wholeness = find_largest(grid)
        pieces[number] = torch.from_numpy(piece).to(matter.device)
        ratio = counts[number] / max(kin_counts[nearest], 1)
        found.append(
            Viability(
                wholeness=_rise(wholeness, 0.5, 0.95),
                standing=_standing(piece) if counts[number] >= _LEAST_CELLS else 0.0,
                volume=_rise(ratio, 0.15, 0.35) * _rise(1 / max(ratio, 1e-6), 0.33, 0.5),
                air=_rise(-_touching(grid), -0.02, 0.0),
                texture=_texture(float(depths[number]), float(kin.depths[nearest])),
                kinship=_rise(float(overlaps[number, nearest]), 0.6 * LEAST_KINSHIP, LEAST_KINSHIP),
            )
        )
    return found, overlaps, pieces


def overlap(one: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """Intersection over union of each of (P, n, n, n) with each of (A, n, n, n), bool: float, shape (P, A)."""
    a, b = one.flatten(1).float(), other.flatten(1).float()
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return (both / either.clamp(min=1)).cpu().numpy()


def _depths(matter: torch.Tensor) -> np.ndarray:
    """Share of the matter all of whose six neighbours are matter: float, shape (P,)."""
    solid = matter.float()[:, None]
    cross = solid.new_zeros(1, 1, 3, 3, 3)
    for place in ((1, 1, 1), (0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)):
        cross[(0, 0, *place)] = 1
    deep = F.conv3d(solid, cross, padding=1) > 6.5
    return (deep.flatten(1).sum(1) / matter.flatten(1).sum(1).clamp(min=1)).cpu().numpy()


def _texture(depth: float, of_kin: float) -> float:
    """1 where the shares of deep matter are alike; towards 0 where there is much less of it, or much less of skin."""
    deep, skin = depth / max(of_kin, 1e-6), (1 - depth) / max(1 - of_kin, 1e-6)
    return _rise(deep, 0.45, 0.85) * _rise(skin, 0.45, 0.75)


def _rise(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high`, straight between."""
    return float(np.clip((value - low) / (high - low), 0, 1))


def _standing(piece: np.ndarray) -> float:
    """How far over its foot the middle of mass is: 1 well inside the foot's box, 0 beyond it."""
    z, y, x = np.nonzero(piece)
    foot = y <= y.min() + max(1, _FOOT_SHARE * (y.max() - y.min()))
    shares = []
    for along in (x, z):
        low, high = along[foot].min() - 0.5, along[foot].max() + 0.5
        reach = (high - low) / 2
        shares.append(_rise(-abs(float(along.mean()) - (low + high) / 2), -1.6 * reach, -reach))
    return min(shares)


def _touching(grid: np.ndarray) -> float:
    """Share of the matter that lies on the faces of the box."""
    inner = grid[1:-1, 1:-1, 1:-1].sum()
    total = grid.sum()
    return float((total - inner) / total) if total else 0.0
