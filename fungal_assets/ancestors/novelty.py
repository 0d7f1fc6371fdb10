"""How unlike all others a form is: the mean distance to its nearest neighbours, among those alive and those remembered.

Novelty search (J. Lehman, K. Stanley, "Abandoning objectives", 2011) rewards what is new, not what is near a goal. A
form is described by where its matter is, on 6^3 blocks, and of what colour, on 3^3. Belongs here: that description,
those distances and the memory. Numpy and torch.
"""

from __future__ import annotations

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

NEIGHBOURS = 8
_BLOCKS, _COLOUR_BLOCKS = 6, 3
_COLOUR_SHARE, _VARIED = 0.35, 0.12


def describe(matter: torch.Tensor, colour: torch.Tensor) -> np.ndarray:
    """Descriptions of forms.

    Args:
        matter: bool, shape (P, n, n, n).
        colour: float, shape (P, 3, n, n, n), before the sigmoid.

    Returns:
        float32, shape (P, 6**3 + 3 * 3**3), rounded to 4 decimals, so that a memory kept as text is the same memory.
    """
    solid = matter.float()[:, None]
    where = F.adaptive_avg_pool3d(solid, _BLOCKS).flatten(1)
    painted = F.adaptive_avg_pool3d(torch.sigmoid(colour) * solid, _COLOUR_BLOCKS)
    share = F.adaptive_avg_pool3d(solid, _COLOUR_BLOCKS)
    hue = (painted / share.clamp(min=1e-3) * (share > 0.01)).flatten(1) * _COLOUR_SHARE
    return np.round(torch.cat([where, hue], 1).cpu().numpy(), 4)


def variety(described: np.ndarray) -> np.ndarray:
    """How much the colours of each form change over it, from descriptions (P, d): float, shape (P,), 0 to 1."""
    blocks = described[:, _BLOCKS**3 :].reshape(len(described), 3, -1) / _COLOUR_SHARE
    there = blocks.any(1, keepdims=True)
    count = np.maximum(there.sum(2, keepdims=True), 1)
    mean = blocks.sum(2, keepdims=True) / count
    spread = np.sqrt((np.where(there, blocks - mean, 0) ** 2).sum(2, keepdims=True) / count)
    return np.round((spread[..., 0].mean(1) / _VARIED).clip(0, 1), 6)


def novelty(described: np.ndarray, remembered: np.ndarray) -> np.ndarray:
    """Mean distance of each description (P, d) to its nearest others, among themselves and those remembered (M, d)."""
    others = np.concatenate([described, remembered.reshape(-1, described.shape[1])])
    squares = (others**2).sum(1)
    gaps = np.sqrt((squares[: len(described), None] + squares[None] - 2 * described @ others.T).clip(0))
    gaps[np.arange(len(described)), np.arange(len(described))] = np.inf
    nearest = np.sort(gaps, axis=1)[:, : min(NEIGHBOURS, len(others) - 1)]
    return np.round(nearest.mean(1), 6) if nearest.shape[1] else np.zeros(len(described))


def choose_apart(described: np.ndarray, worth: np.ndarray, count: int) -> list[int]:
    """Numbers of up to `count` forms that are far from each other, the worthiest first.

    Args:
        described: float, shape (P, d).
        worth: float, shape (P,), 0 or above; a form worth 0 is never chosen.
        count: How many.
    """
    if not len(worth) or worth.max() <= 0:
        return []
    chosen = [int(worth.argmax())]
    gap = np.linalg.norm(described - described[chosen[0]], axis=1)
    while len(chosen) < count:
        score = gap * worth
        score[chosen] = 0
        if score.max() <= 1e-9:
            break
        chosen.append(int(score.argmax()))
        gap = np.minimum(gap, np.linalg.norm(described - described[chosen[-1]], axis=1))
    return chosen
