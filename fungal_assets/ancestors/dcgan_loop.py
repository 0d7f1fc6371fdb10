"""The training loop of a DCGAN: steps, looks, states, and the end.

Each step is taken in a thread of its own while this one waits: an interruption, which is raised here, lets the step
come to its end, and the state is saved after it. Half a step cannot be saved, as the discriminator moves before the
generator.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch  # noqa: TID253

from fungal_assets.ancestors.dcgan_adversaries import Adversaries
from fungal_assets.ancestors.dcgan_images import RealBatches
from fungal_assets.ancestors.dcgan_presets import MIN_VARIETY, Recipe
from fungal_assets.diffusion.states import Progress, keep_best, keep_state, resume
from fungal_assets.errors import TrainingError
from fungal_assets.progress import OnStep, Tell, Ticker

CURVE_EVERY = 10
"""Losses are read of so many steps one: reading waits for the device."""

Row = Mapping[str, float | None]
Look = Callable[[Mapping[str, torch.Tensor], int], Row]
"""Measures a generator's state after so many steps: `kid` and `variety`."""


@dataclass
class DcganLoop:
    """One training run.

    Args:
        adversaries: What learns.
        real: The real pictures of each step.
        recipe: How.
        look: Measures the generator.
        states: Folder of resume states.
        run_key: Hash of all that decides the run.
        checkpoint_every_s: Seconds between two states.
    """

    adversaries: Adversaries
    real: RealBatches
    recipe: Recipe
    look: Look
    states: Path
    run_key: str
    checkpoint_every_s: float

    def run(self, tell: Tell, on_step: OnStep) -> Progress:
        """Train from the newest state, or from the start, to `max_steps` or until looks find nothing better.

        Raises:
            TrainingError: A loss is not finite, or a state cannot be written.
        """
        progress = resume(self.states, self.adversaries, self.run_key, tell) or Progress()
        if progress.step:
            tell(f"training goes on from step {progress.step} of {self.recipe.max_steps}")
        try:
            with ThreadPoolExecutor(1, "dcgan step") as hand:
                self._take_steps(progress, hand, tell, on_step)
        except TrainingError:
            raise
        except BaseException:
            self._note(progress)
            self._keep(progress)
            raise
        self._keep(progress)
        return progress

    def _take_steps(self, progress: Progress, hand: ThreadPoolExecutor, tell: Tell, on_step: OnStep) -> None:
        ticker = Ticker(tell, "training", self.recipe.max_steps, done=progress.step)
        saved_s = time.monotonic()
        self._inspect(progress, tell)
        while progress.step < self.recipe.max_steps and not self._has_run_out(progress.looks):
            hand.submit(self._step).result()
            self._note(progress)
            is_looked_at = self._inspect(progress, tell)
            if is_looked_at or time.monotonic() - saved_s >= self.checkpoint_every_s:
                self._keep(progress)
                saved_s = time.monotonic()
            on_step(progress.step, _told(progress, is_looked_at))
            ticker.tick(progress.step, _losses_of(progress))

    def _step(self) -> None:
        self.adversaries.step(self.real.at(self.adversaries.steps))

    def _note(self, progress: Progress) -> None:
        """Take note of the step that was done; once more changes nothing."""
        progress.step = self.adversaries.steps
        is_due = progress.step % CURVE_EVERY == 0 or progress.step == 1
        if is_due and not (progress.curve and progress.curve[-1]["step"] == progress.step):
            progress.curve = [*progress.curve, {"step": progress.step, **self._finite(progress)}]

    def _finite(self, progress: Progress) -> dict[str, float | None]:
        """The last losses.

        Raises:
            TrainingError: They are not finite.
        """
        if self.adversaries.losses is None:
            return {}
        row = self.adversaries.losses.as_row()
        if not all(math.isfinite(value or 0.0) for value in row.values()):
            raise TrainingError(
                f"step {progress.step}: the generator's loss is {row['generator_loss']} and the discriminator's "
                f"{row['discriminator_loss']}; both must be finite. Lower dcgan_weights.learning_rate and "
                f"discriminator_rate (a third of {self.recipe.learning_rate:g} and "
                f"{self.recipe.discriminator_rate:g}), or set dcgan_weights.has_spectral_norm=true."
            )
        return row

    def _keep(self, progress: Progress) -> None:
        """Keep a state, unless a step broke off half way, as where memory ran out."""
        if self.adversaries.is_whole:
            self._finite(progress)
            keep_state(self.states, self.adversaries, progress, self.run_key)

    def _inspect(self, progress: Progress, tell: Tell) -> bool:
        """Look where that is due and was not done yet; whether it was."""
        step, most = progress.step, self.recipe.max_steps
        is_done = bool(progress.looks) and progress.looks[-1]["step"] == step
        if step == 0 or is_done or (step % self.recipe.watch_every_steps and step != most):
            return False
        self._finite(progress)
        state = self.adversaries.averaged()
        row = {"step": step, **self.look(state, step)}
        looks = [*progress.looks, row]
        if best_look(looks) is row:
            keep_best(self.states, state, step)
        progress.looks = looks
        tell(
            f"step {step}: kernel distance to the pictures held out {row['kid']:.4f}, variety {row['variety']:.0%} of "
            f"theirs{_COLLAPSED if is_collapsed(row) else ''}"
        )
        if self._has_run_out(looks) and step < most:
            tell(
                f"training ends at step {step} of {most}: {self.recipe.patience_looks} looks came no nearer to the "
                "pictures held out"
            )
        return True

    def _has_run_out(self, looks: Sequence[Row]) -> bool:
        if not looks or not self.recipe.patience_looks:
            return False
        best = max(at for at, look in enumerate(looks) if look is best_look(looks))
        return len(looks) - 1 - best >= self.recipe.patience_looks


_COLLAPSED = ": too little, it draws a few things only"


def is_collapsed(look: Row) -> bool:
    """Whether what a look found has too little variety."""
    return (look["variety"] or 0.0) < MIN_VARIETY


def best_look(looks: Sequence[Row]) -> Row:
    """The look whose pictures are nearest to those held out, the earliest of equals; a collapse only where all are."""
    return min(looks, key=lambda look: (is_collapsed(look), look["kid"]))


def _losses_of(progress: Progress) -> dict[str, float]:
    """Both losses as they were last read."""
    row = progress.curve[-1] if progress.curve else {}
    return {name: row[name] or 0.0 for name in ("generator_loss", "discriminator_loss") if name in row}


def _told(progress: Progress, is_looked_at: bool) -> dict[str, float]:
    """The figures of a step that were read."""
    rows = [row for row in progress.curve[-1:] if row["step"] == progress.step]
    rows += progress.looks[-1:] if is_looked_at else []
    return {
        name: value for row in rows for name, value in row.items() if value is not None and name != "step"
    }
