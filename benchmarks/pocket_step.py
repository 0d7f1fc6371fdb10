"""One training step of the pocket model: as the recipe takes it, against float32 with torch's fused attention.

Run: python benchmarks/pocket_step.py [STEPS]. Both sides run in turn in one process; the ratio is the claim.
"""

import statistics
import sys
import time
from collections.abc import Callable
from unittest import mock

import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from fungal_assets.diffusion import devices
from fungal_assets.pocket import diffusing
from fungal_assets.pocket.architecture import build_pipeline

BATCH = 32


def make_step(*, is_plain: bool) -> Callable[[], None]:
    """A function that takes one optimiser step on chance latents."""
    pipeline = build_pipeline("pocket", seed=0)
    pipeline.unet.set_attn_processor(AttnProcessor2_0() if is_plain else AttnProcessor())
    pipeline.text_encoder.set_attn_implementation("sdpa" if is_plain else "eager")
    model = diffusing.TextAndUNet(pipeline)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    generator = torch.Generator().manual_seed(0)
    channels, side = pipeline.unet.config.in_channels, pipeline.unet.config.sample_size
    latents = torch.randn(BATCH, channels, side, side, generator=generator)
    tokens = torch.randint(len(pipeline.tokenizer), (BATCH, 32), generator=generator)
    alphas = pipeline.scheduler.alphas_cumprod

    def step() -> None:
        t = diffusing.draw_steps(BATCH, len(alphas), generator, middle_share=0.5)
        loss = diffusing.v_loss(model, latents, tokens, t, alphas, generator, gamma=5.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def plain_step() -> None:
        with mock.patch.object(devices, "has_bfloat16_units", return_value=False):
            step()

    return plain_step if is_plain else step


def timed_s(step: Callable[[], None]) -> float:
    """Wall seconds of one call."""
    start_s = time.perf_counter()
    step()
    return time.perf_counter() - start_s


def main() -> None:
    """Print the median step of each side and their ratio."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    plain, ours = make_step(is_plain=True), make_step(is_plain=False)
    pairs = [(timed_s(plain), timed_s(ours)) for _ in range(steps + 2)][2:]
    theirs_s, ours_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    units = "with" if devices.has_bfloat16_units() else "without"
    print(
        f"float32, fused attention {theirs_s:.3f} s; as the recipe does {ours_s:.3f} s; ratio {theirs_s / ours_s:.2f} "
        f"({units} bfloat16 units, batch {BATCH}, median of {steps} pairs)"
    )


if __name__ == "__main__":
    main()
