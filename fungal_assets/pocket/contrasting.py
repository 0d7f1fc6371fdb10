"""Teaching the judge, which says which text a picture of the pocket world fits: CLIP's text tower behind a locked eye.

Pictures and texts are drawn together in one space by the symmetric cross entropy of their cosines over a learnt
temperature (Radford et al. 2021, arXiv:2103.00020), where a text is right for every picture that it is true of
(`facts`). The eye is ImageNet's and stays as it is, since some ten thousand drawings teach no eye that knows a thing in
a hand never seen (`docs/log.md`); only a small head behind it learns (locked-image tuning: Zhai et al. 2022,
arXiv:2111.07991).
Belongs here: how it learns and how it answers. Which pictures it learns from stands in `recipe`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.pocket.architecture import tokenize
from fungal_assets.pocket.autoencoding import one_cycle
from fungal_assets.pocket.checkpoints import append_losses, load_checkpoint, save_checkpoint
from fungal_assets.pocket.facts import MEDIA, Facts, is_right, say, truths
from fungal_assets.progress import Tell, Ticker

HEAD_FILE = "image_head.safetensors"


@dataclass(frozen=True)
class ContrastSettings:
    """How large the judge is and how it is taught.

    Args:
        width: Width of the text tower.
        text_layers: Its depth.
        hidden: Width inside the head behind the eye.
        projection: Width of the space that both meet in.
        dropout: Share of what the eye sees, and of the head's hidden units, that is dropped while it learns.
        drawn_copies: Changed copies of each drawing, beside the drawing itself.
        fungus_copies: The same of each fungus.
        steps: Optimiser steps.
        batch_size: Pictures per step.
        learning_rate: Its peak.
        weight_decay: Decoupled decay.
        checkpoint_every: Steps between checkpoints.
        seed: Of everything that is drawn.
    """

    width: int = 192
    text_layers: int = 2
    hidden: int = 512
    projection: int = 128
    dropout: float = 0.3
    drawn_copies: int = 2
    fungus_copies: int = 1
    steps: int = 3000
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    checkpoint_every: int = 500
    seed: int = 0


@dataclass(frozen=True)
class Lessons:
    """What the judge learns from.

    Args:
        features: What the eye sees in each picture, float32 (N, D).
        facts: What is true of each.
        weights: How often each is drawn, float (N,), any scale.
    """

    features: np.ndarray
    facts: Sequence[Facts]
    weights: Tensor


class ImageHead(nn.Module):
    """Takes what the eye sees, float32 (B, D), into the space of the texts, float32 (B, projection).

    A linear road and one with a hidden layer are added. What the eye sees is first brought to mean 0 and deviation 1.

    Args:
        dimensions: D.
        hidden: Width of the hidden layer.
        projection: Width of the space.
        dropout: Share that is dropped while it learns.
    """

    def __init__(self, dimensions: int, hidden: int, projection: int, *, dropout: float = 0.0):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("deviation", torch.ones(dimensions))
        self.dropout = nn.Dropout(dropout)
        self.straight = nn.Linear(dimensions, projection, bias=False)
        self.widen = nn.Linear(dimensions, hidden)
        self.narrow = nn.Linear(hidden, projection)

    def fit(self, features: Tensor) -> None:
        """Take mean and deviation from pictures: float32 (N, D)."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0).clamp_min(1e-6))

    def forward(self, features: Tensor) -> Tensor:  # noqa: D102 - as the class says
        seen = self.dropout((features - self.mean) / self.deviation)
        return self.straight(seen) + self.narrow(self.dropout(F.gelu(self.widen(seen))))


class Towers(nn.Module):
    """What reads and what looks, with the temperature between them.

    Args:
        text: CLIP's text tower.
        head: Stands behind the eye.
    """

    def __init__(self, text: CLIPTextModelWithProjection, head: ImageHead):
        super().__init__()
        self.text, self.head = text, head
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, features: Tensor, ids: Tensor) -> Tensor:
        """Cosines over the temperature: float (B, B), rows pictures, columns texts."""
        seen = F.normalize(self.head(features), dim=-1)
        read = F.normalize(self.text(input_ids=ids).text_embeds, dim=-1)
        return self.logit_scale.exp() * seen @ read.T


