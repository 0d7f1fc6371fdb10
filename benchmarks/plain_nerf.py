"""A plain-PyTorch NeRF under score distillation, as a peer for benchmarks/forms.py.

Written anew from the published settings of stable-dreamfusion's vanilla backbone (ashawkey/stable-dreamfusion, `-O2
--optim adam --albedo`): a residual MLP of 4 layers, 96 wide, on 6 octaves of sines; density softplus of its output plus
a blob of density 10 and radius 0.5; 64 samples a ray and 32 more where there is matter; a background MLP of 2 layers,
64 wide, on 4 octaves; views of 64 px, one a step; Adam at 1e-3 with a twentieth of the steps to warm up and a cosine
after; t from 0.02 to 0.98 of the schedule, w = 1 - alpha_bar, 0.5 |x - (x - g)|^2; entropy of the weights at 1e-3; one
of 'front', 'side', 'back' and 'overhead' view per camera. Given to it: this project's cameras and guidance scale, which
suit the guide, and no shading, which would double the cost of a step.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from fungal_assets.forms.directions import ScoreDistillation, ViewText
from fungal_assets.forms.guidance import DiffusionGuide
from fungal_assets.forms.views import sample_cameras
from fungal_assets.forms.volume import Camera, rays

SIZE_PX, COARSE, FINE = 64, 64, 32
_BLOB_DENSITY, _BLOB_RADIUS = 10.0, 0.5
_WIDTH, _BACK_WIDTH, _OCTAVES, _BACK_OCTAVES = 96, 64, 6, 4


class _Residual(nn.Module):
    """SiLU(x + norm(linear(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(width, width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float, shape (n, width), to the same shape."""
        return F.silu(x + self.norm(self.dense(x)))


def _encode(points: torch.Tensor, octaves: int) -> torch.Tensor:
    """Points (n, 3) and their sines and cosines: (n, 3 + 6 octaves)."""
    waves = [wave(points * 2**octave) for octave in range(octaves) for wave in (torch.sin, torch.cos)]
    return torch.cat([points, *waves], -1)


class PlainNerf(nn.Module):
    """The field and its background."""

    def __init__(self) -> None:
        super().__init__()
        self.field = nn.Sequential(
            nn.Linear(3 + 6 * _OCTAVES, _WIDTH),
            nn.ReLU(),
            _Residual(_WIDTH),
            _Residual(_WIDTH),
            nn.Linear(_WIDTH, 4),
        )
        self.back = nn.Sequential(
            nn.Linear(3 + 6 * _BACK_OCTAVES, _BACK_WIDTH), nn.ReLU(), nn.Linear(_BACK_WIDTH, 3), nn.Sigmoid()
        )

    def _at(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Density (n,) and colour (n, 3) at points (n, 3)."""
        found = self.field(_encode(points, _OCTAVES))
        blob = _BLOB_DENSITY * (1 - points.norm(dim=-1) / _BLOB_RADIUS)
        return F.softplus(found[:, 0] + blob), torch.sigmoid(found[:, 1:])

    def forward(self, camera: Camera) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Render: colour on black (3, H, W), opacity (H, W), background (3, H, W), and all weights."""
        origin, directions = rays(camera, SIZE_PX)
        rows = directions.reshape(-1, 3)
        near, far = camera.radius - 3**0.5, camera.radius + 3**0.5
        along = torch.linspace(near, far, COARSE).expand(len(rows), -1)
        along = along + (torch.rand_like(along) - 0.5) * (far - near) / COARSE
        with torch.no_grad():
            density, _ = self._at(self._points(origin, rows, along))
            finer = self._where_matter_is(along, self._weights(density.view_as(along), along))
        along = torch.cat([along, finer], 1).sort(1).values
        density, colour = self._at(self._points(origin, rows, along))
        weights = self._weights(density.view_as(along), along)
        rgb = (weights[..., None] * colour.view(*along.shape, 3)).sum(1)
        square = (SIZE_PX, SIZE_PX)
        back = self.back(_encode(rows, _BACK_OCTAVES))
        return rgb.T.reshape(3, *square), weights.sum(1).reshape(square), back.T.reshape(3, *square), weights

    @staticmethod
    def _points(origin: torch.Tensor, rows: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
        return (origin + rows[:, None] * along[..., None]).clamp(-1, 1).reshape(-1, 3)

    @staticmethod
    def _weights(density: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
        steps = along.diff(dim=1, append=along[:, -1:] + 2 * 3**0.5 / COARSE)
        opacity = 1 - torch.exp(-density * steps)
        passed = torch.cumprod(torch.cat([torch.ones_like(opacity[:, :1]), 1 - opacity + 1e-15], 1), 1)
        return opacity * passed[:, :-1]

    @staticmethod
    def _where_matter_is(along: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Places drawn by the weights of the samples: the inverse of their distribution function."""
        share = torch.cumsum(weights + 1e-5, 1)
        share = share / share[:, -1:]
        drawn = torch.rand(len(along), FINE)
        after = torch.searchsorted(share, drawn).clamp(1, along.shape[1] - 1)
        low, high = along.gather(1, after - 1), along.gather(1, after)
        return low + (high - low) * torch.rand_like(drawn)


def view_name(camera: Camera) -> str:
    """Which of the four view prompts a camera has: overhead above 60 deg, front and back within 60 deg."""
    if camera.elevation_deg > 60:
        return "above"
    turn_deg = abs((camera.azimuth_deg + 180) % 360 - 180)
    return "front" if turn_deg < 30 else "back" if turn_deg > 150 else "side"


class Distiller:
    """A NeRF being distilled.

    Args:
        guide: Who judges the views.
        embeddings: Text embeddings by view name, each (tokens, width).
        guidance_scale: Of classifier-free guidance.
        steps: Planned, which the learning rate goes by.
        seed: Of all chance.
    """

    def __init__(
        self,
        guide: DiffusionGuide,
        embeddings: dict[str, torch.Tensor],
        *,
        guidance_scale: float,
        steps: int,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.nerf, self.guide, self.embeddings = PlainNerf(), guide, embeddings
        self.steps, self.done = steps, 0
        self.lead = ScoreDistillation(guidance_scale)
        self.optimiser = torch.optim.Adam(self.nerf.parameters(), lr=1e-3, betas=(0.9, 0.99), eps=1e-15)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._rate)
        self.generator = torch.Generator().manual_seed(seed)

    def _rate(self, step: int) -> float:
        warm = max(1, self.steps // 20)
        if step <= warm:
            return max(step, 1) / warm
        return max(0.5 * (math.cos((step - warm) / (self.steps - warm) * math.pi) + 1), 0.1)

    def step(self) -> None:
        """One step with one view."""
        (camera,) = sample_cameras(1, self.generator)
        rgb, alpha, back, weights = self.nerf(camera)
        latents = self.guide.to_latents((rgb + (1 - alpha) * back)[None])
        count = len(self.guide.alpha_bars)
        t = torch.randint(round(0.02 * count), round(0.98 * count) + 1, (1,), generator=self.generator)
        noise = torch.randn(latents.shape, generator=self.generator)
        text = ViewText(self.embeddings[view_name(camera)])
        gradient = (1 - self.guide.alpha_bars[t]) * self.lead(self.guide, latents.detach(), t, noise, [text])
        loss = 0.5 * F.mse_loss(latents, (latents - gradient).detach(), reduction="sum")
        inside = weights.clamp(1e-5, 1 - 1e-5)
        entropy = (-inside * torch.log2(inside) - (1 - inside) * torch.log2(1 - inside)).mean()
        loss = loss + 1e-3 * min(1.0, 2 * self.done / self.steps) * entropy
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.done += 1

    @torch.no_grad()
    def view(self, camera: Camera) -> tuple[torch.Tensor, torch.Tensor]:
        """Colour on black (3, H, W) and opacity (H, W)."""
        return self.nerf(camera)[:2]
