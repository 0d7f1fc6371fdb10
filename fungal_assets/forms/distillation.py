"""Score distillation: a volume is changed until a guide finds its pictures likely under a prompt.

At each step a few views are rendered before what the guide paints behind such subjects, or plain grounds, with a little
colour by chance, and encoded; the volume follows the gradient

    w(t) direction(latents, t; prompt, view) d latents / d volume,   w(t) = sqrt((1 - alpha_bar(t)) / alpha_bar(t))

with one of the `directions`, score distillation (B. Poole et al., "DreamFusion", 2022) by default. With that weight
it is the difference between the latents and the clean ones that the guide sees in them, at every t alike. With 1 -
alpha_bar(t), the usual one, a schedule that ends in pure noise leaves a tenth of it at t = 900, where the guide says
where a cap and a stem go. Most of the noise is one noise of the form's own, shared by all steps and views: the guide
leads to one picture, not to a new one at each step (A. Lukoianov et al., "Score Distillation via Reparametrized
DDIM", 2024).

Timesteps fall as the form grows (first the whole, then the detail). A form that begins without a first guess has half
the resolution until half time. All chance comes from the seed and the step, so a killed run that goes on ends as an
unbroken one does. Belongs here: the loop, its schedule and its resume state. Torch kernel.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from safetensors import safe_open
from safetensors.torch import save_file

from fungal_assets.errors import InputError
from fungal_assets.forms import priors
from fungal_assets.forms.directions import MethodName, direction_of
from fungal_assets.forms.guidance import Guide
from fungal_assets.forms.shading import lamp, lit, mapped
from fungal_assets.forms.views import sample_cameras, word_shares
from fungal_assets.forms.volume import Camera, View, Volume, render, upsample
from fungal_assets.progress import OnStep, ignore_step

Embeddings = Sequence[Mapping[str, torch.Tensor]]
_LEAST_ALPHA_BAR = 2e-3
_FLOOR_ONLY_DEG = 20
_LAMPS = 500_000_003
"""Apart from the seeds of all other chance, so that a lamp changes nothing else."""


@dataclass(frozen=True)
class Recipe:
    """How one form is distilled.

    Args:
        iterations: Optimiser steps.
        grid_size: Samples along each side of the final grid.
        view_size_px: Side of the rendered views; the guide brings them to its own size.
        views_per_step: Views per step.
        guidance_scale: Of classifier-free guidance.
        grounds: Lightness of each ground that the views stand on where there is no backdrop, 0 to 1. Two that differ
            much keep a form from being glassy: what is clear can't look right on both.
        seed: Decides everything that is left to chance.
        density_rate: Learning rate of the density at the start.
        colour_rate: Learning rate of the colour at the start.
        guide_weight: Weight of the guide's gradient against the priors.
        entropy_weight: Final weight of the alpha entropy, reached at half time.
        majority_weight: Final weight of the majority prior, reached at the end.
        smoothness: Weight of the density's total variation; the colour's is half of it.
        fresh_noise: Share of the noise, by amplitude, that is new at each step, 0 to 1.
        start: Share of the noise schedule to begin at, 0 to 1: 0.9 settles the whole anew, 0.5 keeps most of a first
            guess.
        distillation: Which way the guide leads: 'sds', 'ism' or 'perp_neg'; see `directions`.
        shaded_share: Share of the steps at which the views are under a lamp, half of these without colours.
        warm_up: Share of the steps, from the first, at which the guide takes the map of normals and the opacity for
            latents: no encoder is needed for the first outlines.
    """

    iterations: int
    grid_size: int
    view_size_px: int
    views_per_step: int
    guidance_scale: float
    grounds: tuple[float, ...]
    seed: int
    density_rate: float = 0.12
    colour_rate: float = 0.08
    guide_weight: float = 0.02
    entropy_weight: float = 0.05
    majority_weight: float = 2.0
    smoothness: float = 2e-3
    fresh_noise: float = 0.3
    start: float = 0.9
    distillation: MethodName = "sds"
    shaded_share: float = 0.0
    warm_up: float = 0.0


@dataclass
class _State:
    """A volume being grown and its optimiser; `step` steps are done, those from `since` on with this optimiser."""

    density: torch.Tensor
    colour: torch.Tensor
    optimiser: torch.optim.Adam
    step: int
    since: int

    @property
    def volume(self) -> Volume:
        return Volume(self.density, self.colour)


def distill(
    guide: Guide,
    embeddings: Embeddings,
    recipe: Recipe,
    *,
    first: Volume | None = None,
    backdrops: Sequence[torch.Tensor] = (),
    resume_path: Path | None = None,
    save_every_s: float = 10.0,
    on_step: OnStep = ignore_step,
    device: torch.device | str = "cpu",
) -> Volume:
    """Grow one form.

    Args:
        guide: Who judges the views.
        embeddings: For each ground of the recipe, the text embeddings, each (tokens, width), by view word (see
            `views.word_shares`).
        recipe: How.
        first: What the form begins as, on the final grid or a coarser one; a grey egg where there is none.
        backdrops: For each ground of the recipe, the colour of its picture's rows behind the subject, sRGB float, shape
            (3, rows), top first: a wall above a floor. Without them grounds are of one colour, and where the guide
            misses a floor it asks for one in the form.
        resume_path: Where the state is kept every `save_every_s` seconds; a state found there is gone on with.
        save_every_s: Seconds between two savings.
        on_step: Told the number of steps done and the losses.
        device: Where the form is while it grows; best the guide's.

    Returns:
        The volume, detached, on the CPU, `grid_size` samples along each side.
    """
    state = _restore(resume_path, recipe, device) or _optimised(first or _egg(recipe), 0, device)
    saved_s = time.monotonic()
    while state.step < recipe.iterations:
        if state.step >= recipe.iterations // 2 and state.density.shape[0] != recipe.grid_size:
            state = _optimised(upsample(_detached(state.volume), (recipe.grid_size,) * 3), state.step, device)
        losses = _take_step(state, guide, embeddings, backdrops, recipe)
        if resume_path is not None and time.monotonic() - saved_s >= save_every_s:
            _save(resume_path, state, recipe)
            saved_s = time.monotonic()
        on_step(state.step, losses)
    grown = _detached(state.volume)
    return Volume(grown.density.cpu(), grown.colour.cpu(), grown.bounds)


def timestep_span(progress: float, steps: int = 1000, *, start: float = 0.9) -> tuple[int, int]:
    """Lowest and highest timestep at that share of the run: from about `start` down to 20..100 of 1000."""
    middle = min(max(start, 0.06), 0.95) * (1 - progress**0.8) + 0.06 * progress**0.8
    return round(steps * (middle - 0.04)), round(steps * (middle + 0.04))


def _take_step(
    state: _State, guide: Guide, embeddings: Embeddings, backdrops: Sequence[torch.Tensor], recipe: Recipe
) -> dict[str, float]:
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + state.step)
    progress = state.step / recipe.iterations
    rates = (recipe.density_rate, recipe.colour_rate)
    for group, rate in zip(state.optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * (1 - 0.7 * progress)
    cameras = sample_cameras(recipe.views_per_step, generator)
    shown = _as_shown(state, cameras[0], recipe)
    views = [render(shown, camera, recipe.view_size_px) for camera in cameras]
    guided = _guide_loss(views, cameras, guide, embeddings, backdrops, recipe, progress, generator)
    shape = _shape_loss(state.volume, views, recipe, progress)
    state.optimiser.zero_grad(set_to_none=True)
    (recipe.guide_weight * guided + shape).backward()
    state.optimiser.step()
    state.step += 1
    coverage = torch.stack([view.alpha.detach() for view in views]).mean()
    return {"shape_loss": float(shape.detach()), "alpha": float(coverage)}


def _as_shown(state: _State, camera: Camera, recipe: Recipe) -> Volume:
    """The volume as the guide sees it at this step: as it is, under a lamp, or as a map of its normals."""
    if _is_warming_up(state.step / recipe.iterations, recipe):
        return mapped(state.volume)
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + state.step + _LAMPS)
    is_lit, ambience, colour = torch.rand(3, generator=generator).tolist()
    if is_lit >= recipe.shaded_share:
        return state.volume
    light = lamp(camera, generator)
    return lit(state.volume, light, ambient=0.1 + 0.5 * ambience, is_textureless=colour < 0.5)


def _is_warming_up(progress: float, recipe: Recipe) -> bool:
    return progress < recipe.warm_up


def _guide_loss(
    views: list[View],
    cameras: list[Camera],
    guide: Guide,
    embeddings: Embeddings,
    backdrops: Sequence[torch.Tensor],
    recipe: Recipe,
    progress: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """A number whose gradient is the guide's direction; its value means nothing."""
    chosen = torch.randint(len(recipe.grounds), (len(views),), generator=generator)
    if _is_warming_up(progress, recipe):
        latents = _as_latents(views, guide.latent_shape)
    else:
        latents = guide.to_latents(
            _before_grounds(views, cameras, chosen.tolist(), backdrops, recipe, generator)
        )
    lowest, highest = timestep_span(progress, len(guide.alpha_bars), start=recipe.start)
    timesteps = torch.randint(lowest, highest + 1, (len(views),), generator=generator)
    noise = _noise(latents, recipe, generator)
    direction = direction_of(recipe.distillation, recipe.guidance_scale)
    texts = [
        direction.text_of(embeddings[i], word_shares(camera, embeddings[i]))
        for i, camera in zip(chosen.tolist(), cameras, strict=True)
    ]
    with torch.no_grad():
        lead = direction(guide, latents, timesteps, noise, texts)
        alpha_bar = guide.alpha_bars[timesteps].clamp(min=_LEAST_ALPHA_BAR)[:, None, None, None]
        weight = ((1 - alpha_bar) / alpha_bar).sqrt().to(latents.device)
    return (weight * lead * latents).sum() / len(views)


