"""One feature vector for every specimen, and the table that holds them.

Belongs here: running an extractor over the specimens, and reading the vectors back. What an extractor is, stands in
`extractors`.

Vectors are kept in parts while they are made, so that a stopped run goes on behind its last whole part; at the end the
parts become one table. Neither holds more than a part in memory, however many specimens there are.
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fungal_assets.collection.decoding import SPECIMEN_COLUMNS, read_specimen
from fungal_assets.collection.parallel import map_in_order
from fungal_assets.errors import ProvenanceError
from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.extractors import (
    ABOUT_NAME,
    Extractor,
    describe_extractor,
    find_extractor,
    read_about,
)
from fungal_assets.progress import Tell, Ticker, stay_silent
from fungal_assets.shards import BUFFER_BYTES, count_rows, read_rows
from fungal_assets.store import Figures, write_atomically

VECTORS = pa.schema(
    [
        ("image_id", pa.string()),
        ("vector", pa.list_(pa.float32())),
        ("fungus_probability", pa.float32()),
    ]
)
PART_IMAGES = 128
"""About so many images make a part: what a stopped run may lose, and what is held in memory."""
EMBED_BATCH = 16
_BLOCK, BLOCK_ROWS = 512, 2048
"""Vectors read at a time: 2.6 and 10 MB of 1280 numbers each."""
Item = TypeVar("Item")


def extract_features(
    raw_images: Path, folder: Path, *, extractor: str, batch_size: int, tell: Tell = stay_silent
) -> Figures:
    """Write the feature vector of every specimen, and how likely it shows a fungus.

    Args:
        raw_images: Output of `collection.admission.admit_images`.
        folder: Where `vectors.parquet` and `extractor.json` go, and what `twins.link_twins` writes. Parts that a
            stopped run of the same extractor left there are kept.
        extractor: What makes the vectors, by name (`extractors.find_extractor`). The probability is
            EfficientNet-Lite0's whatever it is, in 8 bits where that is asked for.
        batch_size: Pictures that go through the network at once; does not change the vectors.
        tell: Told how far it is.

    Returns:
        `images`, `dimensions`, the `extractor`'s name, `twins` and `twin_groups`.

    Raises:
        InputError: There is no such extractor.
    """
    from fungal_assets.morphology.twins import link_twins

    found = find_extractor(extractor)
    parts = folder / ".parts" / found.sha256[:16]
    _fill_parts(raw_images, parts, found, batch_size, tell)
    images = _join_parts(_whole_parts(parts), folder / "vectors.parquet")
    write_atomically(folder / ABOUT_NAME, json.dumps(describe_extractor(found), indent=1))
    twins = link_twins(raw_images, folder)
    shutil.rmtree(parts.parent)
    return {"images": images, "dimensions": found.dimensions, "extractor": found.name, **twins}


def _fill_parts(raw_images: Path, parts: Path, extractor: Extractor, batch_size: int, tell: Tell) -> None:
    """Write the parts that are not there yet, each of as many whole batches as make about `PART_IMAGES`."""
    parts.mkdir(parents=True, exist_ok=True)
    whole = _whole_parts(parts)
    done = sum(pq.read_metadata(path).num_rows for path in whole)
    rows = read_rows(raw_images, ["image_id", *SPECIMEN_COLUMNS], start=done)
    embed = functools.partial(_embed_batch, extractor=extractor, classifier=_classifier_beside(extractor))
    ticker = Ticker(tell, "feature vectors", count_rows(raw_images), done=done)
    tables = _told(map_in_order(embed, in_batches(rows, batch_size)), ticker, done)
    for number, batches in enumerate(in_batches(tables, max(1, PART_IMAGES // batch_size)), len(whole)):
        temporary = parts / f".{_part_name(number)}"
        pq.write_table(pa.concat_tables(batches), temporary, compression="NONE")
        temporary.replace(parts / _part_name(number))


def _told(tables: Iterable[pa.Table], ticker: Ticker, done: int) -> Iterator[pa.Table]:
    for table in tables:
        done += table.num_rows
        ticker.tick(done)
        yield table


def _whole_parts(parts: Path) -> list[Path]:
    """The parts from the first on, as far as there is no gap."""
    paths = (parts / _part_name(number) for number in itertools.count())
    return list(itertools.takewhile(Path.exists, paths))


def _part_name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def _join_parts(parts: Sequence[Path], path: Path) -> int:
    """Write the rows of all parts as one table, and return how many they are."""
    temporary, rows = path.with_name(f".{path.name}"), 0
    with pq.ParquetWriter(temporary, VECTORS, compression="NONE") as writer:
        for part in parts:
            table = pq.read_table(part)
            writer.write_table(table)
            rows += table.num_rows
    temporary.replace(path)
    return rows


def _classifier_beside(extractor: Extractor) -> EfficientNetLite0:
    """What says how likely a fungus is: the extractor itself where it can."""
    return extractor if isinstance(extractor, EfficientNetLite0) else EfficientNetLite0()


def _embed_batch(
    rows: list[dict[str, Any]], *, extractor: Extractor, classifier: EfficientNetLite0
) -> pa.Table:
    squares = _read_squares(rows, classifier.input_px)
    if extractor is classifier:
        vectors, probabilities = classifier.look(squares)
    else:
        probabilities = classifier.judge(squares)
        vectors = extractor.embed(_read_squares(rows, extractor.input_px))
    columns = [[row["image_id"] for row in rows], list(vectors), probabilities]
    return pa.table(columns, schema=VECTORS)


def _read_squares(rows: Iterable[dict[str, Any]], side_px: int) -> list[Image.Image]:
    return [read_specimen(row, side_px) for row in rows]


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of that length, the last one as long as it comes."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def read_vectors(feature_vectors: Path) -> tuple[list[str], np.ndarray]:
    """The vectors of an output in the order of its table, all at once: of a collection that fits in memory.

    Args:
        feature_vectors: Output of `extract_features`.

    Returns:
        Image ids, and float32 vectors of shape (n, d).

    Raises:
        ProvenanceError: The vectors do not all have one length.
    """
    return read_ids(feature_vectors), np.concatenate(list(VectorBlocks(feature_vectors)))


def read_ids(feature_vectors: Path) -> list[str]:
    """The image ids of an output of `extract_features`, in the order of its vectors."""
    return pq.read_table(feature_vectors / "vectors.parquet", columns=["image_id"])["image_id"].to_pylist()


class VectorBlocks:
    """The vectors of an output a block at a time, each read from disk whenever it is asked for.

    Args:
        feature_vectors: Output of `extract_features`.
        rows: How many vectors make a block, or a few more; the last has what is left.
    """

    def __init__(self, feature_vectors: Path, rows: int = BLOCK_ROWS):
        self._folder, self._dimensions = feature_vectors, 0
        with self._open() as file:
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self._groups: list[list[int]] = []
        held = rows
        for group, size in enumerate(sizes):
            if held >= rows:
                self._groups.append([])
                held = 0
            self._groups[-1].append(group)
            held += size

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._folder / "vectors.parquet", buffer_size=BUFFER_BYTES, pre_buffer=False)

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: int) -> np.ndarray:
        """One block: float32, shape (n, d).

        Raises:
            ProvenanceError: Its vectors, or those of a block before, do not all have one length.
        """
        groups = self._groups[index]
        with self._open() as file:
            vectors = file.read_row_groups(groups, columns=["vector"])["vector"].combine_chunks()
        lengths = set(np.diff(vectors.offsets.to_numpy()).tolist()) | {self._dimensions} - {0}
        if len(lengths) > 1:
            raise ProvenanceError(
                f"{self._folder} holds vectors of {sorted(lengths)!r} numbers, expected one length. Grow it "
                "again."
            )
        (self._dimensions,) = lengths
        return vectors.flatten().to_numpy().reshape(len(vectors), -1)

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.__getitem__, range(len(self)))


def vectors_by(
    extractor: Extractor, image_ids: Collection[str], feature_vectors: Path, raw_images: Path
) -> dict[str, np.ndarray]:
    """The vectors of some specimens by a certain extractor: read where an output's are by it, made where not.

    Args:
        extractor: Whose vectors are asked for.
        image_ids: Whose.
        feature_vectors: Output of `extract_features`, by any extractor.
        raw_images: The specimens that it is of.

    Returns:
        By image id, float32, shape (d,).
    """
    wanted = set(image_ids)
    blocks = vector_blocks(extractor, feature_vectors, raw_images, wanted)
    return {
        image_id: vector.copy()  # a view would keep its whole block
        for ids, vectors in blocks
        for image_id, vector in zip(ids, vectors, strict=True)
        if image_id in wanted
    }


def vector_blocks(
    extractor: Extractor,
    feature_vectors: Path,
    raw_images: Path,
    image_ids: Collection[str] | None = None,
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Ids and vectors by a certain extractor, a block at a time; memory holds one, however many there are.

    Args:
        extractor: Whose vectors are asked for.
        feature_vectors: Output of `extract_features`, by any extractor; where it is by this one, all of it is read.
        raw_images: The specimens that it is of; where the vectors must be made, they are made of these.
        image_ids: Whose are made, where they must be; all by default.

    Returns:
        Image ids, and float32 vectors of shape (n, d).
    """
    if read_about(feature_vectors)["sha256"] == extractor.sha256:
        path = feature_vectors / "vectors.parquet"
        with pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            for block in file.iter_batches(_BLOCK, columns=["image_id", "vector"]):
                ids = block["image_id"].to_pylist()
                yield ids, block["vector"].flatten().to_numpy().reshape(len(ids), -1)
        return
    rows = read_rows(raw_images, ["image_id", *SPECIMEN_COLUMNS])
    asked = (row for row in rows if image_ids is None or row["image_id"] in image_ids)
    for batch in in_batches(asked, EMBED_BATCH):
        yield (
            [row["image_id"] for row in batch],
            extractor.embed(_read_squares(batch, extractor.input_px)),
        )
