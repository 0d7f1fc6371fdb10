"""What forms look like to judges that had no part in growing them.

Recognised: the judge is the clusters of the specimens, by the extractor that they were found by. A form on a plain
ground is unlike any photograph in ways that all forms share; so each view is compared after the mean of all views has
been moved onto the mean of the species' centres. Beside it: the share of views that show a second face
(`consistency`), for which the form's views are compared with each other only, and of outlines that no fungus has
(`silhouettes`).
Belongs here: those judgements. Their limits stand in `checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets.forms.consistency import mean_colours, second_faces
from fungal_assets.forms.showing import pictures
from fungal_assets.forms.silhouettes import known_outlines, likeness, outlines
from fungal_assets.forms.views import orbit
from fungal_assets.forms.volume import Volume

VIEWS = 8
GROUND = (0.35, 0.35, 0.33)
_SIZE_PX = 128
_ELEVATION_DEG = 15


@dataclass(frozen=True)
class Sight:
    """A form as the judges see it, from `VIEWS` sides.

    Args:
        pictures: On a plain grey ground.
        colours: Mean colour of each view, CIELAB, float, shape (VIEWS, 3).
        outlines: bool, shape (VIEWS, 32, 32); see `silhouettes`.
    """

    pictures: list[Image.Image]
    colours: np.ndarray
    outlines: np.ndarray


@dataclass(frozen=True)
class Judgement:
    """What is found of one form.

    Args:
        recognised: Share of its views that are nearest to its own species, 0 to 1.
        janus_share: Share of its views that show a second face, 0 to 1.
        silhouette_likeness: How like that of a known fungus the outline of its least likely view is, 0 to 1.
    """

    recognised: float
    janus_share: float
    silhouette_likeness: float


def look_at(volume: Volume) -> Sight:
    """The views that are judged."""
    cameras = orbit(VIEWS, elevation_deg=_ELEVATION_DEG)
    shown = [Image.fromarray(picture) for picture in pictures(volume, cameras, _SIZE_PX, ground=GROUND)]
    return Sight(shown, mean_colours(volume, VIEWS, elevation_deg=_ELEVATION_DEG), outlines(volume, VIEWS))


def judge_forms(sights: Mapping[int, Sight], clusters: Path) -> dict[int, Judgement]:
    """Judge forms of several species.

    Args:
        sights: By cluster id.
        clusters: The complete output `clusters`. For recognition the rivals are the clusters of `sights`; where there
            is only one, all clusters.

    Returns:
        Judgements by cluster id.

    Raises:
        InputError: The clusters' extractor is not found.
        ProvenanceError: It is not recorded, or has other weights now.
    """
    from fungal_assets.morphology.extractors import recorded_extractor
    from fungal_assets.morphology.projection import Projection

    centres = np.load(clusters / "centroids.npy", allow_pickle=False)
    shown = [picture for sight in sights.values() for picture in sight.pictures]
    vectors = recorded_extractor(clusters).embed(shown)
    points = Projection.load(clusters / "projection.npz").project(vectors)
    owners = np.repeat(list(sights), VIEWS)
    known, _ = known_outlines()
    recognised = _recognised_shares(points, owners, centres)
    return {
        cluster: Judgement(
            recognised=recognised[cluster],
            janus_share=float(second_faces(points[owners == cluster], centres, sight.colours).mean()),
            silhouette_likeness=float(likeness(sight.outlines, known).min()),
        )
        for cluster, sight in sights.items()
    }


def _recognised_shares(points: np.ndarray, owners: np.ndarray, centres: np.ndarray) -> dict[int, float]:
    """The share of each species' views whose nearest species is its own, by cluster id.

    Args:
        points: float, shape (n, c).
        owners: Cluster id of the form of each view, int, shape (n,).
        centres: float, shape (k, c).
    """
    from fungal_assets.morphology.judging import recognise

    own = np.unique(owners)
    rivals = own if len(own) > 1 else np.arange(len(centres))
    if len(own) > 1:
        points = points - points.mean(0) + centres[rivals].mean(0)
    nearest = rivals[recognise(points, centres[rivals]).argmin(1)]
    return {int(cluster): float((nearest[owners == cluster] == cluster).mean()) for cluster in own}
