"""The real images behind a gallery, read once as a stream: what may have been copied, and what each species is like.

Of each picture the nearest training images are kept, by vectors and by layout, of each species at most `MOST_REAL`
vectors, so that memory does not grow with the collection. They are looked at in the size of the dataset, which the
model was tuned on, and not in that of the originals: sharpness that no picture of that size can have would count as a
difference.
Belongs here: reading and embedding. What is concluded stands in `copies`, `distances` and `species_report`.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fungal_assets.collection.parallel import map_in_order
from fungal_assets.dataset.contents import DATA
from fungal_assets.dataset.splitting import SPLITS, TRAIN
from fungal_assets.galleries.copies import CANDIDATES, CANDIDATES_BY_LAYOUT, layouts
from fungal_assets.galleries.reading import EMBED_BATCH
from fungal_assets.morphology.extractors import Extractor
from fungal_assets.morphology.features import in_batches
from fungal_assets.previews import middle_square
from fungal_assets.progress import Tell, Ticker, stay_silent
from fungal_assets.shards import count_rows, has_shards, read_rows

MOST_REAL = 500
_Row = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Nearest:
    """The training images that some pictures are nearest to.

    Args:
        image_ids: Ids, str, shape (n, k), the nearest first.
        cosines: Of the feature vectors, float32, shape (n, k).
        scores: What they are ranked by, float32, shape (n, k).
    """

    image_ids: np.ndarray
    cosines: np.ndarray
    scores: np.ndarray

    @classmethod
    def nothing(cls, count: int) -> Nearest:
        """Of so many pictures, before any image was read."""
        return cls(*(np.zeros((count, 0), kind) for kind in (object, np.float32, np.float32)))

    def keep(self, image_ids: np.ndarray, cosines: np.ndarray, scores: np.ndarray, most: int) -> Nearest:
        """The nearest of these and of more training images, at most so many."""
        ranked = np.concatenate([self.scores, scores.astype(np.float32)], axis=1)
        everyone = np.concatenate([self.cosines, cosines.astype(np.float32)], axis=1)
        names = np.concatenate([self.image_ids, np.broadcast_to(image_ids, cosines.shape)], axis=1)
        order = np.argsort(-ranked, axis=1, kind="stable")[:, :most]
        return Nearest(*(np.take_along_axis(each, order, axis=1) for each in (names, everyone, ranked)))


@dataclass(frozen=True)
class Originals:
    """What was read of the dataset.

    Args:
        nearest: Of each picture of the gallery, by feature vectors.
        alike: The same by layout.
        vectors: Of the real images of each species, training or held out, float32, shape (m, d), unit rows.
        shown: Of each species the ids of its first real images.
        images: How many there are in all.
    """

    nearest: Nearest
    alike: Nearest
    vectors: Mapping[str, np.ndarray]
    shown: Mapping[str, Sequence[str]]
    images: int

    def candidates(self, number: int) -> dict[str, float]:
        """Which training images may be the original of a picture, with the cosines of their vectors."""
        return {
            name: cosine
            for found in (self.nearest, self.alike)
            for name, cosine in zip(found.image_ids[number], found.cosines[number].tolist(), strict=True)
        }


def read_originals(
    captioned_dataset: Path,
    pictures: np.ndarray,
    laid_out: np.ndarray,
    extractor: Extractor,
    *,
    shown: int,
    tell: Tell = stay_silent,
) -> Originals:
    """Embed every real image, and keep what a report needs of it.

    Args:
        captioned_dataset: The dataset that the model was tuned on.
        pictures: Vectors of the gallery's pictures by the same extractor, float32, shape (n, d), unit rows.
        laid_out: Their layouts, float32, shape (n, 2, l), as `copies.layouts` gives them.
        extractor: What makes the vectors.
        shown: How many image ids of each species to keep.
        tell: Gets lines of progress.
    """
    folder = captioned_dataset / DATA
    total = count_rows(folder)
    nearest = alike = Nearest.nothing(len(pictures))
    vectors: dict[str, list[np.ndarray]] = {}
    ids: dict[str, list[str]] = {}
    ticker, done = Ticker(tell, "real images", total), 0

    def embed(batch: list[_Row]) -> tuple[list[_Row], np.ndarray, np.ndarray]:
        images = [open_image(row) for _, row in batch]
        return batch, extractor.embed(images), np.stack([layouts(image)[0] for image in images])

    for batch, found, spots in map_in_order(embed, in_batches(_rows(folder), EMBED_BATCH)):
        is_seen = np.array([split == TRAIN for split, _ in batch])
        trained = np.array([row["image_id"] for _, row in batch], object)[is_seen]
        cosines = pictures @ found[is_seen].T
        nearest = nearest.keep(trained, cosines, cosines, CANDIDATES)
        either = (laid_out @ spots[is_seen].T).max(axis=1)
        alike = alike.keep(trained, cosines, either, CANDIDATES_BY_LAYOUT)
        for (_, row), vector in zip(batch, found, strict=True):
            if len(vectors.setdefault(row["species_id"], [])) < MOST_REAL:
                vectors[row["species_id"]].append(vector)
            if len(ids.setdefault(row["species_id"], [])) < shown:
                ids[row["species_id"]].append(row["image_id"])
        done += len(batch)
        ticker.tick(done)
    stacked = {species_id: np.stack(rows) for species_id, rows in vectors.items()}
    return Originals(nearest, alike, stacked, ids, total)


def _rows(folder: Path) -> Iterator[_Row]:
    """Every row of the dataset, with its split."""
    for split in SPLITS:
        if has_shards(folder, split):
            for row in read_rows(folder, ["image", "image_id", "species_id"], stem=split):
                yield split, row


def open_image(row: Mapping[str, Any]) -> Image.Image:
    """The picture of a row of the dataset, RGB; of one that is no square its middle, as pictures of galleries are."""
    return middle_square(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))


def read_images(
    captioned_dataset: Path, image_ids: Collection[str], *, side_px: int | None = None
) -> dict[str, Image.Image]:
    """Some real images by id, scaled to `side_px` where many are held."""
    wanted = set(image_ids)
    return {
        row["image_id"]: _scaled(open_image(row), side_px)
        for _, row in _rows(captioned_dataset / DATA)
        if row["image_id"] in wanted
    }


def _scaled(image: Image.Image, side_px: int | None) -> Image.Image:
    return image.resize((side_px, side_px), Image.Resampling.BICUBIC) if side_px else image
