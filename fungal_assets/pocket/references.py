"""Reference vectors: what real pictures of every concept, and of every morphotype, look like to EfficientNet-Lite0.

The network is ImageNet's and never saw the pocket model, so it doesn't flatter it. The references are drawings of the
training styles on a white ground, and rendered fungi under the concept `mushroom`. The morphotypes' vectors let a
cluster be named by its form; weights on such vectors let a caption say that there are several, and from which side.
"""

from __future__ import annotations

from itertools import count, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fungal_assets.collection.parallel import map_in_order
from fungal_assets.nomenclature.counting import LEAST_GROUP
from fungal_assets.nomenclature.orientation import AT_AN_ANGLE
from fungal_assets.pocket.corpus import (
    PART_PICTURES,
    draw_world,
    join,
    render_fungi,
    render_pixels,
    traits_of_fungi,
)
from fungal_assets.progress import Tell, follow

if TYPE_CHECKING:
    from fungal_assets.pocket.fungarium import Traits

FUNGUS_CONCEPT = "mushroom"
FUNGI = 4 * PART_PICTURES
FUNGI_BY_MORPHOTYPE = 16 * PART_PICTURES
COUNTED, COUNTED_PX, COUNTED_SEED = 480, 160, 91_000_000
COUNTS = (1, 1, 2, 3, 4, 5)
VIEWED, VIEWED_PX, VIEWED_SEED = 600, 160, 92_000_000
"""So many calm pictures, and as many amid clutter."""
_HIDDEN_VIEW = "back view"
"""The wood that a shelf grows on hides its back."""
_PENALTY = 10.0


def write_references(work: Path, art: Path, folder: Path, *, concepts: int, tell: Tell) -> int:
    """Write `references.npz`: vectors float16 (N, 1280) and the concept of each; returns N."""
    folder.mkdir(parents=True, exist_ok=True)
    world = draw_world(work / "world", tarballs=art, concepts=concepts, variants=1, seed=1)
    fungi = render_fungi(work / "fungi", traits_of_fungi(FUNGI), processes=2, tell=tell)
    pictures = join(world, fungi)
    names = [*world.concepts, *[FUNGUS_CONCEPT] * len(fungi)]
    vectors = embed(pictures.images)
    np.savez_compressed(
        folder / "references.npz", vectors=vectors.astype(np.float16), concept=np.array(names)
    )
    return len(names)


def write_morphotypes(work: Path, path: Path, *, tell: Tell) -> int:
    """Write the mean vector of each morphotype, float16 (16, 1280), and its name; returns the pictures' number."""
    fungi = render_fungi(work / "fungi", traits_of_fungi(FUNGI_BY_MORPHOTYPE), processes=2, tell=tell)
    vectors, morphotypes = embed(fungi.images), np.array(fungi.concepts)
    names = np.unique(morphotypes)
    means = np.stack([vectors[morphotypes == name].mean(axis=0) for name in names])
    np.savez_compressed(path, vectors=means.astype(np.float16), morphotype=names)
    return len(fungi)


def write_counts(path: Path, *, tell: Tell) -> int:
    """Write the weights by which a vector tells three fungi or more; returns the number of pictures learnt from.

    Every second picture is a snapshot, so that clutter is not taken for a group.
    """
    from sklearn.linear_model import LogisticRegression

    counts = np.array([COUNTS[index % len(COUNTS)] for index in range(COUNTED)])
    numbers = follow(range(COUNTED), tell, "fungi to count", COUNTED)
    vectors = embed(np.stack([_counted(index, int(counts[index])) for index in numbers]))
    found = LogisticRegression(C=_PENALTY, max_iter=5000).fit(vectors, counts >= LEAST_GROUP)
    np.savez_compressed(path, weights=found.coef_[0].astype(np.float32), bias=found.intercept_[0])
    return COUNTED


def _counted(index: int, count: int) -> np.ndarray:
    """A picture of so many fungi, uint8 (COUNTED_PX, COUNTED_PX, 3)."""
    from fungal_assets.pocket.fungarium import sample_traits
    from fungal_assets.pocket.fungarium.snapshot import render_snapshot

    traits = sample_traits(COUNTED_SEED + index, count=count)
    if index // len(COUNTS) % 2:
        return render_snapshot(traits, size_px=COUNTED_PX)
    return render_pixels(traits, size_px=COUNTED_PX, supersample=1)


def write_views(work: Path, path: Path, *, tell: Tell) -> int:
    """Write the weights by which a vector tells from which side a fungus is seen; returns the number of pictures."""
    from sklearn.linear_model import LogisticRegression

    images, views = [], []
    for number, is_snapshot in enumerate((False, True)):
        traits = traits_from_all_sides(VIEWED, VIEWED_SEED + number)
        folder = work / ("sides_in_clutter" if is_snapshot else "sides")
        seen = render_fungi(
            folder, traits, processes=2, tell=tell, is_snapshot=is_snapshot, size_px=VIEWED_PX
        )
        images.append(seen.images)
        views += [one.view or AT_AN_ANGLE for one in traits]
    found = LogisticRegression(C=_PENALTY, max_iter=5000).fit(embed(np.concatenate(images)), views)
    np.savez_compressed(
        path,
        weights=found.coef_.astype(np.float16),
        bias=found.intercept_.astype(np.float32),
        view=found.classes_,
    )
    return len(views)


def traits_from_all_sides(number: int, seed: int) -> list[Traits]:
    """Fungi of every form in turn, seen from each side that people photograph in turn, and at an angle."""
    from fungal_assets.pocket.fungarium import MORPHOTYPES, views_of

    views = {name: (*views_of(name), None) for name in MORPHOTYPES}
    sides = cycle([(name, view) for name, seen in views.items() for view in seen if view != _HIDDEN_VIEW])
    return [_seen_so(*side, seed + 1000 * index) for index, side in enumerate(islice(sides, number))]


def _seen_so(morphotype: str, view: str | None, seed: int) -> Traits:
    """Traits of the first seed from `seed` on that show it so, at an angle where the view is None."""
    from fungal_assets.pocket.fungarium import sample_traits

    drawn = (sample_traits(one, morphotype=morphotype, view=view) for one in count(seed))
    return next(traits for traits in drawn if traits.view == view)


def embed(images: np.ndarray) -> np.ndarray:
    """Feature vectors, float32 (N, 1280), of uint8 (N, H, W, 3)."""
    from fungal_assets.morphology.extractors import EfficientNetLite0

    extractor = EfficientNetLite0()
    parts = (images[start : start + 32] for start in range(0, len(images), 32))
    seen = map_in_order(lambda part: extractor.embed([Image.fromarray(image) for image in part]), parts)
    return np.concatenate(list(seen))
