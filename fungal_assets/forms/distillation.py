"""Score distillation: a volume is changed until a guide finds its pictures likely under a prompt.

At each step a few views are rendered on plain grounds of chance colours, encoded and noised to a timestep t; the
volume follows the gradient (B. Poole et al., "DreamFusion", 2022)

    w(t) (eps_guided(x_t; prompt, view) - eps) d latents / d volume,   w(t) = sqrt((1 - alpha_bar(t)) / alpha_bar(t))

With that weight it is the difference between the latents and the clean ones that the guide sees in them, at every t
alike. With 1 - alpha_bar(t), the usual one, a schedule that ends in pure noise leaves a tenth of it at t = 900, where
the guide says where a cap and a stem go. Most of the noise is one noise of the form's own, shared by all steps and
views: the guide leads to one picture, not to a new one at each step (A. Lukoianov et al., "Score Distillation via
Reparametrized DDIM", 2024).

Timesteps fall as the form grows (first the whole, then the detail), and the grid doubles its resolution at half time.
All chance comes from (seed, step), so a killed run that goes on ends as an unbroken one does. Belongs here: the loop,
its schedule and its resume state. Torch kernel.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch  # noqa: TID253
from safetensors import safe_open
from safetensors.torch import save_file

from fungal_assets.forms import priors
from fungal_assets.forms.guidance import Guide
from fungal_assets.forms.views import sample_cameras, word_shares
from fungal_assets.forms.volume import Camera, View, Volume, render, upsample

Embeddings = Sequence[Mapping[str, torch.Tensor]]
_LEAST_ALPHA_BAR = 2e-3
OnStep = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Recipe:
    """How one form is distilled.

    Args:
        iterations: Optimiser steps.
        grid_size: Samples along each side of the final grid; half of it until half time.
        view_size_px: Side of the rendered views; the guide brings them to its own size.
        views_per_step: Views per step.
        guidance_scale: Of classifier-free guidance.
        grounds: Lightness of each plain ground that the views stand on, 0 to 1. Two that differ much keep a form
            from being glassy: what is clear can't look right on both.
        seed: Decides everything that is left to chance.
        density_rate: Learning rate of the density at the start; colour learns at two thirds of it.
        guide_weight: Weight of the guide's gradient against the priors.
        entropy_weight: Final weight of the alpha entropy, reached at half time.
        majority_weight: Final weight of the majority prior, reached at the end.
        smoothness: Weight of the density's total variation; the colour's is half of it.
        fresh_noise: Share of the noise, by amplitude, that is new at each step, 0 to 1.
    """

    iterations: int
    grid_size: int
    view_size_px: int
    views_per_step: int
    guidance_scale: float
    grounds: tuple[float, ...]
    seed: int
    density_rate: float = 0.12
    guide_weight: float = 0.02
    entropy_weight: float = 0.05
    majority_weight: float = 2.0
    smoothness: float = 2e-3
    fresh_noise: float = 0.3


@dataclass
class _State:
    """A volume being grown and its optimiser; `step` steps are done."""

    density: torch.Tensor
    colour: torch.Tensor
    optimiser: torch.optim.Adam
    step: int

    @property
    def volume(self) -> Volume:
        return Volume(self.density, self.colour)


def distill(
    guide: Guide,
    embeddings: Embeddings,
    recipe: Recipe,
    *,
    resume_path: Path | None = None,
    save_every_s: float = 10.0,
    on_step: OnStep = lambda _step, _figures: None,
) -> Volume:
    """Grow one form.

    Args:
        guide: Who judges the views.
        embeddings: For each ground of the recipe, the text embeddings, each (tokens, width), by view word (see
            `views.word_shares`).
        recipe: How.
        resume_path: Where the state is kept every `save_every_s` seconds; a state found there is gone on with.
        save_every_s: Seconds between two savings.
        on_step: Told the number of steps done and the losses.

    Returns:
        The volume, detached, `grid_size` samples along each side.
    """
    state = _restore(resume_path, recipe) or _begin(recipe)
    saved_s = time.monotonic()
    while state.step < recipe.iterations:
        if _grid_at(state.step, recipe) != state.density.shape[0]:
            state = _optimised(upsample(_detached(state.volume), (recipe.grid_size,) * 3), state.step)
        losses = _take_step(state, guide, embeddings, recipe)
        if resume_path is not None and time.monotonic() - saved_s >= save_every_s:
            _save(resume_path, state, recipe)
            saved_s = time.monotonic()
        on_step(state.step, losses)
    return _detached(state.volume)


def timestep_span(progress: float, steps: int = 1000) -> tuple[int, int]:
    """Lowest and highest timestep at that share of the run: from 860..940 down to 20..100 of 1000."""
    middle = 0.9 - 0.84 * progress**0.8
    return round(steps * (middle - 0.04)), round(steps * (middle + 0.04))


def _take_step(state: _State, guide: Guide, embeddings: Embeddings, recipe: Recipe) -> dict[str, float]:
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + state.step)
    progress = state.step / recipe.iterations
    for group, share in zip(state.optimiser.param_groups, (1.0, 2 / 3), strict=True):
        group["lr"] = recipe.density_rate * share * (1 - 0.7 * progress)
    cameras = sample_cameras(recipe.views_per_step, generator)
    views = [render(state.volume, camera, recipe.view_size_px) for camera in cameras]
    guided = _guide_loss(views, cameras, guide, embeddings, recipe, progress, generator)
    shape = _shape_loss(state.volume, views, recipe, progress)
    state.optimiser.zero_grad(set_to_none=True)
    (recipe.guide_weight * guided + shape).backward()
    state.optimiser.step()
    state.step += 1
    coverage = torch.stack([view.alpha.detach() for view in views]).mean()
    return {"shape_loss": float(shape.detach()), "alpha": float(coverage)}


def _guide_loss(
    views: list[View],
    cameras: list[Camera],
    guide: Guide,
    embeddings: Embeddings,
    recipe: Recipe,
    progress: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """A number whose gradient is the guide's direction; its value means nothing."""
    chosen = torch.randint(len(recipe.grounds), (len(views),), generator=generator)
    grounds = _grounds(torch.tensor(recipe.grounds)[chosen], generator)
    latents = guide.to_latents(
        torch.stack([view.over(ground) for view, ground in zip(views, grounds, strict=True)])
    )
    lowest, highest = timestep_span(progress, len(guide.alpha_bars))
    timesteps = torch.randint(lowest, highest + 1, (len(views),), generator=generator)
    noise = _noise(latents, recipe, generator)
    texts = torch.stack(
        [mix(embeddings[i], camera) for i, camera in zip(chosen.tolist(), cameras, strict=True)]
    )
    with torch.no_grad():
        direction = guide.direction(latents, timesteps, noise, texts, guidance_scale=recipe.guidance_scale)
        alpha_bar = guide.alpha_bars[timesteps].clamp(min=_LEAST_ALPHA_BAR)[:, None, None, None]
        weight = ((1 - alpha_bar) / alpha_bar).sqrt()
    return (weight * direction * latents).sum() / len(views)


