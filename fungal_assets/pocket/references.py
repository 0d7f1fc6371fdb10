"""The judge's reference vectors: what real pictures of every concept look like to EfficientNet-Lite0.

The network is ImageNet's and never saw the pocket model, so it doesn't flatter it. The references are drawings of the
training styles on a white ground, and rendered fungi under the concept `mushroom`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets.pocket.corpus import PART_PICTURES, draw_world, join, render_fungi
from fungal_assets.progress import Tell

FUNGUS_CONCEPT = "mushroom"
FUNGI = 4 * PART_PICTURES


def write_references(work: Path, art: Path, folder: Path, *, concepts: int, tell: Tell) -> int:
    """Write `references.npz`: vectors float16 (N, 1280) and the concept of each; returns N."""
    from fungal_assets.morphology.extractors import EfficientNetLite0

    folder.mkdir(parents=True, exist_ok=True)
    world = draw_world(work / "world", tarballs=art, concepts=concepts, variants=1, seed=1)
    fungi = render_fungi(work / "fungi", count=FUNGI, processes=2, tell=tell)
    pictures = join(world, fungi)
    names = [*world.concepts, *[FUNGUS_CONCEPT] * len(fungi)]
    extractor = EfficientNetLite0()
    vectors = np.concatenate(
        [
            extractor.embed([Image.fromarray(image) for image in pictures.images[start : start + 32]])
            for start in range(0, len(pictures), 32)
        ]
    )
    np.savez_compressed(
        folder / "references.npz", vectors=vectors.astype(np.float16), concept=np.array(names)
    )
    return len(names)
