"""Training the pocket model's UNet and text encoder together, on latents that are encoded once.

The forward process is x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) epsilon, with the noise schedule rescaled so
that the last step is pure noise (Lin et al. 2024, arXiv:2305.08891), which plain white and black grounds need. The
network predicts v = sqrt(alpha_bar_t) epsilon - sqrt(1 - alpha_bar_t) x_0 (Salimans and Ho 2022, arXiv:2202.00512);
steps of high signal are weighted down as in min-SNR weighting (Hang et al. 2023, arXiv:2303.09556), in the form
min(SNR + 1, gamma) / (SNR + 1) that stays 1 at pure noise. Captions are dropped at a fixed share for classifier-free
guidance. An exponential moving average of the weights is what ships.

On a CPU that multiplies bfloat16 in hardware the networks run in it, weights and loss staying float32; and
attention is written out, since over 64 places torch's fused kernel spends more time backwards than all convolutions.
`benchmarks/pocket_step.py` holds both against the plain way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from fungal_assets.diffusion.devices import mixed_precision, suit_attention
from fungal_assets.pocket.architecture import tokenize
from fungal_assets.pocket.autoencoding import one_cycle
from fungal_assets.pocket.checkpoints import append_losses, load_checkpoint, save_checkpoint
from fungal_assets.progress import Tell, Ticker


@dataclass(frozen=True)
class DiffusionSettings:
    """How the UNet and the text encoder are trained.

    Args:
        steps: Optimiser steps.
        batch_size: Pictures per step at the model's own size; of other sizes, as many as cover the same area.
        learning_rate: Its peak.
        decay: Share of the steps, at the end, over which the rate falls to zero: forms come while it falls.
        middle_share: Share of noise levels drawn around the middle; see `draw_steps`.
        caption_dropout: Share of captions left out, for classifier-free guidance.
        min_snr_gamma: Cap of the signal-to-noise ratio in the loss's weight.
        ema_decay: Of the moving average of the weights.
        checkpoint_every: Steps between checkpoints.
        is_compiled: Whether the networks are compiled first.
        seed: Of everything that is drawn.
    """

    steps: int = 4000
    batch_size: int = 32
    learning_rate: float = 6e-4
    decay: float = 0.9
    middle_share: float = 0.5
    caption_dropout: float = 0.1
    min_snr_gamma: float = 5.0
    ema_decay: float = 0.999
    checkpoint_every: int = 750
    is_compiled: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Corpus:
    """What is learnt from, of one size.

    Args:
        latents: Scaled latents, float32 (N, C, h, w).
        captions: One text per latent.
        weights: How often each is drawn, float (N,), any scale.
        share: How often a step is of this size, any scale.
    """

    latents: Tensor
    captions: Sequence[str]
    weights: Tensor
    share: float = 1.0


class TextAndUNet(nn.Module):
    """The two networks that learn, as one module: text ids and noisy latents in, prediction out."""

    def __init__(self, pipeline: StableDiffusionPipeline):
        super().__init__()
        self.unet, self.text_encoder = pipeline.unet, pipeline.text_encoder

    def forward(self, x_t: Tensor, t: Tensor, ids: Tensor) -> Tensor:
        """Prediction for x_t (B, 4, h, w) at steps t (B,) given token ids (B, L)."""
        return self.unet(x_t, t, self.text_encoder(ids).last_hidden_state).sample


def train_diffusion(
    pipeline: StableDiffusionPipeline,
    corpora: Sequence[Corpus],
    folder: Path,
    settings: DiffusionSettings,
    *,
    tell: Tell,
    on_checkpoint: Callable[[int], None] = lambda step: None,
) -> None:
    """Train in place, on the pipeline's device, going on from the newest checkpoint in `folder`.

    Every step is of one size, drawn by the shares of the corpora. The moving average is left in the pipeline.

    `on_checkpoint` is called after each checkpoint with the averaged weights in place, for sample sheets.
    """
    suit_attention(pipeline.unet, pipeline.device)
    pipeline.text_encoder.set_attn_implementation("eager")
    model = TextAndUNet(pipeline)
    if settings.is_compiled:
        model.compile(dynamic=False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=0.01, betas=(0.9, 0.99), fused=True
    )
    ema = EMAModel(
        model.parameters(), decay=settings.ema_decay, use_ema_warmup=True, power=0.75, foreach=True
    )
    averages = {str(index): value for index, value in enumerate(ema.shadow_params)}
    first = load_checkpoint(folder, {"model": model, "ema": averages}, optimizer)
    ema.shadow_params = [averages[str(index)].to(pipeline.device) for index in range(len(averages))]
    ema.optimization_step = first
    ids = [tokenize(pipeline.tokenizer, corpus.captions) for corpus in corpora]
    shares = torch.tensor([corpus.share for corpus in corpora])
    area = settings.batch_size * pipeline.unet.config.sample_size**2
    empty = tokenize(pipeline.tokenizer, [""])[0]
    alphas = pipeline.scheduler.alphas_cumprod
    ticker, recent = Ticker(tell, "diffusion", settings.steps, every_s=20, done=first), []
    for step in range(first, settings.steps):
        rate = one_cycle(step, settings.steps, decay=settings.decay)
        optimizer.param_groups[0]["lr"] = settings.learning_rate * rate
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        size = int(torch.multinomial(shares, 1, generator=generator))
        corpus, count = corpora[size], batch_of(corpora[size].latents, area)
        picks = torch.multinomial(corpus.weights, count, replacement=True, generator=generator)
        dropped = torch.rand(count, generator=generator) < settings.caption_dropout
        tokens = torch.where(dropped[:, None], empty, ids[size][picks])
        shift = corpus.latents.shape[-1] / pipeline.unet.config.sample_size
        t = draw_steps(count, len(alphas), generator, middle_share=settings.middle_share, shift=shift)
        loss = v_loss(
            model, corpus.latents[picks], tokens, t, alphas, generator, gamma=settings.min_snr_gamma
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.step(model.parameters())
        recent.append(loss.item())
        if ticker.tick(step + 1, {"loss": sum(recent[-50:]) / len(recent[-50:])}):
            append_losses(folder / "losses.jsonl", [{"step": step + 1, "loss": sum(recent) / len(recent)}])
            recent = recent[-50:]
        if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
            shadow = {str(index): value for index, value in enumerate(ema.shadow_params)}
            save_checkpoint(folder, step + 1, {"model": model, "ema": shadow}, optimizer)
            ema.store(model.parameters())
            ema.copy_to(model.parameters())
            on_checkpoint(step + 1)
            ema.restore(model.parameters())
    ema.copy_to(model.parameters())


def batch_of(latents: Tensor, area: int) -> int:
    """How many latents (N, C, h, w) cover an area of so many places, at least one."""
    return max(1, area // (latents.shape[-2] * latents.shape[-1]))


def draw_steps(
    count: int, levels: int, generator: torch.Generator, *, middle_share: float, shift: float = 1.0
) -> Tensor:
    """Steps of the noise schedule to learn at, int64 (count,), from 0 to `levels` - 1.

    A share of them is logit-normal (Esser et al. 2024, arXiv:2403.03206), around the middle, where forms are settled;
    the others are uniform. In a picture of `shift` times the model's own side the same noise hides less, so that forms
    are settled at more of it: u becomes s u / (1 + (s - 1) u), as in the same paper.
    """
    uniform = torch.rand(count, generator=generator)
    middle = torch.randn(count, generator=generator).sigmoid()
    is_middle = torch.rand(count, generator=generator) < middle_share
    drawn = torch.where(is_middle, middle, uniform)
    return (shift * drawn / (1 + (shift - 1) * drawn) * levels).long().clamp(max=levels - 1)


def v_loss(
    model: nn.Module,
    x_0: Tensor,
    tokens: Tensor,
    t: Tensor,
    alphas_bar: Tensor,
    generator: torch.Generator,
    *,
    gamma: float,
) -> Tensor:
    """Weighted mean squared error of v at steps t (B,) over a batch, scalar; see the module's equations."""
    epsilon = torch.randn(x_0.shape, generator=generator)
    alpha_bar = alphas_bar[t].view(-1, 1, 1, 1)
    device = next(model.parameters(), x_0).device
    x_0, tokens, t, epsilon, alpha_bar = (part.to(device) for part in (x_0, tokens, t, epsilon, alpha_bar))
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    v = signal * epsilon - noise * x_0
    with mixed_precision(x_0.device, on_cpu=True):
        predicted = model(signal * x_0 + noise * epsilon, t, tokens).float()
    snr = (alpha_bar / (1 - alpha_bar)).flatten()
    weight = (snr + 1).clamp(max=gamma) / (snr + 1)
    return (weight * (predicted - v).square().mean(dim=(1, 2, 3))).mean()
