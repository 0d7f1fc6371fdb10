"""One model, walked from noise to pictures at several sizes side by side, and compared at every step.

All sizes take each step together, so that nothing is kept but what the step before left. The first noises are nested:
what the smaller one holds, the larger one holds as well. A second walk at the native size from other noise is the
floor: as unlike as pictures of other seeds are.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253

from fungal_assets.diffusion.encoding import embed_texts
from fungal_assets.diffusion.families import family_of
from fungal_assets.diffusion.objectives import Objective
from fungal_assets.galleries.atlas import FLOOR
from fungal_assets.galleries.atlas.measures import (
    FEWEST_ROWS,
    alignment,
    nested_noise,
    pool_rows,
    radial_spectrum,
    shared_places,
)
from fungal_assets.galleries.atlas.probes import listening, wrapped_borders

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_MOST_CELLS = 8
"""Activations are compared on a grid of at most this many cells a side, or on the smaller picture's own."""


@dataclass(frozen=True)
class Step:
    """What one step of the walk showed.

    Args:
        number: From 0.
        timestep: Noise level of the model.
        alignments: Likeness of each block's activations to those of the native size, by what is compared (a size in
            px, or `FLOOR`), then by block.
        entropies: How widely each attention looks, by size in px, then by its name.
        spectra: Power by scale of the denoised latent that the prediction stands for, by size in px: float32 (s // 2,).
    """

    number: int
    timestep: int
    alignments: Mapping[str, Mapping[str, float]]
    entropies: Mapping[int, Mapping[str, float]]
    spectra: Mapping[int, torch.Tensor]


@dataclass
class _Walker:
    """One size on its way: its latents, and a scheduler of its own, since schedulers remember."""

    latents: torch.Tensor
    scheduler: Any
    blocks: dict[str, torch.Tensor] = field(default_factory=dict)
    entropies: dict[str, float] = field(default_factory=dict)
    clean: torch.Tensor = field(default_factory=lambda: torch.empty(0))


@torch.inference_mode()
def walk(
    pipeline: DiffusionPipeline,
    texts: Sequence[str],
    *,
    native_px: int,
    sizes_px: Sequence[int],
    seeds: Sequence[int],
    num_inference_steps: int,
    guidance_scale: float,
) -> Iterator[Step | dict[int, torch.Tensor]]:
    """Walk all sizes together.

    Args:
        pipeline: The model, with the scheduler that is to be walked by.
        texts: A prompt per picture.
        native_px: The size that the others are compared with; one of `sizes_px`.
        sizes_px: Sides, multiples of 8 and each a divisor of the largest.
        seeds: A seed per picture.
        num_inference_steps: Steps.
        guidance_scale: Classifier-free guidance, above 1.

    Yields:
        Each step, and at last the pictures by size: uint8 (n, px, px, 3).
    """
    count = len(texts)
    embeddings = embed_texts(pipeline, [*[""] * count, *texts]).to(pipeline.device)
    objective = Objective.of(pipeline.scheduler, 0, pipeline.device)
    walkers: dict[int | str, _Walker] = dict(_set_out(pipeline, sizes_px, seeds, num_inference_steps).items())
    other_seeds = [~seed & 0xFFFFFFFF for seed in seeds]
    walkers[FLOOR] = _set_out(pipeline, [native_px], other_seeds, num_inference_steps)[native_px]
    with ExitStack() as stack:
        heard = stack.enter_context(listening(pipeline.unet, slice(count, 2 * count)))
        for number, timestep in enumerate(walkers[native_px].scheduler.timesteps):
            for walker in walkers.values():
                _advance(pipeline, objective, walker, timestep, embeddings, guidance_scale)
                walker.blocks, walker.entropies = dict(heard.blocks), dict(heard.entropies)
            yield _compare(number, int(timestep), walkers, native_px)
    del walkers[FLOOR]
    yield {int(size): _decode(pipeline, walker.latents) for size, walker in walkers.items()}


