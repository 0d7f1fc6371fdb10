"""Teaching the pocket model's text encoder before the UNet begins: what is a caption's picture like?

Stable Diffusion's text encoder came from CLIP; one that starts from nothing gives the UNet so little to attend to that
after 2,800 steps it still drew every drawing alike (docs/log.md). So it learns first, in minutes, to say from the
caption alone which thing is shown and what the mean of its latents is, which is the UNet's answer to pure noise.
It must say so at every place from the end of the text on: there are more of these than words, all of them are attended
to, and each sees the whole text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.pocket.autoencoding import one_cycle
from fungal_assets.pocket.checkpoints import append_losses, load_checkpoint, save_checkpoint
from fungal_assets.progress import Tell, Ticker


@dataclass(frozen=True)
class WordingSettings:
    """How the text encoder is taught."""

    steps: int = 1000
    batch_size: int = 128
    learning_rate: float = 1e-3
    naming_weight: float = 0.3
    seed: int = 0


class Describer(nn.Module):
    """A text encoder and what it is asked: the picture's latents and its thing, from every place past the words.

    Args:
        encoder: Learns.
        latent_size: Numbers of one latent.
        things: How many things there are.
    """

    def __init__(self, encoder: CLIPTextModel, latent_size: int, things: int):
        super().__init__()
        self.encoder, width = encoder, encoder.config.hidden_size
        self.to_latents, self.to_thing = nn.Linear(width, latent_size), nn.Linear(width, things)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For ids (B, L): latents (P, latent_size), logits (P, things) and the row (P,) of each of P places."""
        is_past = ids == self.encoder.config.eos_token_id
        with mixed_precision(ids.device, on_cpu=True):
            states = self.encoder(ids).last_hidden_state[is_past]
            latents, logits = self.to_latents(states), self.to_thing(states)
        return latents.float(), logits.float(), is_past.nonzero()[:, 0]


def teach_words(
    encoder: CLIPTextModel,
    ids: Tensor,
    latents: Tensor,
    concepts: Sequence[str],
    weights: Tensor,
    folder: Path,
    settings: WordingSettings,
    *,
    tell: Tell,
) -> None:
    """Teach in place, going on from the newest checkpoint in `folder`.

    Args:
        encoder: Its configuration names the token that ends and pads a text.
        ids: Token ids of every caption, int64 (N, L).
        latents: Scaled latents of its picture, float32 (N, 4, h, w).
        concepts: What each picture shows.
        weights: How often each is drawn, float (N,), any scale.
        folder: Where the checkpoint is kept.
        settings: How.
        tell: Told of progress.
    """
    numbers = {concept: index for index, concept in enumerate(sorted(set(concepts)))}
    things = torch.tensor([numbers[concept] for concept in concepts])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = Describer(encoder, latents[0].numel(), len(numbers)).to(encoder.device)
    encoder.set_attn_implementation("eager")
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.99), fused=True
    )
    first = load_checkpoint(folder, {"model": model}, optimizer)
    ticker = Ticker(tell, "words", settings.steps, every_s=20, done=first)
    for step in range(first, settings.steps):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * one_cycle(step, settings.steps)
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        picks = torch.multinomial(weights, settings.batch_size, replacement=True, generator=generator)
        shown, named = latents[picks].flatten(1).to(encoder.device), things[picks].to(encoder.device)
        predicted, logits, rows = model(ids[picks].to(encoder.device))
        likeness = F.mse_loss(predicted, shown[rows])
        naming = F.cross_entropy(logits, named[rows])
        optimizer.zero_grad(set_to_none=True)
        (likeness + settings.naming_weight * naming).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses = {"likeness": likeness.item(), "naming": naming.item()}
        if ticker.tick(step + 1, losses):
            append_losses(folder / "losses.jsonl", [{"step": step + 1, **losses}])
    if first < settings.steps:
        save_checkpoint(folder, settings.steps, {"model": model}, optimizer)
