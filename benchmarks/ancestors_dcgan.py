"""A DCGAN step against the tutorial's, lever by lever, and what both presets come to after the same CPU time.

Run: python benchmarks/ancestors_dcgan.py steps [THREADS]
     python benchmarks/ancestors_dcgan.py quality PREPARED_IMAGES SIZE_PX CPU_MINUTES FOLDER [PRESET ...]

Bars: at least 1.5 times the tutorial's steps a second at the same size and batch; after the same CPU time a kernel
distance to the pictures held out lower by a third with `small-data` than with `tutorial`. All times are of the
process's CPU, as others may use the machine.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fungal_assets.ancestors import dcgan_adversaries
from fungal_assets.ancestors.dcgan_adversaries import Adversaries
from fungal_assets.ancestors.dcgan_images import RealBatches, part, read_squares
from fungal_assets.ancestors.dcgan_looks import Looks
from fungal_assets.ancestors.dcgan_loop import best_look
from fungal_assets.ancestors.dcgan_models import Discriminator, Generator
from fungal_assets.ancestors.dcgan_presets import PRESETS, Recipe
from fungal_assets.diffusion.devices import deterministic
from fungal_assets.galleries.reading import embed_images
from fungal_assets.morphology.extractors import find_extractor

CPU = torch.device("cpu")
SIZE_PX, BATCH, RUNS = 64, 32, 5
WATCHED = {
    "watch_every_steps": 10**9,
    "watched_pictures": 64,
    "patience_looks": 0,
    "held_out_share": 0.15,
    "seed": 0,
}


class TutorialsLoop:
    """The tutorial's loop as it says what it does, in code of our own.

    Two networks in plain layout and float32, a sigmoid and binary cross entropy; the discriminator's losses on real and
    on drawn pictures go backward one after the other, the generator's goes through all of the discriminator's
    gradients, and five numbers are read after each step.
    """

    def __init__(self, width: int, latent_size: int = 100):
        self.generator = Generator(SIZE_PX, latent_size, width)
        self.discriminator = nn.Sequential(
            Discriminator(SIZE_PX, width, has_spectral_norm=False), nn.Sigmoid()
        )
        self._loss, self._latent_size = nn.BCELoss(), latent_size
        self._telling = torch.optim.Adam(self.discriminator.parameters(), 2e-4, (0.5, 0.999))
        self._drawing = torch.optim.Adam(self.generator.parameters(), 2e-4, (0.5, 0.999))

    def step(self, real: torch.Tensor) -> list[float]:
        """One step of both networks, and the numbers that are printed of it."""
        is_real, is_drawn = torch.ones(len(real)), torch.zeros(len(real))
        self.discriminator.zero_grad()
        told = self.discriminator(real)
        of_real = self._loss(told, is_real)
        of_real.backward()
        real_score = told.mean().item()
        drawn = self.generator(torch.randn(len(real), self._latent_size))
        told = self.discriminator(drawn.detach())
        of_drawn = self._loss(told, is_drawn)
        of_drawn.backward()
        drawn_score = told.mean().item()
        self._telling.step()
        self.generator.zero_grad()
        told = self.discriminator(drawn)
        loss = self._loss(told, is_real)
        loss.backward()
        self._drawing.step()
        return [real_score, drawn_score, told.mean().item(), (of_real + of_drawn).item(), loss.item()]


def cpu_s(step: Callable[[], Any]) -> float:
    """The least process CPU time of a step."""
    step()
    found = []
    for _ in range(RUNS):
        start_s = time.process_time()
        step()
        found.append(time.process_time() - start_s)
    return min(found)


@contextmanager
def without(lever: str) -> Iterator[None]:
    """Within, the step lacks one of the levers."""
    plain = {
        "bfloat16": ("mixed_precision", lambda *_, **__: torch.autocast("cpu", enabled=False)),
        "fused Adam": (
            "_adam",
            lambda network, rate, _: torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999)),
        ),
    }
    if lever not in plain:
        yield
        return
    name, instead = plain[lever]
    before = getattr(dcgan_adversaries, name)
    setattr(dcgan_adversaries, name, instead)
    try:
        yield
    finally:
        setattr(dcgan_adversaries, name, before)


def our_step(preset: str, lever: str, **given: Any) -> float:
    """CPU seconds of one of our steps of `BATCH` pictures, without a lever."""
    recipe = Recipe(**{**PRESETS[preset], **WATCHED, "batch_size": BATCH, **given})
    real = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX) * 2 - 1
    with without(lever):
        pair = Adversaries(recipe, SIZE_PX, CPU)
        if lever == "channels last":
            for network in (pair.generator, pair.discriminator):
                network.to(memory_format=torch.contiguous_format)
        if lever == "no gradients of D for G":
            pair.discriminator.requires_grad_ = lambda *_: pair.discriminator
        with deterministic(CPU):
            return cpu_s(lambda: pair.step(real))


def compare_steps() -> None:
    """Print the tutorial's step, ours, and ours without each lever."""
    torch.manual_seed(0)
    real = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX) * 2 - 1
    print(f"{SIZE_PX} px, batch {BATCH}, {torch.get_num_threads()} thread(s), CPU ms a step, least of {RUNS}")
    for width in (64, 32):
        loop = TutorialsLoop(width)
        theirs = cpu_s(lambda loop=loop: loop.step(real))
        ours = our_step("tutorial", "", width=width)
        print(
            f"width {width}: the tutorial's loop {1e3 * theirs:.0f}, ours {1e3 * ours:.0f}: {theirs / ours:.2f} times"
        )
        for lever in ("bfloat16", "channels last", "no gradients of D for G", "fused Adam"):
            slower = our_step("tutorial", lever, width=width)
            print(f"  without {lever}: {1e3 * slower:.0f} ({theirs / slower:.2f} times)")
        ours = our_step("small-data", "", width=width)
        print(f"  small-data: {1e3 * ours:.0f} ({theirs / ours:.2f} times)")


