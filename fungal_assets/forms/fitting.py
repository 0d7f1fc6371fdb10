"""A volume fitted to pictures of one thing from known cameras.

Coarse to fine: each grid begins as the one before, and all views take turns. Belongs here: the fit. It asks no guide.
Torch kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch  # noqa: TID253

from fungal_assets.forms.priors import total_variation
from fungal_assets.forms.volume import Camera, Volume, render, upsample

GRIDS = (24, 48, 72)
_STEPS = (80, 160, 400)
_RATE, _LAST_RATE = 0.3, 0.08
_SMOOTHNESS = 1e-4


def fit_views(
    views: Sequence[torch.Tensor],
    cameras: Sequence[Camera],
    *,
    grids: Sequence[int] = GRIDS,
    steps: Sequence[int] = _STEPS,
    is_over: Callable[[], bool] = lambda: False,
) -> Volume:
    """Fit a volume to views.

    Args:
        views: Colour on black and opacity of each, float, shape (4, S, S), 0 to 1.
        cameras: From where each was seen.
        grids: Samples along a side, one grid after another.
        steps: Optimiser steps on each.
        is_over: Asked at each step; whether to stop where it is, as when the time is up.

    Returns:
        The volume, detached, on the grid that was reached.
    """
    volume = Volume(torch.full((grids[0],) * 3, -1.0), torch.zeros(3, *(grids[0],) * 3))
    turn = 0
    for grid_size, count in zip(grids, steps, strict=True):
        volume = upsample(volume, (grid_size,) * 3)
        density, colour = volume.density.requires_grad_(), volume.colour.requires_grad_()
        optimiser = torch.optim.Adam([density, colour], lr=_RATE, betas=(0.9, 0.99))
        for step in range(count):
            if is_over():
                break
            optimiser.param_groups[0]["lr"] = _RATE + (_LAST_RATE - _RATE) * step / count
            loss = _gap(Volume(density, colour), views[turn % len(views)], cameras[turn % len(views)])
            optimiser.zero_grad(set_to_none=True)
            (loss + _SMOOTHNESS * (total_variation(density) + total_variation(colour))).backward()
            optimiser.step()
            turn += 1
        volume = Volume(density.detach(), colour.detach())
    return volume


def _gap(volume: Volume, view: torch.Tensor, camera: Camera) -> torch.Tensor:
    seen = render(volume, camera, view.shape[-1])
    return (seen.rgb - view[:3]).square().mean() + 0.5 * (seen.alpha - view[3]).square().mean()
