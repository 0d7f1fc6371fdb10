"""Teaching the judge: a small model of CLIP's architecture that says which text a picture of the pocket world fits.

Pictures and their captions are drawn together in one space by the symmetric cross entropy of their cosines over a
learnt temperature (Radford et al. 2021, arXiv:2103.00020). All drawings of one thing are right for each other's
captions; of a fungus only its own caption is, so that colours, grounds and views are told apart too. Pictures are
turned, scaled, mirrored and recoloured at each step, since one style of art is never seen but in scoring.
Belongs here: how it learns and how it answers. Which pictures it learns from stands in `recipe`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.pocket.architecture import tokenize
from fungal_assets.pocket.autoencoding import one_cycle, to_signed
from fungal_assets.pocket.checkpoints import append_losses, load_checkpoint, save_checkpoint
from fungal_assets.progress import Tell, Ticker

IMAGE_PX = 64
_TEMPLATES = ("{}", "a drawing of {}", "a picture of {}", "an illustration of {}")


@dataclass(frozen=True)
class ContrastSettings:
    """How large the judge is and how it is taught.

    Args:
        width: Width of both transformers.
        image_layers: Depth of the one that looks.
        text_layers: Depth of the one that reads.
        projection: Width of the space that both meet in.
        steps: Optimiser steps.
        batch_size: Pictures per step.
        learning_rate: Its peak.
        weight_decay: Decoupled decay.
        checkpoint_every: Steps between checkpoints.
        seed: Of everything that is drawn.
    """

    width: int = 192
    image_layers: int = 6
    text_layers: int = 3
    projection: int = 128
    steps: int = 3000
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    checkpoint_every: int = 500
    seed: int = 0


def build_clip(tokenizer: CLIPTokenizer, settings: ContrastSettings) -> CLIPModel:
    """The judge at random weights, the same for the same seed: pictures of 64 px in patches of 8."""
    size = {"hidden_size": settings.width, "intermediate_size": 4 * settings.width, "num_attention_heads": 4}
    text = size | {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": settings.text_layers,
        "max_position_embeddings": tokenizer.model_max_length,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "projection_dim": settings.projection,
    }
    vision = size | {
        "image_size": IMAGE_PX,
        "patch_size": 8,
        "num_hidden_layers": settings.image_layers,
        "projection_dim": settings.projection,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return CLIPModel(
            CLIPConfig(text_config=text, vision_config=vision, projection_dim=settings.projection)
        )


def teach_judge(
    model: CLIPModel,
    images: np.ndarray,
    ids: Tensor,
    groups: Sequence[int],
    weights: Tensor,
    folder: Path,
    settings: ContrastSettings,
    *,
    tell: Tell,
) -> None:
    """Teach in place, going on from the newest checkpoint in `folder`.

    Args:
        model: Learns, on its device.
        images: uint8, shape (N, H, W, 3), sRGB.
        ids: Token ids of each caption, int64 (N, L).
        groups: Pictures of one group are right for each other's captions; -1 for one that is in none.
        weights: How often each is drawn, float (N,), any scale.
        folder: Where checkpoints and losses are kept.
        settings: How.
        tell: Told of progress.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    first = load_checkpoint(folder, {"model": model}, optimizer)
    groups_of = torch.tensor(groups)
    ticker = Ticker(tell, "judge", settings.steps, every_s=20, done=first)
    for step in range(first, settings.steps):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * one_cycle(step, settings.steps, decay=0.8)
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        picks = torch.multinomial(weights, settings.batch_size, replacement=True, generator=generator)
        pixels = augment(to_pixels(images[picks.numpy()]), generator).to(model.device)
        with mixed_precision(model.device, on_cpu=True):
            output = model(input_ids=ids[picks].to(model.device), pixel_values=pixels)
        loss = contrastive_loss(output.logits_per_image.float(), groups_of[picks].to(model.device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        if ticker.tick(step + 1, {"loss": loss.item()}):
            append_losses(folder / "losses.jsonl", [{"step": step + 1, "loss": loss.item()}])
        if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
            save_checkpoint(folder, step + 1, {"model": model}, optimizer)


def contrastive_loss(logits: Tensor, groups: Tensor) -> Tensor:
    """Symmetric cross entropy of pictures and captions, scalar.

    Args:
        logits: float, shape (B, B): rows are pictures, columns captions.
        groups: int64, shape (B,); see `teach_judge`.
    """
    is_same = (groups[:, None] == groups) & (groups >= 0)
    right = (is_same | torch.eye(len(logits), dtype=torch.bool, device=logits.device)).float()
    right = right / right.sum(1, keepdim=True)
    return 0.5 * (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right))


def to_pixels(images: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) as the model takes them: float32 (B, 3, 64, 64), -1 to 1."""
    return F.interpolate(to_signed(images), (IMAGE_PX, IMAGE_PX), mode="bilinear", antialias=True)


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Turned by up to 15 degrees, scaled, shifted, mirrored, its colours changed; all by chance, of the same shape."""
    count = len(pixels)
    chance = torch.rand(count, 8, generator=generator)
    angle = (chance[:, 0] - 0.5) * math.radians(30)
    scale = 0.8 + 0.5 * chance[:, 1]
    mirror = torch.where(chance[:, 2] < 0.5, -1.0, 1.0)
    matrix = torch.stack(
        [
            torch.stack([scale * mirror * angle.cos(), -scale * angle.sin(), 0.3 * (chance[:, 3] - 0.5)], -1),
            torch.stack([scale * mirror * angle.sin(), scale * angle.cos(), 0.3 * (chance[:, 4] - 0.5)], -1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    grey = moved.mean(1, keepdim=True)
    saturation = (0.5 + chance[:, 5])[:, None, None, None]
    contrast, brightness = 0.7 + 0.6 * chance[:, 6], 0.4 * (chance[:, 7] - 0.5)
    coloured = grey + saturation * (moved - grey)
    return (coloured * contrast[:, None, None, None] + brightness[:, None, None, None]).clamp(-1, 1)


class ClipJudge:
    """A taught judge: how well pictures fit texts.

    Args:
        folder: Where `CLIPModel.save_pretrained` and its tokenizer's put it.
    """

    def __init__(self, folder: Path):
        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors, float32 (n, d)."""
        ids = tokenize(self.tokenizer, texts)
        return F.normalize(self.model.get_text_features(input_ids=ids).pooler_output, dim=-1)

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Unit vectors, float32 (n, d)."""
        pixels = torch.cat([to_pixels(np.array(image.convert("RGB"))[None]) for image in images])
        parts = [self.model.get_image_features(pixel_values=part).pooler_output for part in pixels.split(64)]
        return F.normalize(torch.cat(parts), dim=-1)

    def embed_names(self, names: Sequence[str]) -> Tensor:
        """Unit vectors of things by their names with article, each the mean of several wordings: float32 (n, d)."""
        wordings = [self.embed_texts([template.format(name) for name in names]) for template in _TEMPLATES]
        return F.normalize(torch.stack(wordings).mean(0), dim=-1)

    def name(self, images: Sequence[Image.Image], names: Sequence[str]) -> list[int]:
        """For each picture the number of the name that fits it best."""
        return (self.embed_images(images) @ self.embed_names(names).T).argmax(1).tolist()
