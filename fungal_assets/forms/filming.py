"""The stage `videos_3d`: every form turning on black, laid out for the screens that it is to be shown on.

`shooting` makes the folder of one form. Belongs here: the stage's settings, and the list of what was filmed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fungal_assets.errors import InputError
from fungal_assets.forms.layouts import SCREENS
from fungal_assets.forms.quilts import DISPLAYS
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.store import Figures, write_atomically

LIST_NAME = "videos.json"
FORMATS = ("turntable", "pyramid", "black", "vertical", "quilt", "quilt_film", "group", "group_film")
ORIENTATIONS = ("landscape", "portrait")


@dataclass(frozen=True)
class Shoot:
    """What is filmed of every form; the settings of `film_forms`."""

    frames: int
    size_px: int
    frames_per_s: int
    formats: Sequence[str]
    pyramid_screen: str
    screen_mm: float
    orientation: str
    display: str
    quilt_px: int
    individuals: int
    seed: int

    def refuse_faults(self) -> None:
        """Refuse settings that cannot be filmed, all at once."""
        faults, unknown = [], sorted(set(self.formats) - set(FORMATS))
        if self.frames % 4 or self.frames < 8:
            faults.append(f"frames is {self.frames}; expected a multiple of 4, at least 8")
        if self.size_px % 8:
            faults.append(f"size_px is {self.size_px}; expected a multiple of 8")
        if unknown:
            faults.append(f"formats has {unknown!r}; expected some of {', '.join(FORMATS)}")
        chosen = {
            "pyramid_screen": (self.pyramid_screen, SCREENS),
            "orientation": (self.orientation, ORIENTATIONS),
            "display": (self.display, DISPLAYS),
        }
        for name, (value, allowed) in chosen.items():
            if value not in allowed:
                faults.append(f"{name} is {value!r}; expected {' or '.join(allowed)}")
        if faults:
            raise InputError("; ".join(faults) + ".")


def film_forms(
    forms_3d: Path,
    folder: Path,
    *,
    frames: int,
    size_px: int,
    frames_per_s: int,
    formats: Sequence[str],
    pyramid_screen: str,
    screen_mm: float,
    orientation: str,
    display: str,
    quilt_px: int,
    individuals: int,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Film every form.

    Args:
        forms_3d: Complete output.
        folder: Filled with one folder per species, `videos.json` and the template of the pyramid; what is filmed
            already is kept.
        frames: Of one turn, a multiple of 4.
        size_px: Side of the turntable and shorter side of the other films, a multiple of 8; the pyramid's is 2.5
            times that, 2160 at most.
        frames_per_s: Speed.
        formats: Of `FORMATS`; the turntable is always made.
        pyramid_screen: Where the screen is, 'below' or 'above' the pyramid.
        screen_mm: Its shorter side, for the template.
        orientation: Of the film for transparent screens, 'landscape' or 'portrait'.
        display: The Looking Glass, as in `quilts.DISPLAYS`.
        quilt_px: Most width of a quilt; 0 for the display's own.
        individuals: How many stand in a group.
        seed: Of the groups.
        tell: Told of progress.

    Raises:
        InputError: A setting cannot be filmed.
        ProvenanceError: The forms are not complete.
    """
    from fungal_assets.forms.keeping import list_forms
    from fungal_assets.forms.shooting import shoot_form
    from fungal_assets.forms.templates import draw_templates

    shoot = Shoot(
        frames, size_px, frames_per_s, tuple(formats), pyramid_screen, screen_mm, orientation, display,
        quilt_px, individuals, seed,
    )  # fmt: skip
    shoot.refuse_faults()
    forms = list_forms(forms_3d)
    films = [
        shoot_form(forms_3d / form["slug"] / "form.npz", folder / form["slug"], form, shoot)
        for form in follow(forms, tell, "filming", len(forms))
    ]
    if "pyramid" in formats:
        draw_templates(folder, screen_mm=screen_mm, screen=pyramid_screen)
    about = {"display": display, "pyramid_screen": pyramid_screen, "orientation": orientation}
    write_atomically(folder / LIST_NAME, json.dumps({**about, "videos": films}, indent=1))
    return {
        "videos": sum(name.endswith(".mp4") for film in films for name in film["files"]),
        "stills": sum(name.endswith(".png") for film in films for name in film["files"]),
        "frames": frames,
        "seconds_per_turn": round(frames / frames_per_s, 2),
        "previews_kb": round(max(film["preview_bytes"] for film in films) / 1000, 1),
    }
