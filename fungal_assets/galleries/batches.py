"""Pictures of one model, made in batches and written as they come.

A batch always has the same size; what is missing is filled with repeats, which are thrown away. With that
rule a picture has the same bytes whatever is beside it and wherever it stands (on one machine; between two
batch sizes the arithmetic differs in the last bits). Each picture's first noise comes from its own CPU
generator, so a plain call `pipeline(prompt, generator=torch.Generator().manual_seed(seed))` gives the same
picture.

Belongs here: denoising and the PNG with its parameters. What is asked for is in `planning`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from fungal_assets.galleries.planning import Picture
from fungal_assets.galleries.redrawing import bring_to_size

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

PARAMETERS = "parameters"
_CACHED_PROMPTS = 64
Embeddings = dict[str, "torch.Tensor"]
Settings = Mapping[str, Any]


def make_pictures(
    pictures: Sequence[Picture],
    weights: Path,
    sha256: str,
    folder: Path,
    settings: Settings,
    *,
    pipeline: DiffusionPipeline | None = None,
    begun: Path | None = None,
) -> Iterator[Picture]:
    """Make pictures with one model and write them; the model is loaded only if there is something to make.

    Args:
        pictures: What to make.
        weights: Diffusers folder of the model.
        sha256: Its proven hash, for the pictures' parameters.
        folder: The gallery.
        settings: What decides a picture beside its prompt and seed, as `parameters_of` takes it. With `first_px` it is
            drawn at that side first, and brought to `width` and `height` then, see `redrawing`.
        pipeline: The model where it is loaded already, by `load_sampler`.
        begun: The gallery where the first drawings lie already, at the paths `first` of the pictures.

    Yields:
        Each picture once it is on disk.
    """
    if not pictures:
        return
    model = pipeline or load_sampler(weights, settings["scheduler"])
    for picture, image in paint(model, pictures, settings, begun):
        save_picture(folder / picture.path, image, parameters_of(picture, settings, sha256))
        yield picture


def paint(
    pipeline: DiffusionPipeline, pictures: Sequence[Picture], settings: Settings, begun: Path | None = None
) -> Iterator[tuple[Picture, Image.Image]]:
    """Make pictures with a loaded model, one batch after the other, in memory.

    Args:
        pipeline: The model, with the scheduler that samples.
        pictures: What to make.
        settings: As of `make_pictures`.
        begun: As of `make_pictures`.
    """
    embed = lru_cache(_CACHED_PROMPTS)(lambda text: _embed(pipeline, text, settings["negative_prompt"]))
    size = settings["batch_size"]
    for start in range(0, len(pictures), size):
        batch = pictures[start : start + size]
        filled = [*batch, *batch[-1:] * (size - len(batch))]
        if "first_px" in settings:
            images = _draw_first(pipeline, filled, embed, settings, begun)
        else:
            images = _denoise(pipeline, filled, embed, settings)
        yield from zip(batch, images, strict=False)


def scheduler_for(pipeline: DiffusionPipeline, name: str) -> Any:
    """The scheduler of that class of diffusers' for a model; the model keeps its own.

    Of rectified flow there is one only, whatever the name: none of the others begins and ends where it does.
    """
    import diffusers

    from fungal_assets.diffusion.objectives import is_flow

    kind = type(pipeline.scheduler) if is_flow(pipeline.scheduler) else getattr(diffusers, name)
    return kind.from_config(pipeline.scheduler.config)


def load_sampler(weights: Path, scheduler: str) -> DiffusionPipeline:
    """A model on the fastest device, with a scheduler of diffusers by its class name."""
    from fungal_assets.diffusion.base_models import load_pipeline

    return make_sampler(load_pipeline(weights, **_place()), scheduler)


def make_sampler(pipeline: DiffusionPipeline, scheduler: str) -> DiffusionPipeline:
    """The same of a model that is loaded already."""
    pipeline = pipeline.to(**_place())
    pipeline.scheduler = scheduler_for(pipeline, scheduler)
    return pipeline


def _place() -> dict[str, Any]:
    """Where a model samples, and in which precision."""
    import torch

    from fungal_assets.diffusion.devices import pick_device

    device = pick_device()
    return {"device": device, "dtype": torch.float16 if device.type == "cuda" else torch.float32}


def _embed(pipeline: DiffusionPipeline, text: str, negative_prompt: str) -> Embeddings:
    """What the pipeline is called with for a prompt and the negative prompt, by argument, tensors of one row each.

    An empty negative prompt is left to the pipeline, as in a plain call.
    """
    import torch

    from fungal_assets.diffusion.families import family_of

    family = family_of(pipeline)
    with torch.inference_mode():
        embedded = pipeline.encode_prompt(
            prompt=text,
            device=pipeline.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=negative_prompt or None,
            **family.encoding,
        )
    return dict(zip(family.prompt_arguments, embedded, strict=True))


def _denoise(
    pipeline: DiffusionPipeline,
    batch: Sequence[Picture],
    embed: Callable[[str], Embeddings],
    settings: Settings,
) -> list[Image.Image]:
    sides = {name: settings[name] for name in ("width", "height")}
    steps = settings["num_inference_steps"]
    return pipeline(**_asked(batch, embed, settings), **sides, num_inference_steps=steps).images


def _draw_first(
    pipeline: DiffusionPipeline,
    batch: Sequence[Any],
    embed: Callable[[str], Embeddings],
    settings: Settings,
    begun: Path | None,
) -> list[Image.Image]:
    """Draw at `first_px`, or open what is drawn already, and bring that to the size that is wanted."""
    if begun is None:
        sides = dict.fromkeys(("width", "height"), settings["first_px"])
        images = _denoise(pipeline, batch, embed, {**settings, **sides})
    else:
        images = [Image.open(begun / picture.first) for picture in batch]
    return bring_to_size(pipeline, images, settings, partial(_asked, batch, lambda _: embed("")))


def _asked(
    batch: Sequence[Picture], embed: Callable[[str], Embeddings], settings: Settings
) -> dict[str, Any]:
    """What a pipeline of diffusers is told of a batch: texts, each picture's own noise, and guidance."""
    import torch

    embedded = [embed(picture.text) for picture in batch]
    return {
        **{name: torch.cat([one[name] for one in embedded]) for name in embedded[0]},
        "generator": [torch.Generator().manual_seed(picture.seed) for picture in batch],
        "guidance_scale": settings["guidance_scale"],
    }


def parameters_of(picture: Picture, settings: Settings, sha256: str) -> dict[str, Any]:
    """All that decides a picture, as its PNG keeps it."""
    return {
        "prompt": picture.text,
        "prompt_id": picture.prompt_id,
        "seed": picture.seed,
        "model": picture.model,
        "model_sha256": sha256,
        **settings,
    }


def save_picture(path: Path, image: Image.Image, parameters: Mapping[str, Any]) -> None:
    """Write a PNG with its parameters under a temporary name, and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    info.add_text(PARAMETERS, json.dumps(dict(parameters), sort_keys=True))
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    image.save(temporary, "PNG", pnginfo=info)
    temporary.replace(path)


def read_parameters(path: Path) -> dict[str, Any]:
    """The parameters in a PNG; empty if it has none."""
    with Image.open(path) as image:
        return json.loads(image.info.get(PARAMETERS, "{}"))


def is_made(folder: Path, picture: Picture, settings: Settings, sha256: str) -> bool:
    """Whether a gallery holds this very picture: same prompt, seed, settings and weights."""
    path = folder / picture.path
    try:
        return path.is_file() and read_parameters(path) == parameters_of(picture, settings, sha256)
    except UnidentifiedImageError:  # no picture at all, so it is made again
        return False
