"""The stage `videos_3d`: every form turning, on black, and as a Pepper's-ghost pyramid.

The pyramid lies with its small end on a screen; its faces stand at 45 degrees. What is at a distance s outside the
foot appears at height s, so each of the four tiles is its view flipped top to bottom (not turned by 180 degrees, which
would show a mirror image), with the tops outward; the tiles to the east, north and west are those views turned round
the middle. Belongs here: cameras of a film and the layout of frames. Encoding does not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets.errors import InputError
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.store import Figures, write_atomically

if TYPE_CHECKING:
    from fungal_assets.forms.volume import Volume

TURNTABLE_NAME, PREVIEW_NAME, PYRAMID_NAME = "turntable.mp4", "turntable.webp", "pyramid.mp4"
LIST_NAME = "videos.json"
_ELEVATION_DEG = 12.0


def film_forms(
    forms_3d: Path, folder: Path, *, frames: int, size_px: int, frames_per_s: int, tell: Tell = stay_silent
) -> Figures:
    """Film every form.

    Args:
        forms_3d: Complete output.
        folder: Filled with one folder per species and `videos.json`; films that are there are kept.
        frames: Of one turn, a multiple of 4.
        size_px: Side of the turntable, even; the pyramid's is 2.5 times that.
        frames_per_s: Speed.
        tell: Told of progress.

    Raises:
        InputError: `frames` or `size_px` cannot be filmed.
        ProvenanceError: The forms are not complete.
    """
    from fungal_assets.forms.keeping import list_forms

    if frames % 4 or frames < 8 or size_px % 8:
        raise InputError(
            f"frames is {frames} and size_px {size_px}; expected a multiple of 4, at least 8, and a multiple of 8."
        )
    forms = list_forms(forms_3d)
    films = [
        _film_form(forms_3d / form["slug"], folder / form["slug"], form, frames, size_px, frames_per_s)
        for form in follow(forms, tell, "filming", len(forms))
    ]
    write_atomically(folder / LIST_NAME, json.dumps({"videos": films}, indent=1))
    return {
        "videos": 2 * len(films),
        "frames": frames,
        "seconds_per_turn": round(frames / frames_per_s, 2),
        "preview_kb": round(max(film["preview_bytes"] for film in films) / 1000, 1),
    }


def turn(volume: Volume, frames: int, size_px: int) -> list[np.ndarray]:
    """One turn of a form on black, the camera going round from azimuth 0: uint8, each (size_px, size_px, 3)."""
    from fungal_assets.forms.showing import pictures
    from fungal_assets.forms.views import orbit

    return list(pictures(volume, orbit(frames, elevation_deg=_ELEVATION_DEG), size_px))


def lay_out_pyramid(views: Sequence[np.ndarray]) -> np.ndarray:
    """One frame for the pyramid.

    Args:
        views: From azimuth a, a + 90, a + 180 and a + 270 degrees: uint8, each (S, S, 3), S a multiple of 8.

    Returns:
        uint8, shape (2.5 S, 2.5 S, 3): south the first view, then counter-clockwise; black in the middle and outside
        the four wedges.
    """
    side = views[0].shape[0]
    canvas_px, gap = side * 5 // 2, side // 2
    left, top = (canvas_px - side) // 2, (canvas_px + gap) // 2
    place = np.arange(canvas_px) + 0.5 - canvas_px / 2
    is_south = place[:, None] >= np.abs(place)[None, :]
    canvas = np.zeros((canvas_px, canvas_px, 3), np.uint8)
    for quarter, view in enumerate(views):
        layer = np.zeros_like(canvas)
        layer[top : top + side, left : left + side] = view[::-1]
        canvas = np.maximum(canvas, np.rot90(layer * is_south[..., None], quarter))
    return canvas


def _film_form(
    form: Path, folder: Path, notes: dict[str, Any], frames: int, size_px: int, frames_per_s: int
) -> dict[str, Any]:
    """Film one form unless it is filmed; the pyramid is written last and so means complete."""
    from fungal_assets.forms.keeping import load_volume
    from fungal_assets.forms.video import write_mp4, write_preview

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / PYRAMID_NAME).exists():
        views = turn(load_volume(form / "form.npz"), frames, size_px)
        quarter = frames // 4
        pyramid = [
            lay_out_pyramid([views[(i + k * quarter) % frames] for k in range(4)]) for i in range(frames)
        ]
        write_mp4(folder / TURNTABLE_NAME, views, frames_per_s=frames_per_s)
        write_preview(folder / PREVIEW_NAME, views, frames_per_s=frames_per_s)
        write_mp4(folder / PYRAMID_NAME, pyramid, frames_per_s=frames_per_s)
    return {
        **{name: notes[name] for name in ("species_id", "common_name", "slug")},
        "frames": frames,
        "size_px": size_px,
        "frames_per_s": frames_per_s,
        "preview_bytes": (folder / PREVIEW_NAME).stat().st_size,
    }
