"""Whether a picture shows several fungi, told by its feature vector.

Bodies that stand close hide each other, and no shape of a silhouette tells a branching coral from five of them: on the
true masks of the specimens, too, shapes were right about three or more in half of the cases (`docs/log.md`). A feature
vector knows more. A logistic regression on pictures that the project's own generator rendered, half of them amid
clutter, gives the chance that there are three or more. Belongs here: reading it. Making it is
`python -m fungal_assets.pocket references`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from fungal_assets.collection.decoding import read_specimen
from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.extractors import read_about
from fungal_assets.morphology.features import EMBED_BATCH
from fungal_assets.shards import BUFFER_BYTES, read_rows

COUNTS_PATH = Path(__file__).with_name("counts.npz")
LEAST_GROUP = 3
_BLOCK = 512
"""Vectors held at a time: 2.6 MB, twice that as float64."""


def chances_by_id(raw_images: Path, feature_vectors: Path) -> dict[str, float]:
    """How likely each specimen shows a group; memory holds one block of vectors, however many there are.

    Args:
        raw_images: A `raw_images` output, looked at where the vectors are by another extractor.
        feature_vectors: The `feature_vectors` output of it, by any extractor.

    Returns:
        By image id, 0 to 1.
    """
    eye, found = EfficientNetLite0(), dict[str, float]()
    is_own = read_about(feature_vectors)["sha256"] == eye.sha256
    for ids, vectors in _read_blocks(feature_vectors) if is_own else _embed_blocks(eye, raw_images):
        found.update(zip(ids, group_chances(vectors).tolist(), strict=True))
    return found


def _read_blocks(feature_vectors: Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """Ids and vectors, float32, shape (`_BLOCK` or fewer, 1280), as they are kept."""
    path = feature_vectors / "vectors.parquet"
    with pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
        for block in file.iter_batches(_BLOCK, columns=["image_id", "vector"]):
            ids = block["image_id"].to_pylist()
            yield ids, block["vector"].flatten().to_numpy().reshape(len(ids), -1)


def _embed_blocks(eye: EfficientNetLite0, raw_images: Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """The same of the specimens themselves, `EMBED_BATCH` at a time."""
    rows = read_rows(raw_images, ["image", "image_id", "focus"])
    while some := list(islice(rows, EMBED_BATCH)):
        yield [row["image_id"] for row in some], eye.embed([read_specimen(row, eye.input_px) for row in some])


def group_chances(vectors: np.ndarray) -> np.ndarray:
    """How likely pictures show `LEAST_GROUP` fungi or more.

    Args:
        vectors: Feature vectors of EfficientNet-Lite0, float, shape (n, 1280), rows of length 1.

    Returns:
        float64, shape (n,), 0 to 1.
    """
    from scipy.special import expit

    with np.load(COUNTS_PATH, allow_pickle=False) as arrays:
        return expit(vectors @ arrays["weights"].astype(float) + float(arrays["bias"]))
