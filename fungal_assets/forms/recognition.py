"""Whether a form is taken for its own species by a judge that had no part in growing it.

The judge is the clusters of the specimens, by the extractor that they were found by. A form on a plain ground is unlike
any photograph in ways that all forms share; so each view is compared after the mean of all views has been moved onto
the mean of the species' centres. Belongs here: that judgement. Its limits stand in `checks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets.forms.keeping import load_volume
from fungal_assets.forms.showing import pictures
from fungal_assets.forms.views import orbit

VIEWS = 8
GROUND = (0.35, 0.35, 0.33)
_SIZE_PX = 128


def photograph(form: Path) -> list[Image.Image]:
    """The views that are judged: `VIEWS` all round on a plain grey ground."""
    cameras = orbit(VIEWS, elevation_deg=15)
    return [
        Image.fromarray(picture) for picture in pictures(load_volume(form), cameras, _SIZE_PX, ground=GROUND)
    ]


def recognised_shares(views: Mapping[int, Sequence[Image.Image]], clusters: Path) -> dict[int, float]:
    """The share of each species' views whose nearest species is its own.

    Args:
        views: Pictures by cluster id, the same number each.
        clusters: The complete output `clusters`. The rivals are the clusters of `views`; where there is only one,
            all clusters.

    Returns:
        Shares, 0 to 1, by cluster id.

    Raises:
        InputError: The clusters' extractor is not found.
        ProvenanceError: It is not recorded, or has other weights now.
    """
    from fungal_assets.morphology.extractors import recorded_extractor
    from fungal_assets.morphology.judging import recognise
    from fungal_assets.morphology.projection import Projection

    centres = np.load(clusters / "centroids.npy", allow_pickle=False)
    rivals = sorted(views) if len(views) > 1 else list(range(len(centres)))
    shown = [picture for cluster in views for picture in views[cluster]]
    vectors = recorded_extractor(clusters).embed(shown)
    points = Projection.load(clusters / "projection.npz").project(vectors)
    if len(views) > 1:
        points = points - points.mean(0) + centres[rivals].mean(0)
    nearest = np.array(rivals)[recognise(points, centres[rivals]).argmin(1)]
    truth = np.repeat(list(views), [len(views[cluster]) for cluster in views])
    return {cluster: float((nearest[truth == cluster] == cluster).mean()) for cluster in views}
