"""Rehearsal: what the base model says to control prompts, kept so that tuned models can be held to it.

The base model walks each prompt from noise to latents in a few deterministic DDIM steps, in latent space only. Every
point of the walk is kept with the base model's own predictions there, for the prompt and for the empty prompt.
Training draws from these points and pulls the tuned model's prediction towards the kept one. Where a walk ends is
decoded, so that a person sees what is rehearsed. All of it depends on the base model, the prompts and the size alone,
so every method rehearses the same.

Why the base's own prediction and not plain denoising of the pictures it made: the loss is zero where nothing
is forgotten, so it pulls nowhere else; pictures of few steps are poor ones that should not be learnt; and
as the predictions are by-products of the walk, neither a frozen copy of the model nor a second forward pass
per step is needed.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253

from fungal_assets.diffusion.base_models import (
    BaseModel,
    load_pipeline,
    read_json,
    resolve_base_model,
    working_px,
)
from fungal_assets.diffusion.devices import deterministic, mixed_precision, pick_device, suit_memory
from fungal_assets.diffusion.encoding import EMPTY_PROMPT, embed_texts, key_of, read_tensors, write_tensors
from fungal_assets.diffusion.families import family_of
from fungal_assets.diffusion.objectives import Objective
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.nomenclature.species import slug_of
from fungal_assets.previews import contact_sheet, save_sheet
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.store import Figures, hash_file, size_mb, write_atomically

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from PIL import Image

WALKS_AT_ONCE = 8
POINTS_FILE, ABOUT_FILE, SHEET_FILE = "rehearsal.safetensors", "rehearsal.json", "rehearsal.webp"
_WALKS = ".walks"
_END = "x_0"
_COLUMNS = 6


@dataclass(frozen=True)
class Rehearsal:
    """The kept points of all walks.

    Args:
        x_t: float32, shape (R, C, H, W): noisy latents.
        timesteps: int64, shape (R,).
        prompt_ids: int64, shape (R,): index in `texts`.
        prompted: float32, shape (R, C, H, W): the base model's prediction for the prompt.
        unprompted: The same for the empty prompt.
        texts: float32, shape (P + 1, L, D): the prompts; index 0 is the empty prompt. Or int64, shape
            (P + 1, T): their token ids, as in `EncodedDataset`; the predictions stay the base model's own.
    """

    x_t: torch.Tensor
    timesteps: torch.Tensor
    prompt_ids: torch.Tensor
    prompted: torch.Tensor
    unprompted: torch.Tensor
    texts: torch.Tensor

    @property
    def row_count(self) -> int:
        """R, the number of points."""
        return len(self.x_t)


@dataclass(frozen=True)
class Walk:
    """How the base model walks.

    Args:
        objective: Its noise schedule.
        latent_shape: (C, H, W).
        steps: Points of a walk.
        guidance_scale: Classifier-free guidance between two points; what is kept is not guided.
        seed: Decides the noise; each prompt has its own generator.
    """

    objective: Objective
    latent_shape: Sequence[int]
    steps: int
    guidance_scale: float
    seed: int


def rehearse(
    prompts: Path,
    folder: Path,
    *,
    base_model: str,
    works_at: str,
    rehearsal_prompts: int,
    num_inference_steps: int,
    guidance_scale: float,
    size_px: int,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Let a base model walk through the rehearsal prompts; called again on the folder of a killed run, it goes on.

    Args:
        prompts: A complete output.
        folder: Filled with `rehearsal.safetensors`, `rehearsal.json`, a picture per prompt and `rehearsal.webp`.
        base_model: Card name, local folder or hub id.
        works_at: `"native"`, the side that the base model was made for, or `"partition"`.
        rehearsal_prompts: How many of the prompts of kind rehearsal, the first ones.
        num_inference_steps: Points of each walk.
        guidance_scale: Classifier-free guidance of the walks; 1 is none.
        size_px: The partition's side, a multiple of 8.
        seed: Decides the noise.
        tell: Progress.

    Raises:
        InputError: There is no such prompt, or the base model cannot be used.
    """
    texts = texts_to_rehearse(prompts, rehearsal_prompts)
    base, device = resolve_base_model(base_model), pick_device()
    with deterministic(device):
        pipeline = load_pipeline(base.path, device=device, dtype=torch.float32)
        suit_memory(pipeline)
        side = working_px(base.path, works_at, size_px) // pipeline.vae_scale_factor
        shape = (pipeline.unet.config.in_channels, side, side)
        objective = Objective.of(pipeline.scheduler, 0.0, device)
        walk = Walk(objective, shape, num_inference_steps, guidance_scale, seed)
        points, ends = walk_all(pipeline, texts, walk, folder / _WALKS, base_sha256=base.sha256, tell=tell)
        images = _paint(pipeline, ends)
    write_tensors(folder / POINTS_FILE, vars(points))
    names = [f"pictures/{number:03d}-{slug_of(text)[:60]}.png" for number, text in enumerate(texts)]
    _show(folder, images, names, texts)
    about = {
        "base_model": base.as_json(),
        "prompts": [{"text": text, "picture": name} for text, name in zip(texts, names, strict=True)],
        "prediction_type": objective.prediction_type,
        "latent_shape": list(shape),
        "points_sha256": hash_file(folder / POINTS_FILE),
    }
    write_atomically(folder / ABOUT_FILE, json.dumps(about, indent=1, sort_keys=True))
    return {"prompts": len(texts), "points": points.row_count, "points_mb": size_mb(folder / POINTS_FILE)}