@torch.inference_mode()
def find_places(
    pipeline: DiffusionPipeline,
    texts: Sequence[str],
    *,
    sizes_px: Sequence[int],
    seeds: Sequence[int],
    num_inference_steps: int,
) -> dict[int, dict[str, tuple[float, float]]]:
    """What the blocks know of places at the walk's first step, and what is left where pictures have no borders.

    Args:
        pipeline: The model, with the scheduler that is walked by.
        texts: A prompt per picture.
        sizes_px: Sides.
        seeds: A seed per picture.
        num_inference_steps: Steps of the walk: with fewer, some schedulers begin elsewhere.

    Returns:
        `shared_places` by size in px and block: as the model is, and with each picture's borders joined to the opposite
        ones.
    """
    text, unet = embed_texts(pipeline, texts).to(pipeline.device), pipeline.unet
    found: dict[int, dict[str, tuple[float, float]]] = {}
    for size, walker in _set_out(pipeline, sizes_px, seeds, num_inference_steps).items():
        timestep = walker.scheduler.timesteps[0]
        given = walker.scheduler.scale_model_input(walker.latents, timestep)
        shares = []
        for borders in (nullcontext(), wrapped_borders(unet)):
            with listening(unet, slice(None)) as heard, borders:
                family_of(pipeline).predict(unet, given, timestep, text)
            shares.append({name: shared_places(blocks) for name, blocks in heard.blocks.items()})
        found[size] = {name: (share, shares[1][name]) for name, share in shares[0].items()}
    return found


def _set_out(
    pipeline: DiffusionPipeline, sizes_px: Sequence[int], seeds: Sequence[int], steps: int
) -> dict[int, _Walker]:
    """A walker per size, from noises that are nested."""
    factor = pipeline.vae_scale_factor
    noises = nested_noise(pipeline.unet.config.in_channels, [size // factor for size in sizes_px], seeds)
    walkers = {}
    for size in sizes_px:
        scheduler = copy.deepcopy(pipeline.scheduler)
        scheduler.set_timesteps(steps)
        latents = noises[size // factor].to(pipeline.device, pipeline.unet.dtype) * scheduler.init_noise_sigma
        walkers[size] = _Walker(latents, scheduler)
    return walkers


def _advance(
    pipeline: DiffusionPipeline,
    objective: Objective,
    walker: _Walker,
    timestep: torch.Tensor,
    embeddings: torch.Tensor,
    guidance_scale: float,
) -> None:
    """One step; leaves the latents, and what the prediction says is behind the noise."""
    given = walker.scheduler.scale_model_input(walker.latents, timestep)
    predict = family_of(pipeline).predict
    prediction = predict(pipeline.unet, torch.cat([given, given]), timestep, embeddings)
    plain, prompted = prediction.chunk(2)
    guided = plain + guidance_scale * (prompted - plain)
    walker.clean, _ = objective.split(given, guided, timestep.long())
    walker.latents = walker.scheduler.step(guided, timestep, walker.latents, return_dict=False)[0]


def _compare(number: int, timestep: int, walkers: Mapping[int | str, _Walker], native_px: int) -> Step:
    native = walkers[native_px]
    others = {name: walker for name, walker in walkers.items() if name != native_px}
    sized = {int(name): walker for name, walker in walkers.items() if name != FLOOR}
    return Step(
        number,
        timestep,
        {str(name): _align(native.blocks, walker.blocks) for name, walker in others.items()},
        {size: dict(walker.entropies) for size, walker in sized.items()},
        {size: radial_spectrum(walker.clean.cpu()) for size, walker in sized.items()},
    )


def _align(native: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Likeness by block, on the grid that both have; NaN where that has too few cells."""
    found = {}
    for name, activations in native.items():
        side = min(_MOST_CELLS, activations.shape[-1], other[name].shape[-1])
        rows = [pool_rows(each, side).cpu() for each in (activations, other[name])]
        found[name] = alignment(*rows) if len(rows[0]) >= FEWEST_ROWS and side > 1 else float("nan")
    return found


def _decode(pipeline: DiffusionPipeline, latents: torch.Tensor) -> torch.Tensor:
    images = [
        pipeline.vae.decode(one[None] / pipeline.vae.config.scaling_factor, return_dict=False)[0]
        for one in latents
    ]
    pixels = (torch.cat(images).float() / 2 + 0.5).clamp(0, 1) * 255
    return pixels.round().to(torch.uint8).permute(0, 2, 3, 1).cpu()
