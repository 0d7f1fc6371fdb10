"""One feature vector for every specimen, and the table that holds them.

Belongs here: running an extractor over the specimens, and reading the vectors back. What an extractor is, stands in
`extractors`.

Vectors are kept in parts while they are made, so that a stopped run makes only what is not whole; at the end the parts
become one table. Neither holds more than a part in memory, however many specimens there are. The parts of a large
collection may be made by the machines of a cluster (`compute`), each by one that sees the store.
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fungal_assets import compute
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
"""So many images make a part: what a stopped run may lose, memory holds, and a worker of a cluster makes at once."""
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
    images = _join_parts(_list_parts(parts, count_rows(raw_images)), folder / "vectors.parquet")
    write_atomically(folder / ABOUT_NAME, json.dumps(describe_extractor(found), indent=1))
    twins = link_twins(raw_images, folder)
    shutil.rmtree(parts.parent)
    return {"images": images, "dimensions": found.dimensions, "extractor": found.name, **twins}


def _fill_parts(raw_images: Path, parts: Path, extractor: Extractor, batch_size: int, tell: Tell) -> None:
    """Write the parts that are not there yet: in this process, or one by one where a cluster is asked for."""
    parts.mkdir(parents=True, exist_ok=True)
    count = count_rows(raw_images)
    missing = [
        number
        for number, path in enumerate(_list_parts(parts, count))
        if not _is_whole(path, _rows_of(number, count))
    ]
    fill = functools.partial(_fill, raw_images, parts, batch_size=batch_size, part_images=PART_IMAGES)
    if not missing:
        return
    if compute.ray_address() is None:
        done = count - sum(_rows_of(number, count) for number in missing)
        fill(
            missing,
            extractor=extractor,
            tick=Ticker(tell, "feature vectors", count, done=done).tick,
            done=done,
        )
        return
    compute.map(
        functools.partial(_fill_elsewhere, fill, extractor.name),
        missing,
        processes=1,
        name=lambda number: f"feature vectors from image {number * PART_IMAGES} on",
        tell=tell,
    )


def _fill_elsewhere(fill: Callable[..., None], extractor_name: str, number: int) -> None:
    """Write one part on a worker of a cluster, which has one thread and loads the extractor itself."""
    fill([number], extractor=find_extractor(extractor_name), map_batches=map)


def _fill(
    raw_images: Path,
    parts: Path,
    numbers: Sequence[int],
    *,
    extractor: Extractor,
    batch_size: int,
    part_images: int,
    tick: Callable[[int], object] = lambda _: None,
    done: int = 0,
    map_batches: Callable[..., Iterable[Any]] | None = None,
) -> None:
    """Write the parts of these ascending numbers, each of `part_images` specimens; tells how many are done."""
    first, wanted = numbers[0] * part_images, set(numbers)
    rows = enumerate(read_rows(raw_images, ["image_id", *SPECIMEN_COLUMNS], start=first), first)
    within = itertools.takewhile(lambda pair: pair[0] // part_images <= numbers[-1], rows)
    batches = (
        (number, batch)
        for number, pairs in itertools.groupby(within, lambda pair: pair[0] // part_images)
        if number in wanted
        for batch in in_batches((row for _, row in pairs), batch_size)
    )
    embed = functools.partial(_embed_of_part, extractor=extractor, classifier=_classifier_beside(extractor))
    tables = (map_batches or map_in_order)(embed, batches)
    for number, found in itertools.groupby(tables, lambda pair: pair[0]):
        made = []
        for _, table in found:
            made.append(table)
            done += table.num_rows
            tick(done)
        path = parts / _part_name(number)
        temporary = path.with_name(f".{path.name}")
        pq.write_table(pa.concat_tables(made), temporary, compression="NONE")
        temporary.replace(path)


def _list_parts(parts: Path, count: int) -> list[Path]:
    """Where the parts of so many specimens lie, or will, in order."""
    return [parts / _part_name(number) for number in range(-(-count // PART_IMAGES))]


def _rows_of(number: int, count: int) -> int:
    """How many of `count` specimens the part of that number has."""
    return min(PART_IMAGES, count - number * PART_IMAGES)


def _is_whole(path: Path, expected_rows: int) -> bool:
    """Whether a part is there, and as long as it should be."""
    return path.exists() and pq.read_metadata(path).num_rows == expected_rows


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


def _embed_of_part(
    numbered: tuple[int, list[dict[str, Any]]], *, extractor: Extractor, classifier: EfficientNetLite0
) -> tuple[int, pa.Table]:
    number, rows = numbered
    return number, _embed_batch(rows, extractor=extractor, classifier=classifier)


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
        ids = iter(read_ids(feature_vectors))
        for vectors in VectorBlocks(feature_vectors, _BLOCK):
            yield list(itertools.islice(ids, len(vectors))), vectors
        return
    rows = read_rows(raw_images, ["image_id", *SPECIMEN_COLUMNS])
    asked = (row for row in rows if image_ids is None or row["image_id"] in image_ids)
    for batch in in_batches(asked, EMBED_BATCH):
        yield (
            [row["image_id"] for row in batch],
            extractor.embed(_read_squares(batch, extractor.input_px)),
        )
