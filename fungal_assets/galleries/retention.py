"""The arithmetic of forgetting: retention, its interval, and what it means.

Retention is the share of control pictures recognised of the tuned model, over the base model's. Where the
base model draws nothing that is recognised it's not defined, and nothing is made up in its place.
Belongs here: numbers to numbers and sentences. Pictures and files do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fungal_assets.errors import InputError
from fungal_assets.galleries.judging import FUNGUS, Judgement

RESAMPLES = 2000
_INTERVAL = (0.025, 0.975)
_FEW = 5
_FUNGAL_SHARE_OF_LOSS = 0.5
_NEARLY_ALL_LOST = 0.34


@dataclass(frozen=True)
class Pair:
    """One control picture of the base model and its twin of the tuned model: same prompt, same seed.

    Args:
        base_recognised: Whether the base model's shows what was asked for.
        tuned_recognised: Whether the tuned model's does.
        base_fungal: Whether the base model's is taken for a fungus.
        tuned_fungal: Whether the tuned model's is.
    """

    base_recognised: bool
    tuned_recognised: bool
    base_fungal: bool = False
    tuned_fungal: bool = False

    @classmethod
    def of(cls, base: Judgement, tuned: Judgement) -> Pair:
        """What the judge finds in the two."""
        return cls(base.is_recognised, tuned.is_recognised, base.nearest == FUNGUS, tuned.nearest == FUNGUS)


@dataclass(frozen=True)
class Retention:
    """What is left of the control knowledge.

    Args:
        pairs: How many pairs were judged.
        base_recognised: Share of the base model's pictures that are recognised, 0 to 1.
        tuned_recognised: Share of the tuned model's.
        base_fungal: Share of the base model's that are taken for fungi.
        tuned_fungal: Share of the tuned model's.
        retention: `tuned_recognised` / `base_recognised`, or None where the base model's is 0.
        interval: Its 95 % bootstrap interval over the pairs, or None where it is not defined.
    """

    pairs: int
    base_recognised: float
    tuned_recognised: float
    base_fungal: float
    tuned_fungal: float
    retention: float | None
    interval: tuple[float, float] | None


def measure_retention(pairs: Sequence[Pair], *, seed: int = 0) -> Retention:
    """Shares, retention and interval over some pairs.

    Args:
        pairs: One or more.
        seed: Of the bootstrap.

    Raises:
        InputError: There are no pairs.
    """
    if not pairs:
        raise InputError(
            "no pair of control pictures was judged; sample the gallery with controls of 1 or more."
        )
    table = np.array(
        [[p.base_recognised, p.tuned_recognised, p.base_fungal, p.tuned_fungal] for p in pairs], float
    )
    base, tuned, base_fungal, tuned_fungal = (round(float(share), 4) for share in table.mean(axis=0))
    hits = table[:, :2]
    retention = round(float(hits[:, 1].sum() / hits[:, 0].sum()), 4) if hits[:, 0].any() else None
    interval = None if retention is None else _bootstrap(hits, seed)
    return Retention(len(pairs), base, tuned, base_fungal, tuned_fungal, retention, interval)


def _bootstrap(hits: np.ndarray, seed: int) -> tuple[float, float]:
    """Interval of the ratio of two columns' sums over resampled rows; those with no base hit are left out."""
    rows = np.random.default_rng(seed).integers(len(hits), size=(RESAMPLES, len(hits)))
    base, tuned = hits[rows].sum(axis=1).T
    low, high = np.quantile(tuned[base > 0] / base[base > 0], _INTERVAL)
    return round(float(low), 4), round(float(high), 4)


def phrase_verdict(found: Retention, *, min_retention: float) -> str:
    """One sentence: what is left, of what, and whether that is enough."""
    if found.retention is None or found.interval is None:
        return (
            f"Retention is not defined: none of the base model's own {found.pairs} control pictures is "
            f"recognised, so nothing can be said of what the tuned model forgot."
        )
    word = "kept" if found.retention >= min_retention else "lost"
    low, high = found.interval
    hits = round(found.base_recognised * found.pairs)
    caution = f"; it rests on only {hits} recognised base pictures" if hits < _FEW else ""
    return (
        f"Control knowledge is {word}: {found.tuned_recognised:.0%} of the tuned model's control pictures "
        f"are recognised against {found.base_recognised:.0%} of the base model's, a retention of "
        f"{found.retention:.0%} (95 % interval {low:.0%} to {high:.0%}, {min_retention:.0%} wanted); "
        f"{found.tuned_fungal:.0%} of them look like fungi{caution}."
    )


def phrase_second_opinion(found: Retention, retention: float | None, *, min_retention: float) -> str:
    """One sentence: what the second judge says, and whether the two would decide alike."""
    if retention is None:
        return "By names, the second judge recognises none of the base model's pictures."
    agrees = found.retention is None or (retention >= min_retention) == (found.retention >= min_retention)
    word = "" if agrees else ", which would decide otherwise"
    return f"By names, the second judge finds a retention of {retention:.0%}{word}."


@dataclass(frozen=True)
class Course:
    """What of a training bears on the advice.

    Args:
        rehearsal_share: Share of the batches that was rehearsal; None where that is not known, or nothing needs it.
        last_enough: The last step at whose look enough was left, where there was too little at a later one.
        first_short: The first look's step, where there was too little at every look.
    """

    rehearsal_share: float | None = None
    last_enough: int | None = None
    first_short: int | None = None


UNKNOWN_COURSE = Course()


def advise(found: Retention, *, min_retention: float, course: Course = UNKNOWN_COURSE) -> str:
    """The one setting to change.

    Args:
        found: What was measured.
        min_retention: Least retention that is enough.
        course: What is known of the training.
    """
    if found.retention is None:
        return (
            "Make the base model's pictures better first: raise num_inference_steps of sample_galleries, or "
            "tune a base model that knows the control prompts."
        )
    if found.retention >= min_retention:
        return "Nothing needs to change."
    if course.rehearsal_share == 0:
        return "Nothing was rehearsed: raise rehearsal_share of fine_tuned_weights (try 0.25)."
    lost = found.base_recognised - found.tuned_recognised
    if found.tuned_fungal - found.base_fungal >= _FUNGAL_SHARE_OF_LOSS * lost:
        return "Control prompts come out as fungi: raise rehearsal_share of fine_tuned_weights (try double)."
    if course.last_enough is not None:
        return (
            f"Enough was left at the look after {course.last_enough} steps and not after it: lower max_steps of "
            f"fine_tuned_weights (try {course.last_enough})."
        )
    if course.first_short is not None:
        return (
            f"Too little was left at the first look already, after {course.first_short} steps: lower learning_rate of "
            "fine_tuned_weights (try a third)."
        )
    if found.retention < _NEARLY_ALL_LOST:
        return "Nearly all is lost, and not to fungi: lower max_steps of fine_tuned_weights (try half)."
    return "The weights have moved too far: lower learning_rate of fine_tuned_weights (try half)."


def measure_groups(pairs: Mapping[str, Sequence[Pair]]) -> list[dict[str, Any]]:
    """Per group its shares and retention, the worst first, those whose retention is not defined last."""
    found = {group: measure_retention(members) for group, members in pairs.items()}
    worst_first = sorted(
        found, key=lambda group: (found[group].retention is None, found[group].retention or 0.0, group)
    )
    return [
        {
            "name": group,
            "pairs": found[group].pairs,
            "base_recognised": found[group].base_recognised,
            "tuned_recognised": found[group].tuned_recognised,
            "retention": found[group].retention,
        }
        for group in worst_first
    ]