def _before_grounds(
    views: list[View],
    cameras: list[Camera],
    chosen: list[int],
    backdrops: Sequence[torch.Tensor],
    recipe: Recipe,
    generator: torch.Generator,
) -> torch.Tensor:
    """The views before their grounds, float, shape (B, 3, H, W)."""
    size_px, device = views[0].rgb.shape[-1], views[0].rgb.device
    plain = [torch.full((3, 1), float(lightness)) for lightness in recipe.grounds]
    grounds = [
        backdrop_behind(camera, (backdrops or plain)[number], size_px) + tint
        for camera, number, tint in zip(cameras, chosen, _tints(len(views), generator), strict=True)
    ]
    return torch.stack(
        [view.over(ground.clamp(0, 1).to(device)) for view, ground in zip(views, grounds, strict=True)]
    )


def _as_latents(views: list[View], shape: tuple[int, int, int]) -> torch.Tensor:
    """Colours and opacity taken for latents, -1 to 1: float, shape (B, *shape).

    Raises:
        InputError: The guide's latents have another number of channels than these four.
    """
    if shape[0] != 4:
        raise InputError(
            f"warm_up needs a guide with 4 latent channels, this one has {shape[0]}; set it to 0."
        )
    four = torch.stack([torch.cat([view.rgb, view.alpha[None]]) for view in views])
    return 2 * F.adaptive_avg_pool2d(four, shape[1:]) - 1


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
    return ((1 - recipe.fresh_noise**2) ** 0.5 * own + recipe.fresh_noise * fresh).to(latents.device)


