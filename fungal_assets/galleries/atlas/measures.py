"""How alike two sets of activations are, how wide attention looks, and what scales a prediction holds.

Belongs here: tensors to numbers. Models, files and pictures do not.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch  # noqa: TID253
from torch.nn.functional import adaptive_avg_pool2d  # noqa: TID253

FEWEST_ROWS = 4
"""The unbiased estimate divides by n - 3."""


def alignment(one: torch.Tensor, other: torch.Tensor) -> float:
    """Linear centred kernel alignment of two views of the same things.

    From the unbiased estimate of the Hilbert-Schmidt independence criterion (Song et al. 2012, JMLR 13; as similarity
    of networks Kornblith et al. 2019, arXiv:1905.00414, unbiased by Nguyen et al. 2021, arXiv:2010.15327), so that few
    rows of many channels are not alike by chance.

    Args:
        one: float, shape (n, c): a row per thing, n at least 4.
        other: float, shape (n, d): the same things, seen otherwise.

    Returns:
        1 where they are the same but for turns and scale, about 0 where they are independent; a little below 0 by
        chance. NaN where one of them does not vary.
    """
    grams = [_without_diagonal(view.double()) for view in (one, other)]
    cross, own, others = (_independence(*pair) for pair in (grams, grams[:1] * 2, grams[1:] * 2))
    return float(cross / (own * others).clamp(min=0).sqrt())


def _without_diagonal(view: torch.Tensor) -> torch.Tensor:
    gram = view @ view.T
    return gram.fill_diagonal_(0)


def _independence(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The unbiased criterion of two Gram matrices with empty diagonals, (n, n)."""
    n = len(one)
    traced = (one * other).sum()
    product = one.sum() * other.sum() / ((n - 1) * (n - 2))
    mixed = 2 * (one.sum(0) @ other.sum(0)) / (n - 2)
    return (traced + product - mixed) / (n * (n - 3))


def pool_rows(activations: torch.Tensor, side: int) -> torch.Tensor:
    """Activations averaged over the cells of a grid, a row per picture and cell.

    Args:
        activations: float, shape (n, c, h, w), h and w at least `side`.
        side: Cells along each axis.

    Returns:
        float32, shape (n * side * side, c), without each picture's mean over its cells: two pictures are compared in
        where they differ within, not in what all their cells share.
    """
    cells = adaptive_avg_pool2d(activations.float(), side).flatten(2)
    return (cells - cells.mean(dim=2, keepdim=True)).transpose(1, 2).flatten(0, 1)


def entropy_share(weights: torch.Tensor) -> float:
    """How widely attention looks: its entropy over that of looking everywhere alike.

    Args:
        weights: float, shape (..., q, k): each row sums to 1.

    Returns:
        0 for one key only, 1 for all k alike; the mean over all rows.
    """
    spread = torch.special.entr(weights.float()).sum(dim=-1)
    return float(spread.mean() / torch.log(torch.tensor(float(weights.shape[-1]))))


def radial_spectrum(images: torch.Tensor) -> torch.Tensor:
    """Power by scale, a picture's waves counted across its side, so that sizes can be compared.

    Args:
        images: float, shape (n, c, s, s).

    Returns:
        float32, shape (s // 2,): mean power of the waves of k - 1/2 to k + 1/2 periods a side, k = 1 to s // 2, over
        pictures and channels, normed so that white noise of variance 1 has 1 everywhere.
    """
    side = images.shape[-1]
    power = torch.fft.fft2(images.float(), norm="ortho").abs().square().mean(dim=(0, 1))
    periods = torch.fft.fftfreq(side) * side
    ring = (periods[:, None].square() + periods[None, :].square()).sqrt().round().long()
    bands = torch.arange(1, side // 2 + 1)
    return torch.stack([power[ring == band].mean() for band in bands.tolist()])


def shared_places(activations: torch.Tensor) -> float:
    """How much of what differs within pictures is the same in all of them, and so tells where, not what.

    Args:
        activations: float, shape (n, c, h, w).

    Returns:
        Share of the variance within pictures that their mean holds, 0 to 1; 1 / n of pictures that share nothing.
    """
    within = activations.double() - activations.double().mean(dim=(2, 3), keepdim=True)
    return float(within.mean(dim=0).square().sum() * len(within) / within.square().sum())


def nested_noise(channels: int, sides: Sequence[int], seeds: Sequence[int]) -> dict[int, torch.Tensor]:
    """White noise of several sizes that agrees in what they can all show.

    The largest is drawn; a smaller one is its mean over cells, scaled back to variance 1, and so white as well.

    Args:
        channels: Channels of a latent.
        sides: Sides, each a divisor of the largest.
        seeds: One per picture, n of them.

    Returns:
        float32, shape (n, channels, side, side) by side.
    """
    largest = max(sides)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    drawn = torch.stack([torch.randn(channels, largest, largest, generator=each) for each in generators])
    return {side: adaptive_avg_pool2d(drawn, side) * (largest // side) for side in sides}
