"""Where a fungus stands, guessed from the colours and the grain of what is around it.

Each habitat has a score from 0 to 1 out of shares of background colours; the best one is told if it is sure
enough and left out otherwise, because a wrong word teaches the model worse than none. Thresholds were set on
pictures of the fungarium, whose habitats are known, and looked over on photographs. Belongs here: the words
and the guess. Masks and other attributes do not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fungal_assets.nomenclature.subjects import Subject

HABITAT_WORDS: Mapping[str, str] = {
    "field": "in a field",
    "moss": "in moss",
    "leaf_litter": "in leaf litter",
    "log": "on a log",
    "tree_trunk": "on a tree trunk",
    "sand": "in sand",
    "snow": "in snow",
    "dark": "on a black background",
}
_MARGIN_PX = 3
_LEAST_GROUND_PX = 400
_FLOOR_ROW = 70


def guess_habitat(subject: Subject, *, least_score: float) -> str | None:
    """The words of the likeliest habitat, such as `"in moss"`, or None where its score is under `least_score`."""
    ground = _ground(subject)
    if ground.sum() < _LEAST_GROUND_PX:
        return None
    scores = _scores(_shares(subject.lab, ground))
    best = max(scores, key=lambda habitat: scores[habitat])
    return HABITAT_WORDS[best] if scores[best] >= least_score else None


def roughness(subject: Subject) -> float:
    """Mean difference in CIE lightness between neighbouring pixels around the subject; 0 where nothing is around."""
    ground, lightness = _ground(subject), subject.lab[..., 0]
    if ground.sum() < _LEAST_GROUND_PX:
        return 0.0
    return sum(_changes(lightness, ground)) / 2


def _changes(lightness: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    """Mean difference between neighbours across and down, at the pixels of a mask."""
    across = np.abs(np.diff(lightness, axis=1))[where[:, 1:]].mean()
    down = np.abs(np.diff(lightness, axis=0))[where[1:]].mean()
    return float(across), float(down)


def _ground(subject: Subject) -> np.ndarray:
    """What is around the subject, a margin left out: bool (128, 128)."""
    from scipy.ndimage import binary_dilation

    return ~binary_dilation(subject.mask, iterations=_MARGIN_PX)


def _shares(lab: np.ndarray, ground: np.ndarray) -> dict[str, float]:
    """Shares of the ground by kind of colour, `_floor` for its lower part, and measures of grain."""
    lightness, a, b = np.moveaxis(lab, -1, 0)
    chroma = np.hypot(a, b)
    kinds = {
        "dark": lightness < 13,
        "snow": (lightness > 68) & (chroma < 14) & (b < 4),
        "sand": (lightness > 55) & (b > 12) & (a > -3),
        "green": (a < -4) & (b > 4) & (lightness >= 8),
        "leaf": (a > 3) & (b > 7) & (lightness >= 8) & (lightness <= 62),
        "bark": (chroma < 16) & (a > -3) & (b > 0) & (lightness >= 6) & (lightness < 50),
        "pale": lightness > 62,
    }
    floor = ground.copy()
    floor[:_FLOOR_ROW] = False
    floor = floor if floor.sum() >= _LEAST_GROUND_PX // 4 else ground
    shares = {name: float(kind[ground].mean()) for name, kind in kinds.items()}
    shares |= {f"{name}_floor": float(kind[floor].mean()) for name, kind in kinds.items()}
    shares["upright"] = _uprightness(lightness, kinds["bark"] & ground)
    shares["green_spread"] = float(lightness[kinds["green"] & ground].std()) if shares["green"] else 0.0
    shares["green_b"] = float(b[kinds["green"] & ground].mean()) if shares["green"] else 0.0
    shares["snow_b"] = float(b[kinds["snow"] & ground].mean()) if shares["snow"] else 0.0
    across, down = _changes(lightness, ground)
    shares |= {"roughness": across, "grain": (across + down) / 2}
    return shares


def _uprightness(lightness: np.ndarray, where: np.ndarray) -> float:
    """Log ratio of change across to change down: above 0 for a standing trunk's furrows, below for a lying one."""
    if where.sum() < _LEAST_GROUND_PX // 3:
        return 0.0
    across, down = _changes(lightness, where)
    return float(np.log((across + 1e-3) / (down + 1e-3)))


def _scores(shares: Mapping[str, float]) -> dict[str, float]:
    """How sure each habitat is, 0 to 1."""
    is_lush = shares["green_b"] >= 36
    is_rough_green = shares["green_spread"] >= 10.5 or shares["roughness"] >= 3.0
    is_meadow = not is_lush and (shares["pale"] >= 0.08 or is_rough_green)
    green = min(shares["green"] + 0.1, shares["green_floor"]) if shares["green"] >= 0.5 else 0.0
    is_bare = shares["green"] < 0.6 and shares["snow"] < 0.3 and shares["sand_floor"] < 0.4
    bark = min(1.0, 0.4 + shares["bark"])
    is_rough = (
        shares["roughness"] > 1.0
        and shares["grain"] >= 1.4
        and shares["green"] < 0.05
        and shares["bark"] < 0.35
    )
    is_bluish = shares["snow_b"] < 0  # a white table is not
    is_lying = shares["upright"] < -0.25 and shares["grain"] < 6
    return {
        "dark": shares["dark"] if shares["dark"] >= 0.75 and shares["grain"] < 1.5 else 0.0,
        "snow": shares["snow_floor"]
        if is_bluish and shares["pale"] > 0.5 and shares["roughness"] < 4
        else 0.0,
        "sand": shares["sand_floor"] if shares["green"] < 0.1 else 0.0,
        "field": green if is_meadow else 0.0,
        "moss": 0.0 if is_meadow else green,
        "leaf_litter": shares["leaf_floor"] if is_rough else 0.0,
        "tree_trunk": bark if is_bare and shares["bark"] >= 0.15 and shares["upright"] > 0.4 else 0.0,
        "log": bark + 0.1
        if is_bare and is_lying and shares["green"] >= 0.1 and shares["bark"] >= 0.04
        else 0.0,
    }
