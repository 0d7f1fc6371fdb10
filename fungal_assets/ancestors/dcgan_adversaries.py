"""The two networks at play against each other: one step of both, and all that changes in it.

Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014. With D the discriminator's logits, G the generator and
z noise, the discriminator minimises and then the generator, on the same drawn pictures,

    logistic    E softplus(-D(x)) + E softplus(D(G(z)))        and    E softplus(-D(G(z)))
    hinge       E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))     and    -E D(G(z))

The logistic losses are binary cross entropy of the sigmoid, the generator's in the half that does not saturate.

What makes a step cheap: layers keep channels last; products are in bfloat16 where the machine multiplies in it; the
generator's half computes no gradients of the discriminator's weights. `benchmarks/ancestors_dcgan.py` measures each.
Real and drawn pictures pass the discriminator one after the other, as their statistics must stay apart.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.ancestors.dcgan_augment import draw_change
from fungal_assets.ancestors.dcgan_images import draw_latents, generator_of
from fungal_assets.ancestors.dcgan_models import Discriminator, Generator, begin
from fungal_assets.ancestors.dcgan_presets import Recipe
from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.diffusion.stepping import memory_tensors, restore_memory

BETAS = (0.5, 0.999)
_G, _D = "generator.", "discriminator."


@dataclass(frozen=True)
class Losses:
    """What a step found, as tensors on the device, so that nothing waits for them.

    Args:
        generator: Its loss.
        discriminator: Its loss.
        real: Mean probability that the discriminator gives real pictures.
        drawn: And drawn ones, before the step.
    """

    generator: torch.Tensor
    discriminator: torch.Tensor
    real: torch.Tensor
    drawn: torch.Tensor

    def as_row(self) -> dict[str, float | None]:
        """The numbers, by what the curve calls them."""
        return {
            "generator_loss": float(self.generator),
            "discriminator_loss": float(self.discriminator),
            "real_score": float(self.real),
            "drawn_score": float(self.drawn),
        }


class Adversaries:
    """Both networks, their optimisers and the generator's average.

    Args:
        recipe: How they are trained.
        size_px: Side of the pictures.
        device: Where they are.
    """

    def __init__(self, recipe: Recipe, size_px: int, device: torch.device):
        self._recipe, self._size_px, self._device = recipe, size_px, device
        self.generator = Generator(size_px, recipe.latent_size, recipe.width)
        self.discriminator = Discriminator(size_px, recipe.width, has_spectral_norm=recipe.has_spectral_norm)
        begin(self.generator, generator_of(recipe.seed, "generator", 0))
        begin(self.discriminator, generator_of(recipe.seed, "discriminator", 0))
        for network in (self.generator, self.discriminator):
            network.to(device, memory_format=torch.channels_last).train()
        self._drawing = _adam(self.generator, recipe.learning_rate, device)
        self._telling = _adam(self.discriminator, recipe.discriminator_rate, device)
        self._average = [parameter.detach().clone() for parameter in self.generator.parameters()]
        self.steps = 0
        self.is_whole = True
        self.losses: Losses | None = None

    def step(self, real: torch.Tensor) -> None:
        """Move the discriminator, then the generator; all that is drawn is decided by the seed and the steps done.

        Within a step `is_whole` is False, and stays so where one does not come to its end; after it `steps` is one
        more, and `losses` are its own.

        Args:
            real: Real pictures, float32, shape (B, 3, S, S), -1 to 1.
        """
        recipe, step = self._recipe, self.steps
        self.is_whole = False
        latents = draw_latents(len(real), recipe.latent_size, generator_of(recipe.seed, "latents", step)).to(
            self._device
        )
        with self._precise():
            drawn = self.generator(latents)
        of_real, of_drawn = self._tell_apart(real, drawn.detach(), step)
        discriminator_loss = _discriminator_loss(recipe.loss, of_real, of_drawn)
        _move(self._telling, discriminator_loss)

        self.discriminator.requires_grad_(False)
        with self._precise():
            judged = self.discriminator(self._changed(drawn, "generator's changes", step)).float()
        generator_loss = F.softplus(-judged).mean() if recipe.loss == "logistic" else -judged.mean()
        _move(self._drawing, generator_loss)
        self.discriminator.requires_grad_(True)
        self._average_in(step)
        self.losses = Losses(
            generator_loss.detach(),
            discriminator_loss.detach(),
            of_real.detach().sigmoid().mean(),
            of_drawn.detach().sigmoid().mean(),
        )
        self.steps += 1
        self.is_whole = True

    def _precise(self) -> Any:
        return mixed_precision(self._device, on_cpu=True)

    def _changed(self, images: torch.Tensor, purpose: str, step: int) -> torch.Tensor:
        """Pictures as the discriminator sees them; of one purpose and step, changed alike."""
        kinds = self._recipe.augmentation
        if not kinds:
            return images
        drawing = generator_of(self._recipe.seed, purpose, step)
        change = draw_change(kinds, len(images), self._size_px, drawing)
        return change.to(self._device).apply(images)

    def _tell_apart(
        self, real: torch.Tensor, drawn: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of real and of drawn pictures, float32."""
        both = [
            self._changed(images.to(drawn.dtype), "discriminator's changes", step) for images in (real, drawn)
        ]
        with self._precise():
            return self.discriminator(both[0]).float(), self.discriminator(both[1]).float()

    @torch.no_grad()
    def _average_in(self, step: int) -> None:
        decay = min(self._recipe.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, list(self.generator.parameters()), 1 - decay)

    def averaged(self) -> dict[str, torch.Tensor]:
        """The generator's state with its averaged weights; where there is no average these are the weights."""
        names = [name for name, _ in self.generator.named_parameters()]
        return self.generator.state_dict() | dict(zip(names, self._average, strict=True))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that changes in training, by name."""
        found: dict[str, torch.Tensor] = {}
        for prefix, network, optimiser in self._sides():
            found |= {f"weights.{prefix}{name}": value for name, value in network.state_dict().items()}
            found |= memory_tensors(optimiser, [f"{prefix}{name}" for name, _ in network.named_parameters()])
        found |= {f"average.{index:03d}": value for index, value in enumerate(self._average)}
        return found | {"steps": torch.tensor(self.steps)}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `tensors` gave."""
        for prefix, network, optimiser in self._sides():
            start = f"weights.{prefix}"
            state = {
                name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
            }
            network.load_state_dict(state)
            parameters = {f"{prefix}{name}": value for name, value in network.named_parameters()}
            restore_memory(optimiser, parameters, tensors)
        for index, value in enumerate(self._average):
            value.copy_(tensors[f"average.{index:03d}"])
        self.steps = int(tensors["steps"])

    def _sides(self) -> tuple[tuple[str, torch.nn.Module, torch.optim.Optimizer], ...]:
        return (_G, self.generator, self._drawing), (_D, self.discriminator, self._telling)


def _adam(network: torch.nn.Module, rate: float, device: torch.device) -> torch.optim.Optimizer:
    fused = device.type in ("cpu", "cuda")
    return torch.optim.Adam(network.parameters(), lr=rate, betas=BETAS, fused=fused)


def _discriminator_loss(kind: str, of_real: torch.Tensor, of_drawn: torch.Tensor) -> torch.Tensor:
    if kind == "logistic":
        return F.softplus(-of_real).mean() + F.softplus(of_drawn).mean()
    return F.relu(1 - of_real).mean() + F.relu(1 + of_drawn).mean()


def _move(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
