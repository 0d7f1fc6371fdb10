"""Reference vectors: what real pictures of every concept, and of every morphotype, look like to EfficientNet-Lite0.

The network is ImageNet's and never saw the pocket model, so it doesn't flatter it. The references are drawings of the
training styles on a white ground, and rendered fungi under the concept `mushroom`. The morphotypes' vectors let a
cluster be named by its form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets.collection.parallel import map_in_order
from fungal_assets.pocket.corpus import PART_PICTURES, draw_world, join, render_fungi, traits_of_fungi
from fungal_assets.progress import Tell

FUNGUS_CONCEPT = "mushroom"
FUNGI = 4 * PART_PICTURES
FUNGI_BY_MORPHOTYPE = 16 * PART_PICTURES


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


def embed(images: np.ndarray) -> np.ndarray:
    """Feature vectors, float32 (N, 1280), of uint8 (N, H, W, 3)."""
    from fungal_assets.morphology.extractors import EfficientNetLite0

    extractor = EfficientNetLite0()
    parts = (images[start : start + 32] for start in range(0, len(images), 32))
    seen = map_in_order(lambda part: extractor.embed([Image.fromarray(image) for image in part]), parts)
    return np.concatenate(list(seen))
