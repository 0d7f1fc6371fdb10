"""Which cameras look at a growing form, and which words go with each.

A view word of prompts.json is true of a part of the sphere of views; between two parts their text embeddings are mixed
by the shares given here, so that no view is told something false and the guide never changes its mind in a step.
Belongs here: cameras by chance and shares by angle. What the words make of the form does not. Torch kernel.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from itertools import accumulate

import torch  # noqa: TID253

from fungal_assets.forms.volume import Camera

BARE = "bare"
_ABOVE_DEG = (22.0, 50.0)
_HEIGHTS = ((0.65, 3, 19), (0.15, 22, 46), (0.2, 52, 70))
"""Shares of the cameras, and the elevations that they have, in degrees: those that a model's view words are true of."""
_BELOW_DEG = (-4.0, -14.0)


def sample_cameras(count: int, generator: torch.Generator) -> list[Camera]:
    """Cameras for one step: spread evenly round the form, mostly near the horizon, some well above it.

    They are as near as photographs of fungi are taken: a form of the size of the first blob fills two thirds.
    """
    chances = torch.rand(count + 1, 4, generator=generator).tolist()
    start_deg = 360 * chances[count][0]
    cameras = []
    for index, (turn, height, which, zoom) in enumerate(chances[:count]):
        azimuth_deg = (start_deg + 360 * (index + 0.5 * turn) / count) % 360
        cameras.append(Camera(azimuth_deg, _elevation_deg(which, height), fov_deg=26 + 6 * zoom))
    return cameras


def _elevation_deg(which: float, height: float) -> float:
    """Elevation by two chances from 0 to 1: which band, and where in it."""
    shares, lowest, highest = zip(*_HEIGHTS, strict=True)
    band = min(bisect(list(accumulate(shares)), which), len(_HEIGHTS) - 1)
    return lowest[band] + (highest[band] - lowest[band]) * height


def orbit(count: int, *, elevation_deg: float = 12.0) -> list[Camera]:
    """`count` cameras evenly round the form, azimuth 0 first."""
    return [Camera(360 * index / count, elevation_deg) for index in range(count)]


def word_shares(camera: Camera, names: Mapping[str, object]) -> dict[str, float]:
    """How much of each view word belongs to a camera.

    Args:
        camera: The view.
        names: What there is to choose from: any of 'front', 'side', 'back', 'angled', 'above', 'below'. The share of
            one that is missing goes to the prompt without a view word.

    Returns:
        Shares above 0 that add up to 1, by name, `BARE` being the prompt alone. Height counts first: full 'above'
        from 50 deg of elevation on, full 'below' from -14 deg down; the rest is 'front' at azimuth 0, 'side' at 90
        and 270, 'back' at 180, linear in between, and fades to 'angled' halfway up.
    """
    above = _ramp(camera.elevation_deg, *_ABOVE_DEG)
    below = _ramp(camera.elevation_deg, *_BELOW_DEG)
    level = max(0.0, 1 - 2 * above) * (1 - below)
    turn_deg = abs((camera.azimuth_deg + 180) % 360 - 180)
    shares = {
        "front": level * max(0.0, 1 - turn_deg / 90),
        "side": level * (1 - abs(turn_deg - 90) / 90),
        "back": level * max(0.0, turn_deg / 90 - 1),
        "angled": min(2 * above, 2 - 2 * above) * (1 - below),
        "above": max(0.0, 2 * above - 1),
        "below": below,
    }
    kept = {name: share for name, share in shares.items() if name in names and share > 0}
    rest = 1 - sum(kept.values())
    return kept | ({BARE: rest} if rest > 1e-9 else {})


def view_prompts(text: str, view_words: Mapping[str, str]) -> dict[str, str]:
    """The prompt alone and with each view word after it, by the word's name."""
    return {BARE: text} | {name: f"{text}, {words}" for name, words in view_words.items()}


def _ramp(value: float, start: float, end: float) -> float:
    return min(1.0, max(0.0, (value - start) / (end - start)))
