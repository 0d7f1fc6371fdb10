"""When a run is looked at, which of its looks is the best, and when it stops early: settings and rules.

Belongs here: numbers. What a look draws and judges is in `looks`.

A look's row holds `step`, `learning_rate`, `loss` (the mean since the look before; None at step 0), `held_out_loss`,
`retention`, `species_recognised` and `species_likeness`, each None where there is nothing to measure it by. Fit is how
well species are drawn: the share recognised and, where that is equal, how like they are to their own clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Look = Mapping[str, float | None]

UNJUDGED_STEPS = 20
"""So many steps are always done before a loss that does not fall stops a run: the first ones warm up."""


@dataclass(frozen=True)
class Watching:
    """The settings by which a run is looked at and ended.

    Args:
        watch_every_steps: Steps from one look to the next, the first before training and one at its end; 0 for none.
        watched_species: How many species are drawn in a look.
        watched_controls: How many control prompts.
        watch_inference_steps: Denoising steps of its pictures.
        watch_guidance_scale: Their classifier-free guidance.
        judge: Name of the judge of what is retained, or the path of its references; the forgetting report's.
        stops_below_retention: Training ends when a look finds less retention, and the weights of the best look are
            kept, 0 to 1; 0 for never.
        patience_looks: Training ends when so many looks bring neither a better fit nor less loss on held-out pictures,
            and the weights of the best look are kept; 0 for never.
        must_learn_within: Share of the steps within which the probe loss must have fallen, 0 to below 1; 0 for none.
    """

    watch_every_steps: int
    watched_species: int
    watched_controls: int
    watch_inference_steps: int
    watch_guidance_scale: float
    judge: str
    stops_below_retention: float
    patience_looks: int
    must_learn_within: float

    @property
    def keeps_best(self) -> bool:
        """Whether the weights kept are those of the best look; else they are the last."""
        return self.stops_below_retention > 0 or self.patience_looks > 0

    def faults(self) -> list[str]:
        """What cannot be, one phrase each."""
        least = {"watch_every_steps": 0, "watched_species": 0, "watched_controls": 0, "patience_looks": 0}
        least |= {"watch_inference_steps": 1, "watch_guidance_scale": 0}
        found = too_small(self, least)
        if not 0 <= self.stops_below_retention <= 1:
            found.append(f"stops_below_retention is {self.stops_below_retention}, 0 to 1 expected")
        if not 0 <= self.must_learn_within < 1:
            found.append(f"must_learn_within is {self.must_learn_within}, 0 to below 1 expected")
        if self.keeps_best and self.watch_every_steps == 0:
            found.append(
                "stops_below_retention or patience_looks is above 0 but watch_every_steps is 0, so that nothing "
                "is looked at"
            )
        if self.stops_below_retention > 0 and self.watched_controls == 0:
            found.append("stops_below_retention is above 0 but watched_controls is 0")
        return found

    def is_due(self, step: int, max_steps: int) -> bool:
        """Whether there is a look after so many steps of `max_steps`."""
        every = self.watch_every_steps
        return every > 0 and (step % every == 0 or step == max_steps)

    def must_have_learnt_at(self, max_steps: int) -> int | None:
        """The step after which the probe loss must have fallen; None for none, also where the run ends before."""
        step = max(UNJUDGED_STEPS, round(max_steps * self.must_learn_within))
        return step if self.must_learn_within > 0 and step < max_steps else None

    def best(self, looks: Sequence[Look], whole: int) -> Look | None:
        """The look with the best fit among those after a step whose retention is enough; the earliest of equals.

        Args:
            looks: The looks so far.
            whole: Steps that train on every row once. What has seen them all goes before what has not: no picture is
                left out as long as there is a choice.
        """
        enough = [look for look in looks if look["step"] and not self._is_below(look)]
        return max(enough, key=lambda look: ((look["step"] or 0) >= whole, *_fit(look)), default=None)

    def why_stop(self, looks: Sequence[Look]) -> str | None:
        """Why training ends after these looks, or None where it goes on."""
        if not looks:
            return None
        last = looks[-1]
        if self._is_below(last):
            return (
                f"retention is {last['retention']:.0%} after {last['step']} steps, below "
                f"stops_below_retention of {self.stops_below_retention:.0%}"
            )
        if self.patience_looks and _looks_without_gain(looks) >= self.patience_looks:
            return (
                f"{self.patience_looks} looks up to step {last['step']} brought neither a better fit nor less loss on "
                f"held-out pictures"
            )
        return None

    def _is_below(self, look: Look) -> bool:
        retention = look["retention"]
        return retention is not None and retention < self.stops_below_retention


UNWATCHED = Watching(
    watch_every_steps=0,
    watched_species=0,
    watched_controls=0,
    watch_inference_steps=1,
    watch_guidance_scale=1.0,
    judge="",
    stops_below_retention=0.0,
    patience_looks=0,
    must_learn_within=0.0,
)
"""No looks, and no early end, for whoever only wants the weights."""


def too_small(settings: object, least: Mapping[str, float]) -> list[str]:
    """Which settings are below the least that they can be, one phrase each."""
    return [
        f"{name} is {getattr(settings, name)}, at least {bound} expected"
        for name, bound in least.items()
        if getattr(settings, name) < bound
    ]


def tell_of_looks(looks: Sequence[Look], step_kept: int) -> dict[str, float | int]:
    """How many looks there were, and what the one at the weights that are kept found."""
    names = ("retention", "species_recognised", "species_likeness")
    kept = next((look for look in looks if look["step"] == step_kept), {})
    found = {f"watched_{name}": value for name in names if (value := kept.get(name)) is not None}
    return {"watched_looks": len(looks), **found}


def _fit(look: Look) -> tuple[float, ...]:
    """What is compared, the greatest best; what was not measured is equal in all looks of a run."""
    recognised, likeness, loss = (
        look[name] or 0.0 for name in ("species_recognised", "species_likeness", "held_out_loss")
    )
    return recognised, likeness, -loss


def _looks_without_gain(looks: Sequence[Look]) -> int:
    """How many looks there are since fit or the loss on held-out pictures was last at its best."""
    fits = [_fit(look)[:2] for look in looks]
    losses = [_fit(look)[2] for look in looks]
    newest = max(fits.index(max(fits)), losses.index(max(losses)))
    return len(looks) - 1 - newest