def build_towers(tokenizer: CLIPTokenizer, settings: ContrastSettings, *, dimensions: int) -> Towers:
    """The judge at random weights, the same for the same seed, behind an eye that sees `dimensions` numbers."""
    config = CLIPTextConfig(
        hidden_size=settings.width,
        intermediate_size=4 * settings.width,
        num_attention_heads=4,
        num_hidden_layers=settings.text_layers,
        projection_dim=settings.projection,
        vocab_size=len(tokenizer),
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head = ImageHead(dimensions, settings.hidden, settings.projection, dropout=settings.dropout)
        return Towers(CLIPTextModelWithProjection(config), head)


def teach_judge(
    towers: Towers,
    tokenizer: CLIPTokenizer,
    lessons: Lessons,
    folder: Path,
    settings: ContrastSettings,
    *,
    tell: Tell,
    on_checkpoint: Callable[[int], None] = lambda step: None,
) -> None:
    """Teach in place, going on from the newest checkpoint in `folder`.

    Args:
        towers: Learn, on their device.
        tokenizer: What is read with.
        lessons: What is learnt from.
        folder: Where checkpoints and losses are kept.
        settings: How.
        tell: Told of progress.
        on_checkpoint: Called with the step after each checkpoint.
    """
    device, truth = towers.logit_scale.device, truths(lessons.facts)
    features = torch.from_numpy(lessons.features).float()
    towers.head.fit(features)
    optimizer = torch.optim.AdamW(
        towers.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    first = load_checkpoint(folder, {"towers": towers}, optimizer)
    ticker = Ticker(tell, "judge", settings.steps, every_s=20, done=first)
    for step in range(first, settings.steps):
        towers.train()
        optimizer.param_groups[0]["lr"] = settings.learning_rate * one_cycle(step, settings.steps, decay=0.8)
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        rng = np.random.default_rng([settings.seed, step])
        picks = torch.multinomial(lessons.weights, settings.batch_size, replacement=True, generator=generator)
        texts, said = zip(*(say(lessons.facts[pick], rng) for pick in picks.tolist()), strict=True)
        right = torch.from_numpy(is_right(truth[picks.numpy()], np.array(said))).to(device)
        ids = tokenize(tokenizer, texts).to(device)
        with torch.random.fork_rng(devices=[]), mixed_precision(device, on_cpu=True):
            torch.manual_seed(settings.seed * 1_000_003 + step)
            logits = towers(features[picks].to(device), ids)
        loss = contrastive_loss(logits.float(), right)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            towers.logit_scale.clamp_(max=math.log(100))
        if ticker.tick(step + 1, {"loss": loss.item()}):
            append_losses(folder / "losses.jsonl", [{"step": step + 1, "loss": loss.item()}])
        if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
            save_checkpoint(folder, step + 1, {"towers": towers}, optimizer)
            on_checkpoint(step + 1)


def contrastive_loss(logits: Tensor, right: Tensor) -> Tensor:
    """Symmetric cross entropy of pictures and texts, scalar.

    Args:
        logits: float, shape (B, B): rows are pictures, columns texts.
        right: bool, shape (B, B): which text is right for which picture; its own always is.
    """
    of_pictures, of_texts = (part / part.sum(1, keepdim=True) for part in (right.float(), right.T.float()))
    return 0.5 * (F.cross_entropy(logits, of_pictures) + F.cross_entropy(logits.T, of_texts))


def change_pictures(pixels: Tensor, generator: torch.Generator, *, is_drawn: bool) -> Tensor:
    """Turned by up to 15 degrees, scaled, shifted, mirrored, recoloured, made soft; all by chance, of the same shape.

    Every second is scaled down to a half, a third or a quarter and up again: a small model's pictures are soft, and
    what is soft is not thereby another thing. A drawing's hues are turned by any angle in every third and lost in every
    fifth; of a fungus, whose colours are told, only brightness, contrast and a little saturation change.

    Args:
        pixels: float32, shape (B, 3, H, W), -1 to 1.
        generator: Source of chance.
        is_drawn: Whether they are drawings.
    """
    chance = torch.rand(len(pixels), 13, generator=generator)
    angle, scale = (chance[:, 0] - 0.5) * math.radians(30), 0.8 + 0.5 * chance[:, 1]
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
    turn = torch.where(chance[:, 8] < 0.33, 2 * math.pi * chance[:, 9], 0.0) * is_drawn
    drawn_saturation = torch.where(chance[:, 10] < 0.2, 0.0, 0.4 + 1.2 * chance[:, 5])
    saturation = drawn_saturation if is_drawn else 0.8 + 0.4 * chance[:, 5]
    strength = 1.0 if is_drawn else 0.5
    contrast, brightness = 1 + strength * 0.6 * (chance[:, 6] - 0.5), strength * 0.4 * (chance[:, 7] - 0.5)
    # Hues turn about the grey axis (Rodrigues): R = cos I + (1 - cos) g g^T + sin [g]x with g = (1, 1, 1) / sqrt 3.
    grey, cross = (
        torch.full((3, 3), 1 / 3),
        torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3),
    )
    cos, sin, kept = (value[:, None, None] for value in (turn.cos(), turn.sin(), saturation))
    recolour = grey + kept * (cos * (torch.eye(3) - grey) + sin * cross)
    coloured = torch.einsum("bij,bjhw->bihw", recolour * contrast[:, None, None], moved)
    changed = (coloured + brightness[:, None, None, None]).clamp(-1, 1)
    divisors = torch.where(chance[:, 11] < 0.5, 2 + (3 * chance[:, 12]).long(), 1)
    for divisor in (2, 3, 4):
        is_soft = divisors == divisor
        small = F.interpolate(
            changed[is_soft], scale_factor=1 / divisor, mode="bilinear", antialias=True, align_corners=False
        )
        changed[is_soft] = F.interpolate(small, pixels.shape[2:], mode="bilinear", align_corners=False)
    return changed


class ClipJudge:
    """A taught judge: how well pictures fit texts.

    Args:
        towers: What was taught.
        tokenizer: What is read with.
        eye: What looks.
    """

    def __init__(self, towers: Towers, tokenizer: CLIPTokenizer, eye: EfficientNetLite0 | None = None):
        self.towers, self.tokenizer, self.eye = towers.eval(), tokenizer, eye or EfficientNetLite0()

    @classmethod
    def load(cls, folder: Path) -> ClipJudge:
        """The judge that `save` put into a folder, in float32."""
        text = CLIPTextModelWithProjection.from_pretrained(folder, dtype=torch.float32)
        weights = {name: value.float() for name, value in load_file(folder / HEAD_FILE).items()}
        hidden, dimensions = weights["widen.weight"].shape
        head = ImageHead(dimensions, hidden, len(weights["straight.weight"]))
        head.load_state_dict(weights)
        return cls(Towers(text, head), CLIPTokenizer.from_pretrained(folder))

    def save(self, folder: Path) -> None:
        """Write text tower, tokenizer and head; what was learnt in half precision."""
        folder.mkdir(parents=True, exist_ok=True)
        text = CLIPTextModelWithProjection(self.towers.text.config)
        text.load_state_dict(self.towers.text.state_dict())
        text.half().save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        layers = {name for name, _ in self.towers.head.named_parameters()}
        state = {name: value.cpu() for name, value in self.towers.head.state_dict().items()}
        halved = {name: value.half() if name in layers else value for name, value in state.items()}
        save_file(halved, folder / HEAD_FILE)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors, float32 (n, d)."""
        ids = tokenize(self.tokenizer, texts).to(self.towers.logit_scale.device)
        return F.normalize(self.towers.text(input_ids=ids).text_embeds, dim=-1).cpu()

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Unit vectors, float32 (n, d)."""
        parts = [self.eye.embed(images[start : start + 32]) for start in range(0, len(images), 32)]
        return self.embed_seen(torch.from_numpy(np.concatenate(parts)))

    @torch.inference_mode()
    def embed_seen(self, seen: Tensor) -> Tensor:
        """The same of what the eye saw already, float32 (n, D)."""
        return F.normalize(self.towers.head(seen.to(self.towers.logit_scale.device)), dim=-1).cpu()

    def embed_names(self, names: Sequence[str]) -> Tensor:
        """Unit vectors of things by their names with article, each the mean of several wordings: float32 (n, d)."""
        wordings = [self.embed_texts([template.format(name) for name in names]) for template in MEDIA]
        return F.normalize(torch.stack(wordings).mean(0), dim=-1)

    def name(self, images: Sequence[Image.Image], names: Sequence[str]) -> list[int]:
        """For each picture the number of the name that fits it best."""
        return (self.embed_images(images) @ self.embed_names(names).T).argmax(1).tolist()
