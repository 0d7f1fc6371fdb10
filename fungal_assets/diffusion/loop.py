"""The training loop: one straight line of steps over batches, whatever method chose the parameters.

It knows batches, parameters and states; not where pictures come from, nor what the weights are for. It saves
by the clock, after each look and on any interruption, ends early where a look says so, and refuses to go on when the
loss is not finite, does not fall or nothing learns.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch  # noqa: TID253

from fungal_assets.diffusion.batches import Batch, Batches
from fungal_assets.diffusion.estimating import Pace
from fungal_assets.diffusion.objectives import learning_rate_at
from fungal_assets.diffusion.states import (
    Learner,
    Progress,
    keep_best,
    keep_state,
    load_state,
    resume,
    take_best,
)
from fungal_assets.diffusion.stepping import make_optimiser, precise
from fungal_assets.diffusion.team import Alone, Team
from fungal_assets.diffusion.watching import Look, Watching
from fungal_assets.errors import TrainingError
from fungal_assets.progress import OnStep, Tell, Ticker

MAX_GRADIENT_NORM = 1.0
PROBE_BATCHES, PROBE_ROWS = 4, 8
UNMOVED = 0.001
"""A rise or fall of the loss by less than this share counts as none."""

Encode = Callable[[torch.Tensor], torch.Tensor]
Predict = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass
class Loop:
    """One training run.

    Args:
        unet: The model, with what learns attached.
        parameters: What learns, by name.
        batches: What each step sees.
        max_steps: Steps in all.
        learning_rate: Peak learning rate.
        ema_decay: Share of the averaged weights that stays at each step, less in the first ones; 0 for no average.
        states: Folder of resume states.
        run_key: Hash of all that decides the run.
        checkpoint_every_s: Seconds between two states.
        watching: When the run is looked at, and when it ends.
        predict: What the model answers to noisy latents, noise levels and texts; see `families`.
        encode: Makes text embeddings of a batch's token ids; None where batches hold embeddings.
        optimiser: Which one.
        precision: Of the arithmetic within a step.
        accumulation_steps: Parts of each batch, seen one after the other.
        team: The processes that take each step together.
        look: Measures what learns after so many steps; None where there are no looks. Only the main process calls it.
        look_s: Seconds that one takes, as far as that is known.
    """

    unet: torch.nn.Module
    parameters: Mapping[str, torch.nn.Parameter]
    batches: Batches
    max_steps: int
    learning_rate: float
    ema_decay: float
    states: Path
    run_key: str
    checkpoint_every_s: float
    watching: Watching
    predict: Predict
    encode: Encode | None = None
    optimiser: str = "adamw"
    precision: str = "auto"
    accumulation_steps: int = 1
    team: Team = field(default_factory=Alone)
    look: Callable[[int], Mapping[str, float | None]] | None = None
    look_s: float = 0.0
    learner: Learner = field(init=False)
    _is_updating: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        from diffusers.training_utils import EMAModel

        learning = list(self.parameters.values())
        optimiser = make_optimiser(self.optimiser, learning, self.learning_rate, self.batches.device)
        average = EMAModel(learning, decay=self.ema_decay, foreach=True) if self.ema_decay else None
        self.learner = Learner(self.parameters, optimiser, average)

    def run(self, tell: Tell, on_step: OnStep) -> Progress:
        """Train from the newest state, or from the start, to `max_steps` or until a look ends it.

        Raises:
            TrainingError: The loss is not finite or does not fall, or nothing learns.
        """
        progress = self._resume(tell)
        if progress is None:
            progress = Progress(probe_loss=self.probe_loss())
        else:
            tell(f"training goes on from step {progress.step} of {self.max_steps}")
        with self.team.stepping():
            self._take_steps(progress, tell, on_step)
        return progress

    def _resume(self, tell: Tell) -> Progress | None:
        """The newest state, if there is one: the main process looks for it, and all are as it says."""
        progress = self.team.share(lambda: resume(self.states, self.learner, self.run_key, tell))
        if progress is not None and not self.team.is_main:
            load_state(self.states, self.learner, progress.step)
        return progress

    def _take_steps(self, progress: Progress, tell: Tell, on_step: OnStep) -> None:
        ticker = Ticker(tell, "training", self.max_steps, done=progress.step)
        steps = range(progress.step + 1, self.max_steps + 1)
        looks = sum(self.watching.is_due(step, self.max_steps) for step in steps)
        pace = Pace(tell, len(steps), looks, self.look_s)
        saved_s = time.monotonic()
        try:
            self._inspect(progress, tell)
            while progress.step < self.max_steps and not self.watching.why_stop(progress.looks):
                row = self._step(progress)
                pace.tick()
                is_looked_at = self._inspect(progress, tell)
                if is_looked_at or time.monotonic() - saved_s >= self.checkpoint_every_s:
                    self._keep(progress)
                    saved_s = time.monotonic()
                on_step(progress.step, _told(row, progress.looks))
                ticker.tick(progress.step, {"loss": row["loss"]})
                self.team.heed()
        except TrainingError:
            raise
        except BaseException:
            if not self._is_updating:
                self._keep(progress)
            raise
        self._keep(progress)

    @contextmanager
    def kept(self, progress: Progress) -> Iterator[int]:
        """Within, what learns are the weights that are kept: the last ones or those of the best look; gives their step.

        Without an average what learns stays as it is within.

        Raises:
            TrainingError: No look has retention enough.
        """
        step = self._step_kept(progress)
        with self.learner.averaged():
            if step != progress.step:
                take_best(self.states, self.parameters, step)
            yield step

    def _step_kept(self, progress: Progress) -> int:
        if not self.watching.keeps_best:
            return progress.step
        best = self.watching.best(progress.looks, self.batches.steps_for_every_row())
        if best is None:
            raise TrainingError(
                f"every look after a step found retention below stops_below_retention of "
                f"{self.watching.stops_below_retention:.0%}, {progress.looks[-1]['retention']:.0%} at step "
                f"{progress.step}, so no weights can be kept. Lower watch_every_steps or learning_rate, or raise "
                f"rehearsal_share."
            )
        return int(best["step"] or 0)

    def _inspect(self, progress: Progress, tell: Tell) -> bool:
        """Do what is due after this step and was not done yet: see the loss fall, look. Tells whether it looked.

        All processes come to the same end, as it is the main one's numbers that decide.
        """
        if progress.step == self.watching.must_have_learnt_at(self.max_steps):
            refuse_unmoved(progress, self.team.share(self.probe_loss), self.max_steps)
        is_due = self.watching.is_due(progress.step, self.max_steps)
        if not is_due or (progress.looks and progress.looks[-1]["step"] == progress.step):
            return False
        row = self.team.share(lambda: self._look(progress))
        progress.looks = [*progress.looks, row]
        tell(f"step {progress.step}: {', '.join(_phrases(row))}")
        why = self.watching.why_stop(progress.looks)
        if why and progress.step < self.max_steps:
            tell(f"training ends at step {progress.step} of {self.max_steps}: {why}")
        return True

    def _look(self, progress: Progress) -> dict[str, float | None]:
        """A look's row, of the average where there is one; the weights are kept if it is the best so far."""
        assert self.look is not None
        since = int(progress.looks[-1]["step"] or 0) if progress.looks else 0
        losses = [row["loss"] or 0.0 for row in progress.curve[since:]]
        with self.learner.averaged(self._changing):
            row = {
                "step": progress.step,
                "learning_rate": progress.curve[-1]["learning_rate"] if progress.curve else None,
                "loss": sum(losses) / len(losses) if losses else None,
                **self.look(progress.step),
            }
            looks, whole = [*progress.looks, row], self.batches.steps_for_every_row()
            if self.watching.keeps_best and self.watching.best(looks, whole) is row:
                keep_best(self.states, self.parameters, progress.step)
        return row

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Within, an interruption finds the state half changed and must not save it."""
        self._is_updating = True
        yield
        self._is_updating = False

    def _keep(self, progress: Progress) -> None:
        if self.team.is_main:
            keep_state(self.states, self.learner, progress, self.run_key)

    def _step(self, progress: Progress) -> dict[str, Any]:
        """One step of the optimiser; returns its row of the curve."""
        step = progress.step
        batch = self.batches.at(step)
        losses = self.team.backward(
            batch, self.losses, self.parameters.values(), parts=self.accumulation_steps
        )
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), MAX_GRADIENT_NORM))
        row = {"step": step + 1, "loss": float(losses.mean())} | _parts(losses, batch.specimens)
        self._refuse_hopeless(row, norm)
        row["learning_rate"] = learning_rate_at(step, peak=self.learning_rate, steps=self.max_steps)
        with self._changing():
            for group in self.learner.optimiser.param_groups:
                group["lr"] = row["learning_rate"]
            self.learner.optimiser.step()
            self.learner.optimiser.zero_grad(set_to_none=True)
            if self.learner.average is not None:
                self.learner.average.step(self.parameters.values())
            progress.curve.append(row)
            progress.step += 1
        return row

    def losses(self, batch: Batch) -> torch.Tensor:
        """Weighted squared error of each row, float32 (B,)."""
        with precise(self.batches.device, self.precision):
            text = self.encode(batch.text) if self.encode else batch.text
            parts = [
                (target, self.predict(self.unet, x_t, batch.timesteps[rows], text[rows]))
                for rows, x_t, target in batch.by_shape()
            ]
        errors = [(answer.float() - target).square().mean(dim=(1, 2, 3)) for target, answer in parts]
        return batch.weight * batch.in_order(errors)

    def probe_loss(self) -> float:
        """Loss over a few fixed batches: the same rows and noise at any time, so that a fall is no luck."""
        return self.loss_over(self.batches, PROBE_BATCHES)

    @torch.no_grad()
    def loss_over(self, batches: Batches, count: int) -> float:
        """Mean loss over `count` fixed probes of batches, of this run or of pictures that it does not see."""
        with self.uncompiled():
            losses = [self.losses(batches.probe(at, PROBE_ROWS)) for at in range(count)]
        return float(torch.cat(losses).mean())

    @contextmanager
    def uncompiled(self) -> Iterator[None]:
        """Within, the model is not compiled: a few measurements are not worth code of their own, as steps are."""
        compiled = self.unet
        self.unet = getattr(compiled, "_orig_mod", compiled)
        try:
            yield
        finally:
            self.unet = compiled

    @staticmethod
    def _refuse_hopeless(row: Mapping[str, Any], norm: float) -> None:
        """Stop before the weights are spoilt."""
        if not all(torch.isfinite(torch.tensor([row["loss"], norm]))):
            raise TrainingError(
                f"step {row['step']}: loss {row['loss']} with gradient norm {norm}; both must be finite. "
                f"Lower learning_rate (a tenth of it), and check that the base model itself is finite."
            )
        if norm == 0 and row["specimen_loss"]:
            raise TrainingError(
                f"step {row['step']}: all gradients are zero at loss {row['loss']}, so nothing learns. Use "
                f"another base model, or method 'full': the layers or words that should learn have no effect on "
                f"its output."
            )


def refuse_unmoved(progress: Progress, probe_loss: float, max_steps: int) -> None:
    """Stop a run that has not learnt anything by now, hours before it would have ended.

    Args:
        progress: How far the run is.
        probe_loss: Loss on the probe now.
        max_steps: Steps in all.

    Raises:
        TrainingError: The loss on the probe has not fallen since the first step.
    """
    before = progress.probe_loss
    if probe_loss < before * (1 - UNMOVED):
        return
    rises = probe_loss > before * (1 + UNMOVED)
    raise TrainingError(
        f"step {progress.step} of {max_steps}: the loss on the probe {'has risen' if rises else 'does not move'}, "
        f"{before:.4f} before and {probe_loss:.4f} now, so the rest would be in vain. "
        + (
            "Lower learning_rate (a third of it), or raise batch_size."
            if rises
            else "Raise learning_rate (three times), and see that the captions say what the pictures show."
        )
        + " If the run is to go on all the same, set must_learn_within to 0."
    )


def _told(row: Mapping[str, Any], looks: Sequence[Look]) -> dict[str, float]:
    """What is told of a step: its own figures, and those of the look before it, where there are any."""
    names = ("retention", "species_recognised", "held_out_loss")
    known = {name: looks[-1][name] for name in names} if looks and looks[-1]["step"] == row["step"] else {}
    return {name: value for name, value in {**row, **known}.items() if value is not None and name != "step"}


def _phrases(look: Look) -> list[str]:
    """A look's figures, one phrase each; what was not measured is left out."""
    shares = [
        f"{name.replace('_', ' ')} {look[name]:.0%}"
        for name in ("retention", "species_recognised")
        if look[name] is not None
    ]
    losses = [
        f"{name.replace('_', ' ')} {look[name]:.4f}"
        for name in ("loss", "held_out_loss")
        if look[name] is not None
    ]
    return [*shares, *losses] or ["looked at"]


def _parts(losses: torch.Tensor, specimens: int) -> dict[str, Any]:
    """Mean loss of the specimens and of the rehearsal, None where a batch has none."""
    parts = {"specimen_loss": losses[:specimens], "rehearsal_loss": losses[specimens:]}
    return {name: float(part.mean()) if len(part) else None for name, part in parts.items()}
