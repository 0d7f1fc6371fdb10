"""The real pictures that drawn ones are held against, read once as a stream.

Of each drawn picture the nearest real ones are kept, and of all real ones at most `MOST_REAL` vectors, so that memory
does not grow with the collection. Belongs here: reading and embedding.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets.collection.parallel import map_in_order
from fungal_assets.galleries.copies import CANDIDATES, SIDE_PX
from fungal_assets.galleries.originals import Nearest, open_image
from fungal_assets.galleries.reading import EMBED_BATCH
from fungal_assets.morphology.extractors import Extractor
from fungal_assets.morphology.features import in_batches
from fungal_assets.progress import Tell, Ticker
from fungal_assets.shards import count_rows, read_rows

MOST_REAL = 2000


@dataclass(frozen=True)
class RealPictures:
    """What was read of the prepared pictures.

    Args:
        nearest: Of each drawn picture.
        image_ids: Whose vectors are kept.
        vectors: float32, shape (m, d), unit rows.
    """

    nearest: Nearest
    image_ids: list[str]
    vectors: np.ndarray


def read_real(prepared_images: Path, drawn: np.ndarray, extractor: Extractor, tell: Tell) -> RealPictures:
    """Embed every prepared picture.

    Args:
        prepared_images: Output of `preparation.prepare_images`.
        drawn: Vectors of the drawn pictures by the same extractor, float32, shape (n, d), unit rows.
        extractor: What makes the vectors.
        tell: Gets lines of progress.
    """
    nearest = Nearest.nothing(len(drawn))
    image_ids: list[str] = []
    vectors: list[np.ndarray] = []
    ticker, done = Ticker(tell, "real pictures", count_rows(prepared_images)), 0

    def embed(batch: list[dict]) -> tuple[list[str], np.ndarray]:
        return [row["image_id"] for row in batch], extractor.embed([open_image(row) for row in batch])

    for names, found in map_in_order(embed, in_batches(read_rows(prepared_images), EMBED_BATCH)):
        cosines = drawn @ found.T
        nearest = nearest.keep(np.array(names, object), cosines, cosines, CANDIDATES)
        if len(image_ids) < MOST_REAL:
            image_ids += names
            vectors.append(found)
        done += len(names)
        ticker.tick(done)
    return RealPictures(nearest, image_ids, np.concatenate(vectors))


def read_some(
    prepared_images: Path, image_ids: Collection[str], *, side_px: int = 0
) -> dict[str, Image.Image]:
    """Some real pictures by id, RGB, scaled to `side_px` where that is above 0."""
    wanted = set(image_ids)
    found = {
        row["image_id"]: open_image(row) for row in read_rows(prepared_images) if row["image_id"] in wanted
    }
    if not side_px:
        return found
    return {name: image.resize((side_px, side_px), Image.Resampling.BICUBIC) for name, image in found.items()}


def read_candidates(prepared_images: Path, nearest: Nearest) -> dict[str, Image.Image]:
    """The real pictures that drawn ones are nearest to, small, as `galleries.copies` compares them."""
    return read_some(prepared_images, nearest.image_ids.ravel().tolist(), side_px=SIDE_PX)
