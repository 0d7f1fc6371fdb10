"""Checks of films and stills: do they play, turn, stand on true black, and show a quilt's views in their order.

That order is found by looking again: a view in a corner of the quilt must be nearer to what its own camera sees of the
form than to what the cameras of the other corners see. A form that is the same all round says nothing, and passes.
Belongs here: verdicts about complete folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fungal_assets.errors import ProvenanceError
from fungal_assets.forms.quilts import Display, cut_quilt, get_display
from fungal_assets.verdicts import Verdict, judged, name_some

_LEAST_LIGHT = 16
_LEAST_TURN = 0.4
_MOST_JUMP = 3.0
_LOOKED_AT_PX = 96


def check_films(videos_3d: Path, forms_3d: Path) -> Verdict:
    """Every film and still decodes, is whole and lit, and has true black around; films move and close their circle."""

    def judge() -> Verdict:
        faults, counts = [], {"films": 0, "stills": 0}
        films = json.loads((videos_3d / "videos.json").read_text())["videos"]
        if not films:
            raise ProvenanceError("videos.json lists no film")
        for film in films:
            for name, about in film["files"].items():
                form = forms_3d / film["slug"] / "form.npz"
                fault = judged(partial(_verdict, videos_3d / film["slug"] / name, about, form))
                counts["films" if name.endswith(".mp4") else "stills"] += 1
                faults += [] if fault.passed else [f"{film['common_name']}'s {name} {fault.finding}"]
        finding = (
            name_some(faults) + ". Film the forms again."
            if faults
            else "every film plays, turns, and has true black"
        )
        return Verdict(not faults, finding, {**counts, "faulty": len(faults)})

    return judged(judge)


@dataclass
class _Seen:
    """What is seen in a film or a still.

    Args:
        frames: How many there are.
        sizes: Width and height of each that differs.
        light: The brightest pixel of a thinned frame.
        ground: The brightest pixel of what is to be black.
        turned: The most that what is lit differs from the first frame.
        steps: How much each thinned frame differs from the one before.
        jump: How much the first differs from the last.
        first: The first frame, whole.
    """

    frames: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)
    light: int = 0
    ground: int = 0
    turned: float = 0.0
    steps: list[float] = field(default_factory=list)
    jump: float = 0.0
    first: np.ndarray | None = None


def _look(path: Path, display: Display | None) -> _Seen:
    seen, first, last = _Seen(), None, None
    for frame in _pictures(path):
        every = max(1, min(frame.shape[:2]) // _LOOKED_AT_PX)
        small = np.ascontiguousarray(frame[::every, ::every])
        if first is None or last is None:
            first, seen.first = small, frame
        else:
            seen.steps.append(_step(last, small))
            seen.turned = max(seen.turned, _change(first, small))
        last = small
        seen.frames += 1
        seen.sizes.add((frame.shape[1], frame.shape[0]))
        seen.light, seen.ground = max(seen.light, int(small.max())), max(seen.ground, _ground(frame, display))
    seen.jump = 0.0 if first is None or last is None else _step(last, first)
    return seen


def _verdict(path: Path, about: Mapping[str, Any], form: Path) -> Verdict:
    """What is wrong with one film or still, if anything."""
    display = get_display(about["display"]) if "display" in about else None
    seen, size = _look(path, display), (about["width_px"], about["height_px"])
    if seen.frames != about["frames"] or seen.first is None:
        return Verdict(False, f"has {seen.frames} frames, expected {about['frames']}")
    if seen.sizes != {size}:
        return Verdict(False, f"has {sorted(seen.sizes)} px, expected {size}")
    if seen.light < _LEAST_LIGHT:
        return Verdict(False, "is black all over")
    if seen.ground:
        return Verdict(False, f"has a ground up to {seen.ground}, expected exactly 0")
    if seen.steps and seen.turned < _LEAST_TURN:
        return Verdict(False, "is frozen")
    if seen.steps and seen.jump > _MOST_JUMP * max(seen.steps):
        return Verdict(False, "jumps from its last frame to its first")
    strays = _strays(seen.first, display, form) if display else ""
    return Verdict(not strays, strays)


def _pictures(path: Path) -> Iterator[np.ndarray]:
    """The frames of a film, or the one of a still."""
    from fungal_assets.forms.video import decode

    if path.suffix == ".mp4":
        yield from decode(path)
    else:
        with Image.open(path) as image:
            yield np.asarray(image.convert("RGB"))


def _step(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.abs(before.astype(np.int16) - after).mean())


def _change(first: np.ndarray, frame: np.ndarray) -> float:
    """How much what is lit has changed: of a picture that stands still the codec makes up to 0.1, of a turn over 1."""
    is_lit = np.maximum(first, frame).max(2) > _LEAST_LIGHT
    return _step(first[is_lit], frame[is_lit]) if is_lit.any() else 0.0


def _ground(frame: np.ndarray, display: Display | None) -> int:
    """The brightest pixel of the rim, of a quilt the brightest of the corners of its views."""
    if display is None:
        return max(int(frame[side].max()) for side in (0, -1)) | int(frame[:, [0, -1]].max())
    return max(int(view[[0, 0, -1, -1], [0, -1, 0, -1]].max()) for view in cut_quilt(display, frame))


def _strays(quilt: np.ndarray, display: Display, form: Path) -> str:
    """Which view of a quilt's corners looks like that of another corner's camera, or an empty text."""
    from fungal_assets.forms.shooting import open_form, photograph_views

    tiles = cut_quilt(display, quilt)
    corners = sorted({0, display.columns - 1, display.views - display.columns, display.views - 1})
    height, width = tiles[0].shape[:2]
    size = (min(width, _LOOKED_AT_PX), max(1, round(height * min(width, _LOOKED_AT_PX) / width)))
    seen = photograph_views(open_form(form)[0], display, *size, only=corners)
    small = [
        np.asarray(Image.fromarray(tiles[index]).resize(size, Image.Resampling.BOX)) for index in corners
    ]
    apart = np.array([[_step(tile, view) for view in seen] for tile in small])
    nearest, own = apart.argmin(1), apart.diagonal()
    for place, index in enumerate(corners):
        if own[place] > 1.5 * apart[place, nearest[place]] + 0.2:
            return f"shows as view {index} what belongs to view {corners[nearest[place]]}"
    return ""