def _shape_loss(volume: Volume, views: list[View], recipe: Recipe, progress: float) -> torch.Tensor:
    alpha, cell_alpha = torch.stack([view.alpha for view in views]), volume.cell_alpha()
    return (
        recipe.entropy_weight * min(1.0, 2 * progress) * priors.alpha_entropy(alpha)
        + recipe.majority_weight * progress * priors.majority(cell_alpha)
        + recipe.smoothness * priors.total_variation(volume.density)
        + 0.5 * recipe.smoothness * priors.total_variation(volume.colour)
        + 0.1 * priors.touching_the_box(cell_alpha)
    )


def _noise(latents: torch.Tensor, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    """Unit noise for latents (B, C, h, w): the form's own in all of them, and a share that is new."""
    own = torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(recipe.seed))
    fresh = torch.randn(latents.shape, generator=generator)
    return (1 - recipe.fresh_noise**2) ** 0.5 * own + recipe.fresh_noise * fresh


def mix(embeddings: Mapping[str, torch.Tensor], camera: Camera) -> torch.Tensor:
    """The text embedding of one camera, (tokens, width): those of its view words, by their shares."""
    shares = word_shares(camera, embeddings)
    return sum(share * embeddings[name] for name, share in shares.items())  # type: ignore[return-value]


def _grounds(lightness: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Plain sRGB grounds, shape (count, 3), near the lightness of each, shape (count,), with little colour."""
    tint = 0.03 * torch.randn(len(lightness), 3, generator=generator)
    return (lightness[:, None] + tint).clamp(0, 1)


def _grid_at(step: int, recipe: Recipe) -> int:
    return recipe.grid_size if step >= recipe.iterations // 2 else recipe.grid_size // 2


def _begin(recipe: Recipe) -> _State:
    generator = torch.Generator().manual_seed(recipe.seed)
    return _optimised(priors.blob(_grid_at(0, recipe), generator), 0)


def _optimised(volume: Volume, step: int) -> _State:
    density, colour = volume.density.clone().requires_grad_(), volume.colour.clone().requires_grad_()
    optimiser = torch.optim.Adam([{"params": [density]}, {"params": [colour]}], betas=(0.9, 0.99), eps=1e-8)
    return _State(density, colour, optimiser, step)


def _detached(volume: Volume) -> Volume:
    return Volume(volume.density.detach(), volume.colour.detach(), volume.bounds)


def _save(path: Path, state: _State, recipe: Recipe) -> None:
    """Write the state under a temporary name and rename it."""
    tensors = {"density": state.density.detach(), "colour": state.colour.detach()}
    for name, parameter in (("density", state.density), ("colour", state.colour)):
        kept = state.optimiser.state[parameter]
        tensors |= {f"{name}.{moment}": kept[moment].contiguous() for moment in ("exp_avg", "exp_avg_sq")}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    save_file(tensors, temporary, {"step": str(state.step), "recipe": repr(recipe)})
    temporary.replace(path)


def _restore(path: Path | None, recipe: Recipe) -> _State | None:
    """The state kept at `path`, unless there is none or it is another recipe's."""
    if path is None or not path.exists():
        return None
    with safe_open(path, "pt") as file:
        notes = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    if notes["recipe"] != repr(recipe):
        return None
    step = int(notes["step"])
    state = _optimised(Volume(tensors["density"], tensors["colour"]), step)
    done = step if len(tensors["density"]) < recipe.grid_size else step - recipe.iterations // 2
    for name, parameter in (("density", state.density), ("colour", state.colour)):
        moments = {moment: tensors[f"{name}.{moment}"] for moment in ("exp_avg", "exp_avg_sq")}
        state.optimiser.state[parameter] = moments | {"step": torch.tensor(float(done))}
    return state