def compare_quality(prepared: Path, size_px: int, minutes: float, folder: Path, presets: list[str]) -> None:
    """Train each preset for so many CPU minutes, look each quarter of it, and print what was found."""
    extractor = find_extractor("efficientnet-lite0")
    for preset in presets or list(PRESETS):
        recipe = Recipe(**{**PRESETS[preset], **WATCHED, "max_steps": 10**9})
        place = folder / preset
        place.mkdir(parents=True, exist_ok=True)
        squares = read_squares(prepared, place / "cache", size_px=size_px, tell=print)
        seen, held_out = part(squares.image_ids, recipe.held_out_share)
        vectors = embed_images(squares.pictures(squares.rows(held_out)), extractor)
        real = RealBatches(squares, squares.rows(seen), recipe.batch_size, recipe.flips, recipe.seed, CPU)
        look = Looks(recipe, size_px, vectors, extractor, place).at
        rows: list[dict[str, Any]] = []
        with deterministic(CPU):
            pair = Adversaries(recipe, size_px, CPU)
            spent_s, quarter_s = 0.0, 60 * minutes / 4
            while len(rows) < 4:
                start_s = time.process_time()
                pair.step(real.at(pair.steps))
                spent_s += time.process_time() - start_s
                if spent_s >= quarter_s * (len(rows) + 1):
                    row = {
                        "step": pair.steps,
                        "cpu_s": round(spent_s, 1),
                        **look(pair.averaged(), pair.steps),
                    }
                    rows.append(row)
                    print(preset, json.dumps(row), flush=True)
        best = best_look(rows)
        print(
            f"{preset}: {pair.steps} steps, best {best}, mean step {spent_s / pair.steps:.3f} s", flush=True
        )


def main() -> None:
    """Do what the first argument says."""
    if sys.argv[1:2] == ["quality"]:
        prepared, size_px, minutes, folder, *presets = sys.argv[2:]
        compare_quality(Path(prepared), int(size_px), float(minutes), Path(folder), presets)
        return
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    compare_steps()


if __name__ == "__main__":
    main()
