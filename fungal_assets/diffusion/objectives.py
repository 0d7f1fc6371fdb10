r"""What the model is asked to predict, and how much each noise level counts.

With the variance-preserving process x_t = sqrt(a) x_0 + sqrt(1 - a) e, where a is `alpha_bar` at step t and e
is white noise (Ho et al. 2020, arXiv:2006.11239), a model predicts either e ("epsilon") or v = sqrt(a) e -
sqrt(1 - a) x_0 ("v_prediction", Salimans and Ho 2022, arXiv:2202.00512). Weights per noise level are min-SNR
(Hang et al. 2023, arXiv:2303.09556). With rectified flow x_t = (1 - s) x_0 + s e and the model predicts the velocity
e - x_0 (Esser et al. 2024, arXiv:2403.03206). Only these formulas belong here.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253

from fungal_assets.errors import InputError

PREDICTION_TYPES = ("epsilon", "v_prediction")


@dataclass(frozen=True)
class Objective:
    """The noise schedule of one base model and what it predicts.

    Args:
        alpha_bar: float32, shape (T,), share of signal variance left at each step, falling within 0 to 1.
        prediction_type: `"epsilon"` or `"v_prediction"`.
        min_snr_gamma: Signal-to-noise ratio above which a noise level counts no more; 0 weights all alike.
    """

    alpha_bar: torch.Tensor
    prediction_type: str
    min_snr_gamma: float

    @classmethod
    def of(cls, scheduler: Any, min_snr_gamma: float, device: torch.device) -> Objective:
        """The objective that a pipeline's scheduler was configured with.

        Raises:
            InputError: The model predicts something else.
        """
        if is_flow(scheduler):
            return Flow.shifted(scheduler.config.shift, scheduler.config.num_train_timesteps, device)
        kind = scheduler.config.prediction_type
        if kind not in PREDICTION_TYPES:
            raise InputError(
                f"the base model's scheduler says prediction_type {kind!r}; expected one of "
                f"{PREDICTION_TYPES!r}. Choose another base model."
            )
        return cls(scheduler.alphas_cumprod.to(device, torch.float32), kind, min_snr_gamma)

    @property
    def steps(self) -> int:
        """T, the number of noise levels."""
        return len(self.alpha_bar)

    def drawn(self, t: torch.Tensor) -> torch.Tensor:
        """Noise levels to train at, int64 (B,), for such that are spread evenly over all of them."""
        return t

    def _pair(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How much of the latents and of the noise there is at steps `t`, float32 (B, 1, 1, 1)."""
        a = self.alpha_bar[t].view(-1, 1, 1, 1)
        return a.sqrt(), (1 - a).sqrt()

    def noised(self, x_0: torch.Tensor, e: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x_t for latents `x_0` and noise `e`, float32 (B, C, H, W), at steps `t`, int64 (B,)."""
        signal, noise = self._pair(t)
        return signal * x_0 + noise * e

    def target(self, x_0: torch.Tensor, e: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """What a perfect model answers to `noised(x_0, e, t)`."""
        if self.prediction_type == "epsilon":
            return e
        signal, noise = self._pair(t)
        return signal * e - noise * x_0

    def split(
        self, x_t: torch.Tensor, prediction: torch.Tensor, t: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The pair (x_0, e) that a prediction at `x_t` stands for."""
        signal, noise = self._pair(t)
        if self.prediction_type == "epsilon":
            return (x_t - noise * prediction) / signal.clamp(min=1e-4), prediction
        return signal * x_t - noise * prediction, noise * x_t + signal * prediction

    def weight(self, t: torch.Tensor) -> torch.Tensor:
        """min(s, gamma) / s, where s is SNR for epsilon and SNR + 1 for v; float32 (B,), 0 to 1.

        For v the one is added before the cap too, so that pure noise (SNR 0) weighs fully: a model whose
        schedule ends there decides layout and colour there.
        """
        a = self.alpha_bar[t]
        if self.min_snr_gamma <= 0:
            return torch.ones_like(a)
        snr = a / (1 - a).clamp(min=1e-8)
        s = snr.clamp(min=1e-8) if self.prediction_type == "epsilon" else snr + 1
        return s.clamp(max=self.min_snr_gamma) / s


@dataclass(frozen=True)
class Flow(Objective):
    """Rectified flow: noise levels s = t / T lie on a line from latents to noise.

    Training draws s as the logistic function of a normal number about log `shift`, so that large pictures, whose
    forms survive more noise, are seen at higher levels. Every level that is drawn counts the same.

    Args:
        alpha_bar: float32, shape (T,): here 1 - s.
        shift: The scheduler's.
    """

    shift: float = 1.0

    @classmethod
    def shifted(cls, shift: float, steps: int, device: torch.device) -> Flow:
        """That of a scheduler of so many steps."""
        return cls(1 - torch.arange(steps, device=device, dtype=torch.float32) / steps, "flow", 0.0, shift)

    def drawn(self, t: torch.Tensor) -> torch.Tensor:
        """See `Objective`: the quantiles of the distribution."""
        normal = torch.special.ndtri((t + 0.5) / self.steps)
        levels = torch.sigmoid(normal + math.log(self.shift)) * self.steps
        return levels.long().clamp(max=self.steps - 1)

    def _pair(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        signal = self.alpha_bar[t].view(-1, 1, 1, 1)
        return signal, 1 - signal

    def target(self, x_0: torch.Tensor, e: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """See `Objective`: the velocity."""
        return e - x_0

    def split(
        self, x_t: torch.Tensor, prediction: torch.Tensor, t: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Objective`."""
        signal, noise = self._pair(t)
        return x_t - noise * prediction, x_t + signal * prediction

    def weight(self, t: torch.Tensor) -> torch.Tensor:
        """See `Objective`: all alike, as the levels are drawn by what they count."""
        return torch.ones_like(self.alpha_bar[t])


def is_flow(scheduler: Any) -> bool:
    """Whether a scheduler is one of rectified flow."""
    return type(scheduler).__name__.startswith("FlowMatch")


def stratified_steps(count: int, total: int, generator: torch.Generator) -> torch.Tensor:
    """Noise levels, int64 (count,): one from each of `count` equal parts of 0 to `total` - 1, shuffled.

    A batch that covers all levels evenly has a far steadier loss than one of independent draws.
    """
    parts = torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
    return (parts / max(count, 1) * total).long().clamp(max=total - 1)


def learning_rate_at(step: int, *, peak: float, steps: int) -> float:
    """Learning rate of a step, 0 to `steps` - 1: warm-up over a twentieth, then half a cosine to a tenth."""
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    share = (step - warm_up) / max(1, steps - warm_up)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))
