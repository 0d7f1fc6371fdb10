"""Pictures of another size than the one that their model was made for, its native size.

A latent model tells from the borders of a picture where things go (docs/resolution_atlas.md), so that at other sizes it
draws a part of a thing, or the thing twice over. What stands where is decided at the native size therefore. A smaller
picture is that one, reduced. A larger one is that one enlarged, given noise as of the last `AGAIN` of the way (Meng et
al., "SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations", ICLR 2022), and denoised in
overlapping tiles of the native size, whose predictions are averaged at each step (Bar-Tal et al., "MultiDiffusion:
Fusing Diffusion Paths for Controlled Image Generation", ICML 2023): no tile is of a size that the model has not seen.
It goes by the empty prompt without guidance: a tile shows a part of the thing, and told the thing's name it draws one.
Of what comes of it only what is fine is taken; what is coarse stays as it was drawn, so that things stay what they are.

Belongs here: from finished pictures to those of another size. What is drawn at the native size is in `batches`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

AGAIN = 0.2
"""From 0.3 the pocket model frays outlines and adds crumbs (docs/log.md, 2026-11-30)."""
COARSE = 0.6
"""All that a Gaussian of so many of its pixels lets through is kept of the first drawing. With twice that, less is, and
both judges recognise less (docs/log.md, 2026-11-30)."""
UNGUIDED = {"guidance_scale": 1.0}


def first_at(settings: Mapping[str, Any], native_px: int) -> dict[str, Any]:
    """Settings of `batches.paint` for pictures that are drawn at the native size first; at that size the same."""
    width = settings["width"]
    if width == native_px:
        return dict(settings)
    redrawn = {"again": AGAIN, "coarse": COARSE} if width > native_px else {}
    return {**settings, "first_px": native_px, **redrawn}


def at_once(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without what `first_at` adds."""
    return {name: value for name, value in settings.items() if name not in ("first_px", "again", "coarse")}


def bring_to_size(
    pipeline: DiffusionPipeline,
    images: Sequence[Image.Image],
    settings: Mapping[str, Any],
    ask: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> list[Image.Image]:
    """Pictures at the size that settings say: reduced, or with `again` enlarged and redrawn.

    Args:
        pipeline: The model, with the scheduler that samples.
        images: At another size, as many as `ask` tells of.
        settings: `width`, `height`, `num_inference_steps`, `again`, 0 to 1, and `coarse`, pixels of the images.
        ask: What the pipeline is told of them under the empty prompt, with such settings.
    """
    sides = (settings["width"], settings["height"])
    resized = [image.convert("RGB").resize(sides, Image.Resampling.LANCZOS) for image in images]
    if "again" not in settings:
        return resized
    asked = ask({**settings, **UNGUIDED})
    redrawn = _redraw(pipeline, resized, settings["again"], settings["num_inference_steps"], asked)
    radius_px = settings["coarse"] * settings["width"] / images[0].width
    return [keep_coarse(*pair, radius_px) for pair in zip(resized, redrawn, strict=True)]


def keep_coarse(first: Image.Image, redrawn: Image.Image, radius_px: float) -> Image.Image:
    """What is fine in the redrawn picture, upon what a Gaussian of that radius leaves of the first; of one size."""
    coarse, lost = (
        np.asarray(image.filter(ImageFilter.GaussianBlur(radius_px)), np.int16) for image in (first, redrawn)
    )
    return Image.fromarray((np.asarray(redrawn) - lost + coarse).clip(0, 255).astype(np.uint8))


def _redraw(
    pipeline: DiffusionPipeline, images: list[Image.Image], share: float, steps: int, asked: dict[str, Any]
) -> list[Image.Image]:
    """Noise pictures and denoise them in tiles, in steps as long as those of a whole way of `steps`."""
    from diffusers import AutoPipelineForImage2Image

    again = AutoPipelineForImage2Image.from_pipe(pipeline)
    again.set_progress_bar_config(disable=True)
    taken = math.ceil(steps * share)
    with tiled(again.unet):
        return again(
            image=images, strength=share, num_inference_steps=math.ceil(taken / share), **asked
        ).images


@contextmanager
def tiled(unet: torch.nn.Module) -> Iterator[None]:
    """Within, a UNet answers larger latents in tiles of its own size, which overlap by half.

    Where tiles overlap, what is nearer to a tile's middle counts for more.
    """
    import torch

    side, whole = unet.config.sample_size, unet.forward
    distance = torch.minimum(torch.arange(side), torch.arange(side).flip(0)) + 0.5
    weights = torch.outer(distance, distance)

    def forward(x_t: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor]:
        answer, weight = torch.zeros_like(x_t), weights.to(x_t)
        total = torch.zeros_like(x_t[:1, :1])
        for top in _starts(x_t.shape[-2], side):
            for left in _starts(x_t.shape[-1], side):
                place = (..., slice(top, top + side), slice(left, left + side))
                answer[place] += weight * whole(x_t[place], *args, **(kwargs | {"return_dict": False}))[0]
                total[place] += weight
        return (answer / total,)

    unet.forward = forward
    try:
        yield
    finally:
        del unet.forward


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along latents: half a tile from one to the next, the last at the end."""
    return [*range(0, length - side, side // 2), length - side]
