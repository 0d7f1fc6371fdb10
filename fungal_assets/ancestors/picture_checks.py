"""Checks of evolved pictures: does a genome draw its picture again, at any size, and is there something to see.

What can be drawn again is drawn again from its genome. Belongs here: verdicts about complete folders.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fungal_assets.verdicts import Verdict, judged, name_some

MOST_CHANGED = 0.5
MOST_CHANGED_BY_SIZE = 3.0
LEAST_PRESENCE = 0.2
LEAST_APART = 0.3
SMALL_PX = 64


def check_replay(cppn_pictures: Path) -> Verdict:
    """Every genome draws the picture that is kept beside it."""
    return judged(lambda: _compare(cppn_pictures, None, MOST_CHANGED, "draws something else"))


def check_sizes(cppn_pictures: Path) -> Verdict:
    """A picture drawn small is the large one seen smaller."""
    return judged(
        lambda: _compare(cppn_pictures, SMALL_PX, MOST_CHANGED_BY_SIZE, f"is another at {SMALL_PX} px")
    )


def check_presence(cppn_pictures: Path) -> Verdict:
    """Every picture that evolution kept has a figure that stands off its ground, and is no noise."""

    def judge() -> Verdict:
        from fungal_assets.ancestors.picture_fitness import measure_presence

        found = _look_again(cppn_pictures, measure_presence)
        weak = [f"{name} ({value:.2f})" for name, value in found.items() if value < LEAST_PRESENCE]
        finding = f"hardly a figure: {name_some(weak)}" if weak else "every picture has a figure"
        return Verdict(not weak, finding, {"least_presence": round(float(min(found.values())), 4)})

    return judged(judge)


def check_difference(cppn_pictures: Path) -> Verdict:
    """No two pictures that evolution kept are alike."""

    def judge() -> Verdict:
        import numpy as np

        from fungal_assets.ancestors.picture_fitness import describe

        found = _look_again(cppn_pictures, describe)
        names, described = list(found), np.stack(list(found.values()))
        gaps = np.linalg.norm(described[:, None] - described[None], axis=-1)
        gaps[np.diag_indices(len(names))] = np.inf
        alike = [f"{names[a]} and {names[b]}" for a, b in np.argwhere(gaps < LEAST_APART).tolist() if a < b]
        finding = f"alike: {name_some(alike)}" if alike else "no two pictures are alike"
        return Verdict(not alike, finding, {"pictures": len(names), "alike": len(alike)})

    return judged(judge)


def _compare(cppn_pictures: Path, size_px: int | None, most: float, said: str) -> Verdict:
    """How far genomes drawn again are from their pictures, seen that small: mean difference, of 255."""
    import numpy as np
    from PIL import Image

    from fungal_assets.ancestors.picture_drawing import draw
    from fungal_assets.ancestors.picture_keeping import PICTURE_NAME

    found = {}
    for one in _pictures(cppn_pictures):
        side_px = size_px or one["size_px"]
        with Image.open(cppn_pictures / one["slug"] / PICTURE_NAME) as image:
            kept = image.convert("RGB").resize((side_px, side_px), Image.Resampling.BOX)
        again = draw(_genome(cppn_pictures, one), side_px)
        found[one["common_name"]] = float(np.abs(np.asarray(kept, float) - np.asarray(again, float)).mean())
    wrong = [f"{name} ({value:.2f})" for name, value in found.items() if value > most]
    worst = max(found.values())
    finding = f"drawn again, pictures differ by {worst:.2f} of 255 at most"
    if wrong:
        finding = f"{said}: {name_some(wrong)}; expected a mean difference of {most} of 255 at most"
    return Verdict(not wrong, finding, {"largest_difference": round(worst, 3)})


def _look_again(cppn_pictures: Path, measure: Callable[[Any], Any]) -> dict[str, Any]:
    """A measure of every picture that no person chose, drawn again, by name."""
    from fungal_assets.ancestors.picture_drawing import ask, place_points, sense
    from fungal_assets.ancestors.picture_fitness import SIZE_PX

    evolved = [one for one in _pictures(cppn_pictures) if one["bred_by"] == "evolution"]
    drawn = ask([_genome(cppn_pictures, one) for one in evolved], sense(place_points(SIZE_PX)))
    return dict(zip((one["common_name"] for one in evolved), measure(drawn), strict=True))


def _genome(cppn_pictures: Path, one: dict[str, Any]) -> Any:
    from fungal_assets.ancestors.keeping import GENOME_NAME, read_genome

    return read_genome(cppn_pictures / one["slug"] / GENOME_NAME)[0].genome


def _pictures(cppn_pictures: Path) -> list[dict[str, Any]]:
    from fungal_assets.ancestors.picture_keeping import list_pictures

    pictures = list_pictures(cppn_pictures)
    if not pictures:
        raise ValueError("pictures.json lists no picture")
    return pictures
