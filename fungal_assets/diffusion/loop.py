"""The training loop: one straight line of steps over batches, whatever method chose the parameters.

It knows batches, parameters and states; not where pictures come from, nor what the weights are for. It saves
by the clock and on any interruption, and refuses to go on when the loss is not finite or nothing learns.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch  # noqa: TID253

from fungal_assets.diffusion.batches import Batch, Batches
from fungal_assets.diffusion.objectives import learning_rate_at
from fungal_assets.diffusion.states import Learner, Progress, keep_state, load_state, resume
from fungal_assets.diffusion.stepping import make_optimiser, precise
from fungal_assets.diffusion.team import Alone, Team
from fungal_assets.errors import TrainingError
from fungal_assets.progress import Tell, Ticker

MAX_GRADIENT_NORM = 1.0
PROBE_BATCHES, PROBE_ROWS = 4, 8

OnLoss = Callable[[int, float], None]
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
        predict: What the model answers to noisy latents, noise levels and texts; see `families`.
        encode: Makes text embeddings of a batch's token ids; None where batches hold embeddings.
        optimiser: Which one.
        precision: Of the arithmetic within a step.
        accumulation_steps: Parts of each batch, seen one after the other.
        team: The processes that take each step together.
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
    predict: Predict
    encode: Encode | None = None
    optimiser: str = "adamw"
    precision: str = "auto"
    accumulation_steps: int = 1
    team: Team = field(default_factory=Alone)
    learner: Learner = field(init=False)
    _is_updating: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        from diffusers.training_utils import EMAModel

        learning = list(self.parameters.values())
        optimiser = make_optimiser(self.optimiser, learning, self.learning_rate, self.batches.device)
        average = EMAModel(learning, decay=self.ema_decay, foreach=True) if self.ema_decay else None
        self.learner = Learner(self.parameters, optimiser, average)

    def run(self, tell: Tell, on_loss: OnLoss) -> Progress:
        """Train from the newest state, or from the start, to `max_steps`.

        Raises:
            TrainingError: The loss is not finite, or nothing learns.
        """
        progress = self._resume(tell)
        if progress is None:
            progress = Progress(probe_loss=self.probe_loss())
        else:
            tell(f"training goes on from step {progress.step} of {self.max_steps}")
        ticker = Ticker(tell, "training", self.max_steps, done=progress.step)
        with self.team.stepping():
            self._take_steps(progress, ticker, on_loss)
        return progress

    def _resume(self, tell: Tell) -> Progress | None:
        """The newest state, if there is one: the main process looks for it, and all are as it says."""
        progress = self.team.share(lambda: resume(self.states, self.learner, self.run_key, tell))
        if progress is not None and not self.team.is_main:
            load_state(self.states, self.learner, progress.step)
        return progress

    def _take_steps(self, progress: Progress, ticker: Ticker, on_loss: OnLoss) -> None:
        saved_s = time.monotonic()
        try:
            while progress.step < self.max_steps:
                row = self._step(progress)
                if time.monotonic() - saved_s >= self.checkpoint_every_s:
                    self._keep(progress)
                    saved_s = time.monotonic()
                on_loss(progress.step, row["loss"])
                ticker.tick(progress.step, {"loss": row["loss"]})
                self.team.heed()
        except TrainingError:
            raise
        except BaseException:
            if not self._is_updating:
                self._keep(progress)
            raise
        self._keep(progress)

    def _keep(self, progress: Progress) -> None:
        if self.team.is_main:
            keep_state(self.states, self.learner, progress, self.run_key)

    def _step(self, progress: Progress) -> dict[str, Any]:
        """One step of the optimiser; returns its row of the curve."""
        step = progress.step
        batch = self.batches.at(step)
        losses = self.team.backward(
            batch, self._losses, self.parameters.values(), parts=self.accumulation_steps
        )
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), MAX_GRADIENT_NORM))
        row = {"step": step + 1, "loss": float(losses.mean())} | _parts(losses, batch.specimens)
        self._refuse_hopeless(row, norm)
        row["learning_rate"] = learning_rate_at(step, peak=self.learning_rate, steps=self.max_steps)
        # From here to the end of the step an interruption finds the state half changed and must not save it.
        self._is_updating = True
        for group in self.learner.optimiser.param_groups:
            group["lr"] = row["learning_rate"]
        self.learner.optimiser.step()
        self.learner.optimiser.zero_grad(set_to_none=True)
        if self.learner.average is not None:
            self.learner.average.step(self.parameters.values())
        progress.curve.append(row)
        progress.step += 1
        self._is_updating = False
        return row

    def _losses(self, batch: Batch) -> torch.Tensor:
        """Weighted squared error of each row, float32 (B,)."""
        with precise(self.batches.device, self.precision):
            text = self.encode(batch.text) if self.encode else batch.text
            prediction = self.predict(self.unet, batch.x_t, batch.timesteps, text)
        return batch.weight * (prediction.float() - batch.target).square().mean(dim=(1, 2, 3))

    def probe_loss(self) -> float:
        """Loss over a few fixed batches: the same rows and noise at any time, so that a fall is no luck."""
        return self.loss_over(self.batches, PROBE_BATCHES)

    @torch.no_grad()
    def loss_over(self, batches: Batches, count: int) -> float:
        """Mean loss over `count` fixed probes of batches, of this run or of pictures that it does not see."""
        return float(torch.cat([self._losses(batches.probe(at, PROBE_ROWS)) for at in range(count)]).mean())

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


def _parts(losses: torch.Tensor, specimens: int) -> dict[str, Any]:
    """Mean loss of the specimens and of the rehearsal, None where a batch has none."""
    parts = {"specimen_loss": losses[:specimens], "rehearsal_loss": losses[specimens:]}
    return {name: float(part.mean()) if len(part) else None for name, part in parts.items()}
