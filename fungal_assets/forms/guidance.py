"""A tuned text-to-image model as the guide of a growing form.

The guide looks at a picture of the form, noised, and says which way it would denoise it under a prompt. That answer
minus the noise that was added is the direction of score distillation (B. Poole et al., "DreamFusion", 2022), with
classifier-free guidance of scale s:

    eps = eps_0(x_t) + s (eps_c(x_t) - eps_0(x_t)),    direction = eps - noise

Belongs here: the model's side of it. Cameras, weights and the form do not. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.encoding import embed_texts
from fungal_assets.diffusion.families import family_of, parts_of
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.store import hash_folder

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


_PAINTED_AT_ONCE = 8


class Guide(Protocol):
    """What distillation asks of a guide."""

    alpha_bars: torch.Tensor

    def to_latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """Latents of pictures, float, shape (B, 3, H, W), 0 to 1; differentiable."""

    def direction(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        noise: torch.Tensor,
        embeddings: torch.Tensor,
        *,
        guidance_scale: float,
    ) -> torch.Tensor:
        """Guided noise minus the noise that was added, of the latents' shape; no gradient."""


class DiffusionGuide:
    """A pipeline of a known family, frozen, as a guide.

    Args:
        pipeline: Any whose scheduler predicts epsilon, v or the sample.
        negative_prompt: What the guide should lead away from; empty text for the plain kind.

    Raises:
        InputError: The scheduler predicts something else.
    """

    def __init__(self, pipeline: DiffusionPipeline, *, negative_prompt: str = "") -> None:
        self.pipeline = pipeline
        self.prediction = pipeline.scheduler.config.prediction_type
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise InputError(
                f"the guide's scheduler predicts {self.prediction!r}; expected 'epsilon', 'v_prediction' or 'sample'. "
                "Tune a Stable Diffusion model."
            )
        self.family = family_of(pipeline)
        for part in parts_of(pipeline).values():
            part.requires_grad_(False).eval()
        self.native_px = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        self.alpha_bars = pipeline.scheduler.alphas_cumprod.float()
        self._negative_prompt = negative_prompt
        self._unconditional = self.embed([negative_prompt])

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Text embeddings: float, shape (n, tokens, width)."""
        return embed_texts(self.pipeline, texts)

    def paint(
        self, text: str, seeds: Sequence[int], *, guidance_scale: float, steps: int = 12
    ) -> list[np.ndarray]:
        """Pictures of a text at the model's native side by DPM++ 2M, one per seed: uint8, each (H, W, 3), sRGB."""
        from diffusers import DPMSolverMultistepScheduler

        self.pipeline.scheduler = DPMSolverMultistepScheduler.from_config(self.pipeline.scheduler.config)
        self.pipeline.vae.to(self.pipeline.unet.dtype)
        at_once = _PAINTED_AT_ONCE if self.native_px <= 256 else 1
        pictures: list[np.ndarray] = []
        for start in range(0, len(seeds), at_once):
            own = seeds[start : start + at_once]
            painted = self.pipeline(
                [text] * len(own),
                height=self.native_px,
                width=self.native_px,
                negative_prompt=[self._negative_prompt] * len(own),
                num_inference_steps=steps,
                guidance_scale=guidance_scale,
                generator=[torch.Generator().manual_seed(seed) for seed in own],
            )
            pictures += [np.asarray(image.convert("RGB")) for image in painted.images]
        return pictures

    def to_latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """Mean latents, scaled as the UNet takes them, of pictures brought to the model's native side."""
        if pictures.shape[-1] != self.native_px:
            size = (self.native_px, self.native_px)
            pictures = F.interpolate(
                pictures, size, mode="bilinear", antialias=pictures.shape[-1] > self.native_px
            )
        vae = self.pipeline.vae
        if self.family.has_fragile_vae:
            vae.to(torch.float32)
        moments = vae.encode((2 * pictures - 1).to(vae.device, vae.dtype)).latent_dist
        return (moments.mean * vae.config.scaling_factor).to(pictures.device, torch.float32)

    @torch.no_grad()
    def direction(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        noise: torch.Tensor,
        embeddings: torch.Tensor,
        *,
        guidance_scale: float,
    ) -> torch.Tensor:
        """See `Guide`; both halves of the guidance run as one batch."""
        unet, home = self.pipeline.unet, latents.device
        parts = (latents, timesteps, noise, embeddings, self.alpha_bars, self._unconditional)
        latents, timesteps, noise, embeddings, alpha_bars, unconditional_text = (
            part.to(unet.device) for part in parts
        )
        alpha_bar = alpha_bars[timesteps][:, None, None, None]
        x_t = alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * noise
        context = torch.cat([embeddings, unconditional_text.expand_as(embeddings)]).to(unet.dtype)
        doubled = torch.cat([x_t, x_t]).to(unet.dtype)
        output = self.family.predict(unet, doubled, torch.cat([timesteps, timesteps]), context).float()
        conditional, unconditional = self._as_noise(
            output, torch.cat([x_t, x_t]), torch.cat([alpha_bar] * 2)
        ).chunk(2)
        return (unconditional + guidance_scale * (conditional - unconditional) - noise).to(home)

    def _as_noise(self, output: torch.Tensor, x_t: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
        """What the UNet says, as the noise that it means; T. Salimans, J. Ho 2022 for v."""
        if self.prediction == "v_prediction":
            return alpha_bar.sqrt() * output + (1 - alpha_bar).sqrt() * x_t
        if self.prediction == "sample":
            return (x_t - alpha_bar.sqrt() * output) / (1 - alpha_bar).sqrt()
        return output


def load_guide(
    folder: Path, *, negative_prompt: str = "", device: torch.device | str = "cpu"
) -> DiffusionGuide:
    """The pipeline of a diffusers folder as a guide, in single precision on a CPU.

    Forms stay where they are: what the guide is asked is brought to its device, and its answer back.
    """
    dtype = torch.float32 if torch.device(device).type == "cpu" else torch.float16
    pipeline = load_pipeline(folder, device=device, dtype=dtype)
    return DiffusionGuide(pipeline, negative_prompt=negative_prompt)


def prove_guide(pruned_weights: Path) -> str:
    """SHA-256 of the tuned pipeline, proven to be the one that its record names.

    Raises:
        ProvenanceError: The files of `pipeline/` are not those that `weights.json` was written for.
    """
    import json

    record = json.loads((pruned_weights / "weights.json").read_text())
    found = hash_folder(pruned_weights / "pipeline")
    if found != record["pipeline_sha256"]:
        raise ProvenanceError(
            f"the guide in {pruned_weights / 'pipeline'} has the hash {found[:12]}, but weights.json says "
            f"{record['pipeline_sha256'][:12]}: these are not the tuned weights. "
            "Prune them again: fungal grow --until pruned_weights"
        )
    return found
