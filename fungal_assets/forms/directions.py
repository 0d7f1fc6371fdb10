"""Which way a guide leads the latents of a view: three ways of score distillation.

All say how the latents x_0 of a view should change, as noise: the loop weighs it (`distillation`).

`ScoreDistillation` (B. Poole et al., "DreamFusion", 2022) adds noise and asks what more the guide would take away,

    x_t = sqrt(ab_t) x_0 + sqrt(1 - ab_t) noise,    direction = eps_s(x_t; y) - noise,
    eps_s(x; y) = eps(x; -) + s (eps(x; y) - eps(x; -))

`IntervalScoreMatching` (Y. Liang et al., "LucidDreamer", 2024) adds none: it carries x_0 to x_t by steps of the guide's
own DDIM inversion without a prompt, the last from x_u, and asks for what the prompt changes over that interval,

    direction = eps_s(x_t; y) - eps(x_u; -)

`PerpNeg` (M. Armandpour et al., "Re-imagine the Negative Prompt Algorithm", 2023) is the first one led away from the
views that the camera does not have: of each such prompt n only the part that is orthogonal to the wanted one counts,

    eps = eps(x; -) + s (d_y + sum_n w_n (d_n - <d_n, d_y> / <d_y, d_y> d_y)),    d_p = eps(x; p) - eps(x; -),  w_n <= 0

Belongs here: those. What the guide is and what the direction is worth do not. Torch kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch  # noqa: TID253

from fungal_assets.errors import InputError

MethodName = Literal["sds", "ism", "perp_neg"]


class NoisePredictor(Protocol):
    """What a direction asks of a guide."""

    alpha_bars: torch.Tensor
    unconditional: torch.Tensor

    def predict_noise(
        self, x_t: torch.Tensor, timesteps: torch.Tensor, embeddings: torch.Tensor
    ) -> torch.Tensor:
        """The noise that it sees in x_t, float, shape (B, C, h, w), under embeddings (B, tokens, width)."""


@dataclass(frozen=True)
class ViewText:
    """What is said of one view.

    Args:
        wanted: Text embedding of the prompt as this camera has it, float, shape (tokens, width).
        unwanted: Embeddings of what it must not look like, each of that shape, with a weight of at most 0.
    """

    wanted: torch.Tensor
    unwanted: Sequence[tuple[torch.Tensor, float]] = ()


class Direction(Protocol):
    """A way of score distillation."""

    def text_of(self, embeddings: Mapping[str, torch.Tensor], shares: Mapping[str, float]) -> ViewText:
        """What is said of a view whose camera has those shares of the embeddings, by view word."""

    def __call__(
        self,
        guide: NoisePredictor,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        noise: torch.Tensor,
        texts: Sequence[ViewText],
    ) -> torch.Tensor:
        """Where each view's latents are to go from, as noise: float, the shape of `latents`; no gradient.

        Args:
            guide: Who is asked.
            latents: x_0, float, shape (B, C, h, w).
            timesteps: int64, shape (B,).
            noise: Unit noise of the latents' shape.
            texts: One per view.
        """


@dataclass(frozen=True)
class ScoreDistillation:
    """Score distillation with classifier-free guidance; 2 looks of the guide a view."""

    guidance_scale: float

    def text_of(self, embeddings: Mapping[str, torch.Tensor], shares: Mapping[str, float]) -> ViewText:
        """The embeddings mixed by their shares."""
        return ViewText(mix(embeddings, shares))

    @torch.no_grad()
    def __call__(
        self,
        guide: NoisePredictor,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        noise: torch.Tensor,
        texts: Sequence[ViewText],
    ) -> torch.Tensor:
        """See `Direction`."""
        x_t = add_noise(guide, latents, timesteps, noise)
        return guided_noise(guide, x_t, timesteps, texts, self.guidance_scale) - noise


@dataclass(frozen=True)
class IntervalScoreMatching:
    """Interval score matching; 2 looks a view and one per step of the inversion.

    Args:
        guidance_scale: Of classifier-free guidance; its authors take 7.5 with Stable Diffusion.
        interval: Share of the noise schedule between x_u and x_t.
        stride: Share of the schedule that one step of the inversion up to x_u covers at most.
    """

    guidance_scale: float
    interval: float = 0.05
    stride: float = 0.2

    def text_of(self, embeddings: Mapping[str, torch.Tensor], shares: Mapping[str, float]) -> ViewText:
        """The embeddings mixed by their shares."""
        return ViewText(mix(embeddings, shares))

    @torch.no_grad()
    def __call__(
        self,
        guide: NoisePredictor,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        noise: torch.Tensor,
        texts: Sequence[ViewText],
    ) -> torch.Tensor:
        """See `Direction`; the noise is not used."""
        steps = len(guide.alpha_bars)
        before = (timesteps - max(1, round(self.interval * steps))).clamp(min=0)
        count = max(1, math.ceil(float(before.max()) / (self.stride * steps)))
        places = [(before * index) // count for index in range(count + 1)]
        x, level = latents, torch.ones(len(latents))
        nothing = guide.unconditional.expand(len(latents), -1, -1)
        for here, there in zip(places, [*places[1:], timesteps], strict=True):
            seen = guide.predict_noise(x, here, nothing)
            x, level = ddim_step(x, seen, level, guide.alpha_bars[there]), guide.alpha_bars[there]
        return guided_noise(guide, x, timesteps, texts, self.guidance_scale) - seen


@dataclass(frozen=True)
class PerpNeg:
    """Score distillation that leads away from other views; 2 looks a view and one per other view word.

    Args:
        guidance_scale: Of classifier-free guidance.
        strength: How strongly a view word is avoided of which the camera has nothing.
        decay: How fast that fades as the camera's share of the word grows; above a share of 0.8 it is none.
    """

    guidance_scale: float
    strength: float = 1.0
    decay: float = 2.0

    def text_of(self, embeddings: Mapping[str, torch.Tensor], shares: Mapping[str, float]) -> ViewText:
        """The mixed embedding, and every other view word, each text once, with its weight."""
        from fungal_assets.forms.views import BARE

        unwanted: list[tuple[torch.Tensor, float]] = []
        for name, text in embeddings.items():
            own = sum(
                share for other, share in shares.items() if other != BARE and embeddings[other].equal(text)
            )
            is_known = any(kept.equal(text) for kept, _ in unwanted)
            if name != BARE and own <= _MOSTLY and not is_known:
                unwanted.append((text, -self.strength * math.exp(-self.decay * own)))
        return ViewText(mix(embeddings, shares), tuple(unwanted))

    @torch.no_grad()
    def __call__(
        self,
        guide: NoisePredictor,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        noise: torch.Tensor,
        texts: Sequence[ViewText],
    ) -> torch.Tensor:
        """See `Direction`."""
        x_t = add_noise(guide, latents, timesteps, noise)
        prompts = [[text.wanted, *(other for other, _ in text.unwanted)] for text in texts]
        views = torch.tensor([view for view, own in enumerate(prompts) for _ in (*own, None)])
        nothing = guide.unconditional[0].to(texts[0].wanted.device)
        asked = torch.stack([prompt for own in prompts for prompt in (*own, nothing)])
        seen = guide.predict_noise(x_t[views], timesteps[views], asked)
        led = []
        for view, text in enumerate(texts):
            *prompted, bare = seen[views == view]
            wanted, *unwanted = (one - bare for one in prompted)
            pull = wanted.clone()
            for (_, weight), other in zip(text.unwanted, unwanted, strict=True):
                pull += weight * perpendicular(other, wanted)
            led.append(bare + self.guidance_scale * pull)
        return torch.stack(led) - noise


_MOSTLY = 0.8


def direction_of(name: MethodName, guidance_scale: float) -> Direction:
    """The way of that name with its usual settings.

    Raises:
        InputError: There is none.
    """
    match name:
        case "sds":
            return ScoreDistillation(guidance_scale)
        case "ism":
            return IntervalScoreMatching(guidance_scale)
        case "perp_neg":
            return PerpNeg(guidance_scale)
    raise InputError(f"distillation is {name!r}; expected 'sds', 'ism' or 'perp_neg'.")


def mix(embeddings: Mapping[str, torch.Tensor], shares: Mapping[str, float]) -> torch.Tensor:
    """The sum of the embeddings by their shares, (tokens, width)."""
    return sum(share * embeddings[name] for name, share in shares.items())  # type: ignore[return-value]


def add_noise(
    guide: NoisePredictor, latents: torch.Tensor, timesteps: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """x_t of the latents, of their shape."""
    alpha_bar = guide.alpha_bars[timesteps].to(latents.device)[:, None, None, None]
    return alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * noise


def guided_noise(
    guide: NoisePredictor,
    x_t: torch.Tensor,
    timesteps: torch.Tensor,
    texts: Sequence[ViewText],
    guidance_scale: float,
) -> torch.Tensor:
    """Noise by classifier-free guidance, both halves as one batch: float, the shape of x_t."""
    wanted = torch.stack([text.wanted for text in texts])
    asked = torch.cat([wanted, guide.unconditional.to(wanted.device).expand_as(wanted)])
    seen = guide.predict_noise(torch.cat([x_t, x_t]), torch.cat([timesteps, timesteps]), asked)
    conditional, unconditional = seen.chunk(2)
    return unconditional + guidance_scale * (conditional - unconditional)


def ddim_step(
    x: torch.Tensor, eps: torch.Tensor, alpha_bar: torch.Tensor, next_alpha_bar: torch.Tensor
) -> torch.Tensor:
    """One deterministic step from one noise level to another (J. Song et al., "DDIM", 2020), up as well as down.

    Args:
        x: Latents at the first level, float, shape (B, C, h, w).
        eps: The noise seen in them, of that shape.
        alpha_bar: The first level of each, float, shape (B,).
        next_alpha_bar: The second.
    """
    here, there = (bar.to(x.device)[:, None, None, None] for bar in (alpha_bar, next_alpha_bar))
    clean = (x - (1 - here).sqrt() * eps) / here.sqrt()
    return there.sqrt() * clean + (1 - there).sqrt() * eps


def perpendicular(vector: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    """The part of a vector that is orthogonal to an axis; both float, of one shape."""
    along = (vector * axis).sum() / axis.square().sum().clamp(min=1e-12)
    return vector - along * axis
