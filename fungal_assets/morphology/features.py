"""One feature vector for every specimen, and the table that holds them.

Belongs here: running an extractor over the specimens, and reading the vectors back. The network is in
`extractors`.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fungal_assets.collection.decoding import read_square
from fungal_assets.collection.parallel import map_in_order
from fungal_assets.errors import ProvenanceError
from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.progress import Tell, Ticker, stay_silent
from fungal_assets.shards import count_rows, read_rows
from fungal_assets.store import Figures, write_atomically

VECTORS = pa.schema(
    [
        ("image_id", pa.string()),
        ("vector", pa.list_(pa.float32())),
        ("fungus_probability", pa.float32()),
    ]
)
Item = TypeVar("Item")


def extract_features(raw_images: Path, folder: Path, *, batch_size: int, tell: Tell = stay_silent) -> Figures:
    """Write the feature vector of every specimen, and how likely it shows a fungus.

    Args:
        raw_images: Output of `collection.admission.admit_images`.
        folder: Where `vectors.parquet` and `extractor.json` go, and what `twins.link_twins` writes.
        batch_size: Pictures that go through the network at once; does not change the vectors.
        tell: Told how far it is.

    Returns:
        `images`, `dimensions`, the `extractor`'s name, `twins` and `twin_groups`.
    """
    from fungal_assets.morphology.twins import link_twins

    extractor = EfficientNetLite0()
    total = count_rows(raw_images)
    ticker, done = Ticker(tell, "feature vectors", total), 0
    batches = _in_batches(read_rows(raw_images, ["image", "image_id"]), batch_size)
    with pq.ParquetWriter(folder / ".vectors.parquet", VECTORS, compression="NONE") as writer:
        for table in map_in_order(functools.partial(_embed_batch, extractor=extractor), batches):
            writer.write_table(table)
            done += table.num_rows
            ticker.tick(done)
    (folder / ".vectors.parquet").replace(folder / "vectors.parquet")
    about = {
        "name": extractor.name,
        "sha256": extractor.sha256,
        "dimensions": extractor.dimensions,
        "input_px": extractor.input_px,
    }
    write_atomically(folder / "extractor.json", json.dumps(about, indent=1))
    figures: Figures = {"images": done, "dimensions": extractor.dimensions, "extractor": extractor.name}
    return {**figures, **link_twins(raw_images, folder)}


def _embed_batch(rows: list[dict[str, Any]], *, extractor: EfficientNetLite0) -> pa.Table:
    squares = [read_square(row["image"]["bytes"], extractor.input_px).image for row in rows]
    vectors, probabilities = extractor.look(squares)
    columns = [[row["image_id"] for row in rows], list(vectors), probabilities]
    return pa.table(columns, schema=VECTORS)


def _in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def read_vectors(feature_vectors: Path) -> tuple[list[str], np.ndarray]:
    """The vectors of an output in the order of its table.

    Args:
        feature_vectors: Output of `extract_features`.

    Returns:
        Image ids, and float32 vectors of shape (n, d).

    Raises:
        ProvenanceError: The vectors do not all have one length.
    """
    table = pq.read_table(feature_vectors / "vectors.parquet")
    ids = table["image_id"].to_pylist()
    vectors = table["vector"].combine_chunks()
    lengths = set(np.diff(vectors.offsets.to_numpy()).tolist())
    if len(lengths) > 1:
        raise ProvenanceError(
            f"{feature_vectors} holds vectors of {sorted(lengths)!r} numbers, expected one length. Grow it "
            "again."
        )
    return ids, vectors.flatten().to_numpy().reshape(len(ids), -1)
