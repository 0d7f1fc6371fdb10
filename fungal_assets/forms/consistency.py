"""View consistency: whether a form is one fungus from all sides, or wears a second face.

The Janus fault of animals is a face in front and one behind. A fungus has no face, and the volume is one solid body, so
its outlines can't contradict each other: what a Janus form does is to look like one species from here and like another
from there. A view and the one from opposite show two faces if

- a judge that had no part in the growing takes them for two species, and clearly: each is nearer to its own than to the
  other's by more than `CLEARLY` in cosine, in the mean of both, or
- their mean colours are further apart than `MOST_DELTA_E` in CIELAB.

Views from opposite are compared because four-fold paint, as a first guess has, looks unlike itself from an eighth of a
turn further on and is no fault. Of 24 known forms of twelve morphotypes and 7 grown ones none has two faces so; of 30
bodies made of two different forms back to back 25 do; those that are not caught have two halves that look alike
(docs/log.md). Belongs here: that judgement. Limits stand in `checks`. Torch kernel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch  # noqa: TID253
from skimage.color import rgb2lab  # noqa: TID253

from fungal_assets.forms.showing import frame
from fungal_assets.forms.views import orbit
from fungal_assets.forms.volume import Volume, render
from fungal_assets.morphology.projection import to_unit

CLEARLY = 0.15
MOST_DELTA_E = 10.0
_VIEW_PX = 48


@torch.inference_mode()
def mean_colours(volume: Volume, azimuths: int, *, elevation_deg: float) -> np.ndarray:
    """The mean colour of a form from evenly spread azimuths: CIELAB, float, shape (azimuths, 3).

    Where nothing is opaque it is black.
    """
    framed, fov_deg = frame(volume)
    colours = []
    for camera in orbit(azimuths, elevation_deg=elevation_deg):
        view = render(framed, replace(camera, fov_deg=fov_deg), _VIEW_PX)
        is_body = view.alpha > 0.5
        body = (view.rgb[:, is_body] / view.alpha[is_body]).clamp(0, 1).T.numpy()
        colours.append(rgb2lab(body).mean(0) if len(body) else np.zeros(3))
    return np.stack(colours)


def second_faces(points: np.ndarray, centres: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Which views of one form show another face than the one from opposite: bool, shape (n,).

    Args:
        points: What the judge sees in each view, float, shape (n, c); evenly spread azimuths in order, n even.
        centres: The species as the judge knows them, float, shape (k, c).
        colours: Mean colour of each view, CIELAB, float, shape (n, 3).
    """
    half, middle = len(points) // 2, centres.mean(0)
    likeness = to_unit(points - middle) @ to_unit(centres - middle).T
    own = likeness.argmax(1)
    rows = np.arange(len(points))
    surer = likeness[rows, own] - likeness[rows, np.roll(own, half)]
    is_another = (surer + np.roll(surer, half)) / 2 > CLEARLY
    return is_another | (np.linalg.norm(colours - np.roll(colours, half, axis=0), axis=1) > MOST_DELTA_E)
