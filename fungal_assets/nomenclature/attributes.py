"""What can be measured in one picture and said in a caption.

Colours, size in the frame, closeness, count, view, light and habitat; what is not sure is None and is not said: a wrong
word teaches the model worse than none. How sure is sure enough stands here, in one place. The bounds were set on the
shipped specimens, every trait of which is known, and that of the view on renders from every side, so that nine words in
ten or so are true (`docs/log.md`). Belongs here: the measurements together, and their bounds. Masks, colour terms,
habitats and hints have modules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fungal_assets.nomenclature.colours import colour_shares, main_colours
from fungal_assets.nomenclature.habitats import guess_habitat, roughness
from fungal_assets.nomenclature.hints import Hint
from fungal_assets.nomenclature.subjects import Subject, find_subject

_COLOUR_SHARE = 0.3
"""Share of the subject from which on a second colour is said."""
_LARGE_SHARE, _SMALL_SHARE = 0.26, 0.06
"""Share of the frame above which the subject is large, and below which it is small."""
_CLOSE_EXTENT, _CLOSE_SHARE = 0.75, 0.13
"""Longer side of the subject's box in frame sides, and share of the frame, from which on it is seen up close."""
_FAR_EXTENT, _FAR_SHARE = 0.46, 0.04
"""The same below which it is seen from afar."""
_GROUP_CHANCE = 0.7
"""Chance of three or more, by the feature vector, from which on a group is said."""
_GROUP_PARTS, _DOUBTED_GROUP = 3, 0.3
"""How many separate parts make a group, and the chance below which they do not: then they are a mask in pieces."""
_VIEW_CHANCE = 0.8
"""Chance of a view, by the feature vector, from which on it is said."""
_HABITAT_SCORE = 0.55
"""Score of a habitat, 0 to 1, from which on it is said."""
_BRIGHT, _DIM = 60.0, 33.0
"""Mean CIE lightness of the picture above which the light is bright, and below which it is dim."""
_CLUTTER = 4.5
"""CIE lightness between neighbours: 97 % of the specimens are calmer, 74 % of 149 field photographs are not."""


@dataclass(frozen=True)
class Attributes:
    """The measured attributes of one picture, as words.

    Args:
        colour_names: One or two basic colour terms of the subject, the greater share first.
        size_in_frame: `"large"`, `"small"` or None in between.
        habitat: Such as `"in moss"`, or None where not sure.
        count: `"a group"` for three or more, or None.
        closeness: `"up close"`, `"from afar"` or None in between.
        view: Such as `"side view"` or `"seen from above"`, or None where not sure.
        light: `"in bright light"`, `"in soft light"` or `"in dim light"`.
        is_cluttered: Whether what is around the subject is rough, as litter in a photograph is.
    """

    colour_names: tuple[str, ...]
    size_in_frame: str | None
    habitat: str | None
    count: str | None
    closeness: str | None
    view: str | None
    light: str
    is_cluttered: bool


def measure(image: Image.Image, *, hint: Hint | None = None) -> Attributes:
    """Measure a picture.

    Args:
        image: Of any size and mode.
        hint: What its feature vector hints at; None where that is not known, and then separate parts alone make a
            group and no view is said.
    """
    subject = find_subject(image)
    return Attributes(
        colour_names=main_colours(colour_shares(subject.lab[subject.mask]), least_share=_COLOUR_SHARE),
        size_in_frame=_size(subject.share),
        habitat=find_habitat(subject),
        count="a group" if _is_group(subject, hint) else None,
        closeness=_closeness(subject),
        view=_view(hint),
        light=_light(subject),
        is_cluttered=roughness(subject) >= _CLUTTER,
    )


def find_habitat(subject: Subject) -> str | None:
    """Where it grows, such as `"in moss"`, or None where that is not sure."""
    return guess_habitat(subject, least_score=_HABITAT_SCORE)


def _is_group(subject: Subject, hint: Hint | None) -> bool:
    if hint is None or _DOUBTED_GROUP <= hint.group_chance < _GROUP_CHANCE:
        return subject.parts >= _GROUP_PARTS
    return hint.group_chance >= _GROUP_CHANCE


def _view(hint: Hint | None) -> str | None:
    return (hint.view or None) if hint and hint.view_chance >= _VIEW_CHANCE else None


def _size(share: float) -> str | None:
    return "large" if share > _LARGE_SHARE else "small" if share < _SMALL_SHARE else None


def _closeness(subject: Subject) -> str | None:
    """By the longer side of the subject's box, in frame sides; a thin thing must also cover enough."""
    rows, columns = np.nonzero(subject.mask)
    extent = max(np.ptp(rows), np.ptp(columns)) / (subject.mask.shape[0] - 1)
    if extent >= _CLOSE_EXTENT and subject.share >= _CLOSE_SHARE:
        return "up close"
    return "from afar" if extent <= _FAR_EXTENT and subject.share < _FAR_SHARE else None


def _light(subject: Subject) -> str:
    mean = float(np.mean(subject.lab[..., 0]))
    return "in bright light" if mean > _BRIGHT else "in dim light" if mean < _DIM else "in soft light"