def read_about(folder: Path) -> dict[str, Any]:
    """`rehearsal.json`: base model, prompts with their pictures, and the hash of the points.

    Raises:
        InputError: It is missing.
    """
    return read_json(folder / ABOUT_FILE)


def read_points(folder: Path, base: BaseModel) -> Rehearsal:
    """The points of a complete output, for the training of that base model.

    Raises:
        ProvenanceError: Another base model walked.
    """
    walked = read_about(folder)["base_model"]
    if walked["sha256"] != base.sha256:
        raise ProvenanceError(
            f"what is rehearsed was said by base model {walked['id']!r} (sha256 {walked['sha256']}), but "
            f"{base.id!r} (sha256 {base.sha256}) is to be tuned: it would be held to another's knowledge. Give "
            f"rehearsal.base_model and fine_tuned_weights.base_model the same, and grow rehearsal again."
        )
    return Rehearsal(**read_tensors(folder / POINTS_FILE))


def texts_to_rehearse(prompts: Path, count: int) -> list[str]:
    """Texts of the first `count` prompts of kind rehearsal in a prompts output.

    Raises:
        InputError: There is no `prompts.json`, or it has no such prompt.
    """
    path = prompts / "prompts.json"
    if not path.is_file():
        raise InputError(f"{path} is missing; expected the folder of a complete prompts output.")
    rows = json.loads(path.read_text(encoding="utf-8"))["prompts"]
    texts = [row["text"] for row in rows if row["kind"] == "rehearsal"]
    if count < 1 or not texts:
        raise InputError(
            f"{path} holds {len(texts)} prompts of kind 'rehearsal' and {count} are to be rehearsed; at least 1 of "
            "each was expected. Set fine_tuned_weights.rehearsal_share to 0 to rehearse nothing, or grow prompts."
        )
    return texts[:count]


