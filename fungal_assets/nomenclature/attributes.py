"""What can be measured in one picture and said in a caption.

Colours, size in the frame, closeness, count, light and habitat; what is not sure is None and is not said.
Belongs here: the measurements together. Masks, colour terms and habitats have modules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fungal_assets.nomenclature.colours import colour_shares, main_colours
from fungal_assets.nomenclature.habitats import guess_habitat, roughness
from fungal_assets.nomenclature.subjects import Subject, find_subject

_COLOUR_SHARE = 0.25
_LARGE_SHARE = 0.26
_SMALL_SHARE = 0.08
_CLOSE_EXTENT, _CLOSE_SHARE = 0.8, 0.16
_FAR_EXTENT = 0.46
_BRIGHT, _DIM = 60.0, 33.0
_CLUTTER = 4.5
"""CIE lightness between neighbours: 97 % of the specimens are calmer, 74 % of 149 field photographs are not."""


@dataclass(frozen=True)
class Attributes:
    """The measured attributes of one picture, as words.

    Args:
        colour_names: One or two basic colour terms of the subject, the greater share first.
        size_in_frame: `"large"`, `"small"` or None in between.
        habitat: Such as `"in moss"`, or None where not sure.
        count: `"a group"` for three or more separate parts, or None.
        closeness: `"up close"`, `"from afar"` or None in between.
        light: `"in bright light"`, `"in soft light"` or `"in dim light"`.
        is_cluttered: Whether what is around the subject is rough, as litter in a photograph is.
    """

    colour_names: tuple[str, ...]
    size_in_frame: str | None
    habitat: str | None
    count: str | None
    closeness: str | None
    light: str
    is_cluttered: bool


def measure(image: Image.Image) -> Attributes:
    """Measure a picture of any size and mode."""
    subject = find_subject(image)
    return Attributes(
        colour_names=main_colours(colour_shares(subject.lab[subject.mask]), least_share=_COLOUR_SHARE),
        size_in_frame=_size(subject.share),
        habitat=guess_habitat(subject),
        count="a group" if subject.parts >= 3 else None,
        closeness=_closeness(subject),
        light=_light(subject),
        is_cluttered=roughness(subject) >= _CLUTTER,
    )


def _size(share: float) -> str | None:
    return "large" if share > _LARGE_SHARE else "small" if share < _SMALL_SHARE else None


def _closeness(subject: Subject) -> str | None:
    """By the longer side of the subject's box, in frame sides; a thin thing must also cover enough."""
    rows, columns = np.nonzero(subject.mask)
    extent = max(np.ptp(rows), np.ptp(columns)) / (subject.mask.shape[0] - 1)
    if extent >= _CLOSE_EXTENT and subject.share >= _CLOSE_SHARE:
        return "up close"
    return "from afar" if extent <= _FAR_EXTENT and subject.share < _SMALL_SHARE else None


def _light(subject: Subject) -> str:
    mean = float(np.mean(subject.lab[..., 0]))
    return "in bright light" if mean > _BRIGHT else "in dim light" if mean < _DIM else "in soft light"
