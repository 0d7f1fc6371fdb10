"""A tuned text-to-image model as the guide of a growing form.

The guide brings a picture of the form to latents, and says which noise it sees in noised ones under a prompt. What is
made of the answers stands in `directions`. Where a tiny autoencoder of the same latents is at hand (diffusers'
`AutoencoderTiny`, as TAESD for Stable Diffusion), it encodes the views instead: with gradients through it, the whole
encoder is the dearest part of a step at 512 px. Belongs here: the model's side of it. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.devices import suit_memory
from fungal_assets.diffusion.encoding import embed_texts
from fungal_assets.diffusion.families import family_of, parts_of
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.forms.directions import NoisePredictor
from fungal_assets.store import hash_folder

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny, DiffusionPipeline


_PAINTED_AT_ONCE = 8


class Guide(NoisePredictor, Protocol):
    """What distillation asks of a guide."""

    latent_shape: tuple[int, int, int]

    def to_latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """Latents of pictures, float, shape (B, 3, H, W), 0 to 1; differentiable."""


class DiffusionGuide:
    """A pipeline of a known family, frozen, as a guide.

    Args:
        pipeline: Any whose scheduler predicts epsilon, v or the sample.
        negative_prompt: What the guide should lead away from; empty text for the plain kind.
        tiny_encoder: What encodes views instead of the pipeline's own autoencoder.

    Raises:
        InputError: The scheduler predicts something else, or the tiny encoder's latents are of another shape.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        *,
        negative_prompt: str = "",
        tiny_encoder: AutoencoderTiny | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.prediction = pipeline.scheduler.config.get("prediction_type", "flow")
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise InputError(
                f"the guide's scheduler predicts {self.prediction!r}; expected 'epsilon', 'v_prediction' or 'sample'. "
                "Tune a Stable Diffusion model."
            )
        self.family = family_of(pipeline)
        for part in parts_of(pipeline).values():
            part.requires_grad_(False).eval()
        self.native_px = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        side_px = pipeline.unet.config.sample_size
        self.latent_shape = (pipeline.unet.config.in_channels, side_px, side_px)
        self.alpha_bars = pipeline.scheduler.alphas_cumprod.float()
        self._negative_prompt = negative_prompt
        self.unconditional = self.embed([negative_prompt])
        self._tiny_encoder = tiny_encoder and self._proven(tiny_encoder)

    def _proven(self, tiny_encoder: AutoencoderTiny) -> AutoencoderTiny:
        """The tiny encoder, frozen, where the guide is, if its latents are of the guide's shape."""
        unet = self.pipeline.unet
        tiny_encoder.requires_grad_(False).eval().to(unet.device, unet.dtype)
        with torch.no_grad():
            blank = torch.zeros(1, 3, self.native_px, self.native_px, device=unet.device, dtype=unet.dtype)
            found = tuple(tiny_encoder.encode(blank).latents.shape[1:])
        if found != self.latent_shape:
            raise InputError(
                f"the tiny encoder makes latents of shape {found}; the guide takes {self.latent_shape}. "
                "Give the tiny autoencoder that was made for this base model, or none."
            )
        return tiny_encoder

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
        if self._tiny_encoder is not None:
            tiny = self._tiny_encoder
            latents = tiny.encode((2 * pictures - 1).to(tiny.device, tiny.dtype)).latents
            return (latents * tiny.config.scaling_factor).to(pictures.device, torch.float32)
        vae = self.pipeline.vae
        if self.family.has_fragile_vae:
            vae.to(torch.float32)
        moments = vae.encode((2 * pictures - 1).to(vae.device, vae.dtype)).latent_dist
        return (moments.mean * vae.config.scaling_factor).to(pictures.device, torch.float32)

    @torch.no_grad()
    def predict_noise(
        self, x_t: torch.Tensor, timesteps: torch.Tensor, embeddings: torch.Tensor
    ) -> torch.Tensor:
        """The noise that the UNet sees in x_t: float32, the shape of x_t, on its device.

        Args:
            x_t: float, shape (B, C, h, w).
            timesteps: int64, shape (B,).
            embeddings: float, shape (B, tokens, width).
        """
        unet, home = self.pipeline.unet, x_t.device
        alpha_bar = self.alpha_bars[timesteps].to(unet.device)[:, None, None, None]
        x_t, timesteps, embeddings = (part.to(unet.device) for part in (x_t, timesteps, embeddings))
        output = self.family.predict(unet, x_t.to(unet.dtype), timesteps, embeddings.to(unet.dtype)).float()
        return self._as_noise(output, x_t, alpha_bar).to(home)

    def _as_noise(self, output: torch.Tensor, x_t: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
        """What the UNet says, as the noise that it means; T. Salimans, J. Ho 2022 for v."""
        if self.prediction == "v_prediction":
            return alpha_bar.sqrt() * output + (1 - alpha_bar).sqrt() * x_t
        if self.prediction == "sample":
            return (x_t - alpha_bar.sqrt() * output) / (1 - alpha_bar).sqrt()
        return output


def load_guide(
    folder: Path,
    *,
    negative_prompt: str = "",
    tiny_encoder: Path | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> DiffusionGuide:
    """The pipeline of a diffusers folder as a guide.

    Args:
        folder: With `model_index.json`.
        negative_prompt: See `DiffusionGuide`.
        tiny_encoder: Folder of an `AutoencoderTiny`.
        device: Where it answers.
        dtype: Of its weights; without one, single precision on a CPU and half on a GPU.
    """
    from diffusers import AutoencoderTiny

    dtype = dtype or (torch.float32 if torch.device(device).type == "cpu" else torch.float16)
    pipeline = load_pipeline(folder, device=device, dtype=dtype)
    suit_memory(pipeline)
    tiny = AutoencoderTiny.from_pretrained(tiny_encoder, local_files_only=True) if tiny_encoder else None
    return DiffusionGuide(pipeline, negative_prompt=negative_prompt, tiny_encoder=tiny)


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