def backdrop_behind(camera: Camera, backdrop: torch.Tensor, size_px: int) -> torch.Tensor:
    """What is behind a form, sRGB, shape (3, size_px, size_px): the backdrop's rows; from well above, its floor alone.

    Args:
        camera: From where.
        backdrop: See `distill`.
        size_px: Side of the view.
    """
    rows = backdrop if camera.elevation_deg < _FLOOR_ONLY_DEG else backdrop[:, -1:]
    return F.interpolate(rows[None], size_px, mode="linear")[0, :, :, None].expand(-1, -1, size_px)


def _tints(count: int, generator: torch.Generator) -> torch.Tensor:
    """A little colour for each ground, shape (count, 3, 1, 1), so that none is taken for the form's own."""
    return 0.03 * torch.randn(count, 3, generator=generator)[:, :, None, None]


def _egg(recipe: Recipe) -> Volume:
    return priors.blob(recipe.grid_size // 2, torch.Generator().manual_seed(recipe.seed))


def _optimised(volume: Volume, step: int, device: torch.device | str = "cpu") -> _State:
    density, colour = (field.clone().to(device).requires_grad_() for field in (volume.density, volume.colour))
    optimiser = torch.optim.Adam([{"params": [density]}, {"params": [colour]}], betas=(0.9, 0.99), eps=1e-8)
    return _State(density, colour, optimiser, step, step)


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
    save_file(
        tensors, temporary, {"step": str(state.step), "since": str(state.since), "recipe": repr(recipe)}
    )
    temporary.replace(path)


def _restore(path: Path | None, recipe: Recipe, device: torch.device | str) -> _State | None:
    """The state kept at `path`, unless there is none or it is another recipe's."""
    if path is None or not path.exists():
        return None
    with safe_open(path, "pt", device=str(device)) as file:
        notes = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    if notes["recipe"] != repr(recipe):
        return None
    state = _optimised(Volume(tensors["density"], tensors["colour"]), int(notes["since"]), device)
    state.step = int(notes["step"])
    for name, parameter in (("density", state.density), ("colour", state.colour)):
        moments = {moment: tensors[f"{name}.{moment}"] for moment in ("exp_avg", "exp_avg_sq")}
        state.optimiser.state[parameter] = moments | {"step": torch.tensor(float(state.step - state.since))}
    return state
