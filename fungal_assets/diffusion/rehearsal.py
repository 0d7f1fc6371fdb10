"""Rehearsal: what the base model says to control prompts, kept so that the tuned model can be held to it.

Before training the base model walks each control prompt from noise to latents in a few deterministic DDIM
steps, in latent space only. Every point of the walk is kept with the base model's own predictions there, for
the prompt and for the empty prompt. Training draws from these points and pulls the tuned model's prediction
towards the kept one.

Why the base's own prediction and not plain denoising of the latents it made: the loss is zero where nothing
is forgotten, so it pulls nowhere else; latents of few steps are poor pictures that should not be learnt; and
as the predictions are by-products of the walk, neither a frozen copy of the model nor a second forward pass
per step is needed.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch  # noqa: TID253

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.diffusion.encoding import EMPTY_PROMPT, embed_texts, key_of, read_tensors, write_tensors
from fungal_assets.diffusion.families import family_of
from fungal_assets.diffusion.objectives import Objective
from fungal_assets.errors import InputError
from fungal_assets.progress import Tell, follow

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

WALK_STEPS = 12
WALK_GUIDANCE = 3.0
WALKS_AT_ONCE = 8


@dataclass(frozen=True)
class Rehearsal:
    """The kept points of all walks.

    Args:
        x_t: float32, shape (R, C, H, W): noisy latents.
        timesteps: int64, shape (R,).
        prompt_ids: int64, shape (R,): index in `texts`.
        prompted: float32, shape (R, C, H, W): the base model's prediction for the prompt.
        unprompted: The same for the empty prompt.
        texts: float32, shape (P + 1, L, D): the control prompts; index 0 is the empty prompt. Or int64, shape
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


def rehearsal_prompts(prompts: Path, count: int) -> list[str]:
    """Texts of the first `count` prompts of kind rehearsal in a prompts output.

    Raises:
        InputError: There is no `prompts.json`, or it has no such prompt though some are wanted.
    """
    path = prompts / "prompts.json"
    if not path.is_file():
        raise InputError(f"{path} is missing; expected the folder of a complete prompts output.")
    rows = json.loads(path.read_text(encoding="utf-8"))["prompts"]
    texts = [row["text"] for row in rows if row["kind"] == "rehearsal"]
    if count > 0 and not texts:
        raise InputError(
            f"{path} holds no prompt of kind 'rehearsal'. Set rehearsal_share to 0 or grow prompts."
        )
    return texts[:count]


def rehearse(
    pipeline: DiffusionPipeline,
    texts: Sequence[str],
    *,
    objective: Objective,
    latent_shape: Sequence[int],
    base_sha256: str,
    seed: int,
    cache: Path,
    tell: Tell,
) -> Rehearsal:
    """Walk the base model through the texts, or read what an earlier run kept.

    Args:
        pipeline: The base model, untouched.
        texts: Rehearsal prompts.
        objective: Its noise schedule.
        latent_shape: (C, H, W).
        base_sha256: Its hash.
        seed: Decides the noise; each prompt has its own generator.
        cache: Folder of the cache.
        tell: Progress.
    """
    key = key_of(base_sha256, list(texts), list(latent_shape), seed, WALK_STEPS, WALK_GUIDANCE)
    path = cache / f"rehearsal-{key}.safetensors"
    if not path.exists():
        embeddings = embed_texts(pipeline, ["", *texts])
        starts = range(0, len(texts), WALKS_AT_ONCE)
        walks = [
            _walk(
                pipeline,
                embeddings,
                range(start, min(start + WALKS_AT_ONCE, len(texts))),
                objective,
                latent_shape,
                seed,
            )
            for start in follow(starts, tell, "rehearsing control prompts", len(starts))
        ]
        tensors = {name: torch.cat([walk[name] for walk in walks]) for name in walks[0]}
        write_tensors(path, tensors | {"texts": embeddings})
    return Rehearsal(**read_tensors(path))


@torch.no_grad()
def _walk(
    pipeline: DiffusionPipeline,
    embeddings: torch.Tensor,
    numbers: range,
    objective: Objective,
    latent_shape: Sequence[int],
    seed: int,
) -> dict[str, torch.Tensor]:
    """The points of one group of walks: deterministic DDIM (Song et al. 2021, arXiv:2010.02502), guided."""
    device, count = objective.alpha_bar.device, len(numbers)
    generators = [torch.Generator().manual_seed(int(key_of(seed, number), 16) >> 1) for number in numbers]
    x_t = torch.stack([torch.randn(*latent_shape, generator=generator) for generator in generators]).to(
        device
    )
    prompt_ids = torch.tensor(list(numbers)) + 1
    text = torch.cat([embeddings[prompt_ids], embeddings[EMPTY_PROMPT].expand(count, -1, -1)]).to(device)
    points, predict = [], family_of(pipeline).predict
    levels = _levels(generators, objective.steps)
    for step, t_cpu in enumerate(levels):
        t = t_cpu.to(device)
        with mixed_precision(device):
            answer = predict(pipeline.unet, x_t.repeat(2, 1, 1, 1), t.repeat(2), text)
        prompted, unprompted = answer.float().chunk(2)
        points.append([x_t.cpu(), t_cpu, prompt_ids, prompted.cpu(), unprompted.cpu()])
        if step + 1 < len(levels):
            guided = unprompted + WALK_GUIDANCE * (prompted - unprompted)
            x_0, e = objective.split(x_t, guided, t)
            x_t = objective.noised(x_0, e, levels[step + 1].to(device))
    names = ("x_t", "timesteps", "prompt_ids", "prompted", "unprompted")
    return {name: torch.cat(column) for name, column in zip(names, zip(*points, strict=True), strict=True)}


def _levels(generators: Sequence[torch.Generator], total: int) -> list[torch.Tensor]:
    """Falling noise levels, int64 (B,) per step; each walk's grid is shifted, so that all levels occur."""
    shift = torch.stack([torch.rand((), generator=generator) for generator in generators])
    return [
        ((WALK_STEPS - 1 - step + shift) / WALK_STEPS * total).long().clamp(max=total - 1)
        for step in range(WALK_STEPS)
    ]