def walk_all(
    pipeline: DiffusionPipeline,
    texts: Sequence[str],
    walk: Walk,
    cache: Path,
    *,
    base_sha256: str,
    tell: Tell,
) -> tuple[Rehearsal, torch.Tensor]:
    """Walk the texts a few at a time, or read what a killed run walked.

    Returns:
        The points, and where the walks end: latents, float32, shape (P, C, H, W).
    """
    how = [base_sha256, list(walk.latent_shape), walk.steps, walk.guidance_scale, walk.seed]
    embeddings = embed_texts(pipeline, ["", *texts])
    starts = range(0, len(texts), WALKS_AT_ONCE)
    groups = []
    for start in follow(starts, tell, "rehearsing prompts", len(starts)):
        numbers = range(start, min(start + WALKS_AT_ONCE, len(texts)))
        path = cache / f"{key_of(how, list(texts[: numbers.stop]), start)}.safetensors"
        if not path.exists():
            write_tensors(path, _walk(pipeline, embeddings, numbers, walk))
        groups.append(read_tensors(path))
    tensors = {name: torch.cat([group[name] for group in groups]) for name in groups[0]}
    ends = tensors.pop(_END)
    return Rehearsal(**tensors, texts=embeddings), ends


@torch.no_grad()
def _walk(
    pipeline: DiffusionPipeline, embeddings: torch.Tensor, numbers: range, walk: Walk
) -> dict[str, torch.Tensor]:
    """The points of one group of walks and their ends: deterministic DDIM (Song et al. 2021, arXiv:2010.02502)."""
    objective = walk.objective
    device, count = objective.alpha_bar.device, len(numbers)
    generators = [
        torch.Generator().manual_seed(int(key_of(walk.seed, number), 16) >> 1) for number in numbers
    ]
    noise = [torch.randn(*walk.latent_shape, generator=generator) for generator in generators]
    x_t = torch.stack(noise).to(device)
    prompt_ids = torch.tensor(list(numbers)) + 1
    text = torch.cat([embeddings[prompt_ids], embeddings[EMPTY_PROMPT].expand(count, -1, -1)]).to(device)
    points, predict = [], family_of(pipeline).predict
    levels = _levels(generators, walk.steps, objective.steps)
    for step, t_cpu in enumerate(levels):
        t = t_cpu.to(device)
        with mixed_precision(device):
            answer = predict(pipeline.unet, x_t.repeat(2, 1, 1, 1), t.repeat(2), text)
        prompted, unprompted = answer.float().chunk(2)
        points.append([x_t.cpu(), t_cpu, prompt_ids, prompted.cpu(), unprompted.cpu()])
        guided = unprompted + walk.guidance_scale * (prompted - unprompted)
        x_0, e = objective.split(x_t, guided, t)
        if step + 1 < len(levels):
            x_t = objective.noised(x_0, e, levels[step + 1].to(device))
    names = ("x_t", "timesteps", "prompt_ids", "prompted", "unprompted")
    kept = {name: torch.cat(column) for name, column in zip(names, zip(*points, strict=True), strict=True)}
    return kept | {_END: x_0.cpu()}


def _levels(generators: Sequence[torch.Generator], steps: int, total: int) -> list[torch.Tensor]:
    """Falling noise levels, int64 (B,) per step; each walk's grid is shifted, so that all levels occur."""
    shift = torch.stack([torch.rand((), generator=generator) for generator in generators])
    return [((steps - 1 - step + shift) / steps * total).long().clamp(max=total - 1) for step in range(steps)]


@torch.no_grad()
def _paint(pipeline: DiffusionPipeline, latents: torch.Tensor) -> list[Image.Image]:
    """The pictures of latents as the UNet knows them, float32 (P, C, H, W)."""
    vae, images = pipeline.vae, []
    for part in latents.split(WALKS_AT_ONCE):
        raw = part / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", None) or 0.0)
        pixels = vae.decode(raw.to(vae.device, vae.dtype)).sample
        images += pipeline.image_processor.postprocess(pixels.float().cpu(), output_type="pil")
    return images


def _show(folder: Path, images: Sequence[Image.Image], names: Sequence[str], texts: Sequence[str]) -> None:
    """Write the pictures, and a sheet of them with their prompts."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for image, name in zip(images, names, strict=True):
        image.save(folder / name)
    sheet = contact_sheet(images, columns=min(_COLUMNS, len(images)), labels=list(texts), tile_px=128)
    save_sheet(sheet, folder / SHEET_FILE)
