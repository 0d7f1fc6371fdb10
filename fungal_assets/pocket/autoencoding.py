"""Training the pocket model's autoencoder: crops in, the same crops out, through 8 numbers per 8 by 8 pixels.

The pixel loss is L1 on pixels, on averages over 4 and 16 pixels, and on horizontal and vertical differences, so that
edges stay sharp without a discriminator. Left to itself the pair finds brightness first and colour after thousands of
steps; so it begins as a principal component analysis. The leading components of 8 by 8 pixel patches hold most of
their variance; for the first steps the encoder learns to give them and the decoder to paint from them, then both go on
together, the encoder still held to the components, which keeps the latents smooth. It trains on 64 px crops, which is
what a fully convolutional autoencoder allows, and is measured on pictures that it hasn't seen.

The components are not made equally large: each is divided by the fourth root of its variance only. What holds more of
the picture stands out of the noise for longer, so that diffusion settles layout and colour before detail, as it does on
pixels, and the detail that four numbers can't hold costs it little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.pocket.checkpoints import append_losses, load_checkpoint, save_checkpoint
from fungal_assets.progress import Tell, Ticker

CROP_PX = 64
AVERAGED_PX = (4, 16)


@dataclass(frozen=True)
class VaeSettings:
    """How the autoencoder is trained."""

    steps: int = 3000
    batch_size: int = 16
    learning_rate: float = 1e-3
    separate_steps: int = 350
    anchor_weight: float = 0.05
    latent_noise: float = 0.05
    edge_weight: float = 0.25
    seed: int = 0


def to_signed(images: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W), -1 to 1."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def from_signed(pixels: Tensor) -> np.ndarray:
    """float32 (B, 3, H, W), clipped to -1 to 1, to uint8 (B, H, W, 3)."""
    return ((pixels.clamp(-1, 1).permute(0, 2, 3, 1) + 1) * 127.5).round().byte().cpu().numpy()


def train_vae(
    vae: AutoencoderKL, images: np.ndarray, folder: Path, settings: VaeSettings, *, tell: Tell
) -> None:
    """Train in place on uint8 (N, H, W, 3), on the autoencoder's device, from the newest checkpoint in `folder` on.

    Sets `vae.config.scaling_factor` to one over the latents' standard deviation, so that diffusion sees unit variance.
    """
    components_of = fit_components(images, count=vae.config.latent_channels)
    _narrow_posterior(vae)
    optimizer = torch.optim.AdamW(
        vae.parameters(), lr=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.99)
    )
    first = load_checkpoint(folder, {"vae": vae}, optimizer)
    ticker = Ticker(tell, "autoencoder", settings.steps, every_s=20, done=first)
    for step in range(first, settings.steps):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * one_cycle(step, settings.steps)
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        crops = to_signed(_random_crops(images, settings.batch_size, generator))
        components, is_separate = components_of(crops), step < settings.separate_steps
        noise = settings.latent_noise * torch.randn(components.shape, generator=generator)
        batch, components, noise = (tensor.to(vae.device) for tensor in (crops, components, noise))
        with mixed_precision(vae.device, on_cpu=True):
            latents = vae.encode(batch).latent_dist.mean
            decoded = vae.decode((components if is_separate else latents) + noise).sample
        loss = _pixel_loss(decoded.float(), batch, settings.edge_weight)
        anchor_weight = 1.0 if is_separate else settings.anchor_weight
        loss = loss + anchor_weight * F.mse_loss(latents.float(), components)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        if ticker.tick(step + 1, {"loss": loss.item()}):
            append_losses(folder / "losses.jsonl", [{"step": step + 1, "loss": loss.item()}])
        if (step + 1) % 400 == 0 or step + 1 == settings.steps:
            save_checkpoint(folder, step + 1, {"vae": vae}, optimizer)
    vae.register_to_config(scaling_factor=float(1 / encode(vae, images[:256]).std()))


def fit_components(images: np.ndarray, *, count: int) -> Callable[[Tensor], Tensor]:
    """The leading principal components of 8 by 8 pixel patches, half whitened, as a map from pictures to latents.

    Args:
        images: uint8, shape (N, H, W, 3).
        count: How many components.

    Returns:
        A function from float32 (B, 3, H, W), -1 to 1, to float32 (B, count, H/8, W/8): the largest component first,
        each over the fourth root of its variance, all of them together of unit variance.
    """
    patches = F.unfold(to_signed(images[::16]), 8, stride=8).permute(0, 2, 1).reshape(-1, 192)
    mean = patches.mean(dim=0)
    variances, directions = torch.linalg.eigh(torch.cov((patches - mean).T))
    kept = variances[-count:]
    weight = (directions[:, -count:] / kept.pow(0.25) / kept.sqrt().mean().sqrt()).T.flip(0)
    kernel, bias = weight.reshape(count, 3, 8, 8), -(weight @ mean)
    return lambda pictures: F.conv2d(pictures, kernel, bias, stride=8)


@torch.no_grad()
def _narrow_posterior(vae: AutoencoderKL) -> None:
    """Set the encoder's log-variance to a constant -6: it is not trained, and sampling moves a latent by 0.05."""
    channels = vae.config.latent_channels
    vae.quant_conv.weight[channels:] = 0.0
    vae.quant_conv.bias[channels:] = -6.0


def one_cycle(step: int, steps: int, *, warm_up: int = 100, decay: float = 0.4) -> float:
    """Learning rate over its peak: linear warm-up, constant, then linear to zero over the last `decay` of the steps."""
    return min(1.0, (step + 1) / warm_up, max((steps - step) / (decay * steps), 0.0))


@torch.no_grad()
def encode(vae: AutoencoderKL, images: np.ndarray, *, batch_size: int = 8) -> Tensor:
    """Mean latents of uint8 (N, H, W, 3), unscaled: float32 (N, 4, H/8, W/8)."""
    parts = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    with mixed_precision(vae.device, on_cpu=True):
        means = (vae.encode(to_signed(part).to(vae.device)).latent_dist.mean for part in parts)
        return torch.cat([mean.float().cpu() for mean in means]).contiguous()


@torch.no_grad()
def psnr_db(vae: AutoencoderKL, images: np.ndarray) -> float:
    """Mean peak signal-to-noise ratio of reconstructions of uint8 (N, H, W, 3), in dB."""
    values: list[float] = []
    for start in range(0, len(images), 16):
        batch = to_signed(images[start : start + 16]).to(vae.device)
        decoded = vae.decode(vae.encode(batch).latent_dist.mean).sample.clamp(-1, 1)
        errors = ((decoded - batch) / 2).square().mean(dim=(1, 2, 3)).clamp_min(1e-10)
        values += (-10 * errors.log10()).tolist()
    return float(np.mean(values))


def _random_crops(images: np.ndarray, count: int, generator: torch.Generator) -> np.ndarray:
    height, width = images.shape[1:3]
    picks = torch.randint(len(images), (count,), generator=generator).tolist()
    tops = torch.randint(height - CROP_PX + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(width - CROP_PX + 1, (count,), generator=generator).tolist()
    crops: Sequence[np.ndarray] = [
        images[pick, top : top + CROP_PX, left : left + CROP_PX]
        for pick, top, left in zip(picks, tops, lefts, strict=True)
    ]
    return np.stack(crops)


def _pixel_loss(decoded: Tensor, target: Tensor, edge_weight: float) -> Tensor:
    error = decoded - target
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    averages = sum(F.avg_pool2d(error, side_px).abs().mean() for side_px in AVERAGED_PX)
    return error.abs().mean() + averages + edge_weight * edges
