"""Twins: pictures whose feature vectors are so close that they are most likely of one specimen, or one another's edit.

Belongs here: finding them, their groups, and reading these back. Copies of a picture, which its bytes or its perceptual
hash betray, were refused at admission already; twins are kept, and linked, so that whoever parts a collection in two
(to train on one half and to judge on the other) may part it by groups.

A group is what hangs together by links: two pictures whose cosine is `LEAST_COSINE` or more are linked. Cosines are
taken in square blocks, so that memory does not grow with the square of the collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from PIL import Image

from fungal_assets.collection.decoding import SPECIMEN_COLUMNS, read_specimen
from fungal_assets.morphology.extractors import read_about
from fungal_assets.morphology.features import VectorBlocks, read_ids
from fungal_assets.previews import contact_sheet
from fungal_assets.shards import read_rows, read_table, write_table
from fungal_assets.store import Figures

LEAST_COSINE: Mapping[str, float] = {"efficientnet-lite0": 0.9, "efficientnet-lite0-int8": 0.9}
"""By extractor, as measured (docs/log.md, benchmarks/twins.py)."""
UNMEASURED = 0.95
_EXACT_PAIRS = 2048
SHOWN_PAIRS, TILE_PX = 20, 96
_MARGIN = 1e-4
"""How much less the cosine of a pair may come out as float32."""
TWINS = pa.schema(
    [
        ("image_id", pa.string()),
        ("twin_id", pa.string()),
        ("cosine", pa.float64()),
        ("group_id", pa.string()),
    ]
)


class Blocks(Protocol):
    """Vectors, float32, a block of shape (n, d) at a time: a list of them, or `features.VectorBlocks` on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...

    def __iter__(self) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class Links:
    """Who is linked with whom.

    Args:
        nearest: Row of the nearest other picture that is near enough, int64 (n,); -1 where there is none.
        cosines: The cosine to it, float64 (n,); -1 where there is none.
        groups: The lowest row of each row's group, int64 (n,); its own where it has no twin.
    """

    nearest: np.ndarray
    cosines: np.ndarray
    groups: np.ndarray


def link_twins(raw_images: Path, folder: Path) -> Figures:
    """Write which pictures are twins, beside their vectors.

    Args:
        raw_images: The specimens, for the sheet.
        folder: What `features.extract_features` has filled so far; `twins.parquet` goes there, one row for each picture
            that has a twin: the nearest one, and the group; and `twins.webp`, the closest pairs, if there are any.

    Returns:
        `twins`, how many pictures have one, and `twin_groups`.
    """
    ids, name = read_ids(folder), read_about(folder)["name"]
    links = find_links(VectorBlocks(folder), LEAST_COSINE.get(name, UNMEASURED))
    rows = np.flatnonzero(links.nearest >= 0).tolist()
    write_table(folder / "twins.parquet", (_row(row, ids, links) for row in rows), TWINS)
    (folder / "twins.webp").unlink(missing_ok=True)
    if rows:
        _draw_pairs(raw_images, folder, ids, links)
    return {"twins": len(rows), "twin_groups": len(set(links.groups[rows].tolist()))}


def find_links(blocks: Blocks, least_cosine: float) -> Links:
    """The links between rows, and the groups that they make; two blocks are in memory at once.

    Args:
        blocks: Rows of length 1.
        least_cosine: From which cosine on two rows are linked, -1 to 1.
    """
    count = sum(map(len, blocks))
    nearest, cosines = np.full(count, -1, np.int64), np.full(count, -1.0)
    groups = np.arange(count)
    for first, second, found in _linked_pairs(blocks, least_cosine):
        for one, other in ((first, second), (second, first)):
            _keep_nearest(nearest, cosines, one, other, found)
        groups = _join_groups(groups, first, second)
    return Links(nearest, cosines, groups)


def _linked_pairs(blocks: Blocks, least_cosine: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows of the pairs that are linked, the lower first, and their cosines, block by block.

    Sums of float32 come out by the block and the machine; those that may count are taken anew as float64.
    """
    top = 0
    for index, upper in enumerate(blocks):
        left = top
        for other_index in range(index, len(blocks)):
            lower = upper if other_index == index else blocks[other_index]
            is_near = upper @ lower.T > least_cosine - _MARGIN
            if other_index == index:
                is_near = np.triu(is_near, 1)
            first, second = np.nonzero(is_near)
            for part in range(0, len(first), _EXACT_PAIRS):
                one, other = first[part : part + _EXACT_PAIRS], second[part : part + _EXACT_PAIRS]
                exact = np.einsum("nd,nd->n", upper[one].astype(np.float64), lower[other])
                is_linked = exact >= least_cosine
                if is_linked.any():
                    yield one[is_linked] + top, other[is_linked] + left, exact[is_linked]
            left += len(lower)
        top += len(upper)


def _keep_nearest(
    nearest: np.ndarray, cosines: np.ndarray, rows: np.ndarray, others: np.ndarray, found: np.ndarray
) -> None:
    """Note for each row the nearest of its others, the lower of two that are as near."""
    order = np.lexsort((others, -found, rows))
    rows, others, found = rows[order], others[order], found[order]
    is_first = np.concatenate([[True], rows[1:] != rows[:-1]])
    rows, others, found = rows[is_first], others[is_first], found[is_first]
    is_nearer = (found > cosines[rows]) | ((found == cosines[rows]) & (others < nearest[rows]))
    nearest[rows[is_nearer]], cosines[rows[is_nearer]] = others[is_nearer], found[is_nearer]


def _join_groups(groups: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The groups once the rows of `first` and `second` are linked; a group is called by its lowest row."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(groups)
    ends = (groups[first], groups[second])
    graph = coo_array((np.ones(len(first), np.int8), ends), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    lowest = np.full(labels.max() + 1, count, np.int64)
    np.minimum.at(lowest, labels, np.arange(count))
    return lowest[labels][groups]


def _row(row: int, ids: Sequence[str], links: Links) -> dict[str, str | float]:
    return {
        "image_id": ids[row],
        "twin_id": ids[links.nearest[row]],
        "cosine": round(float(links.cosines[row]), 6),
        "group_id": ids[links.groups[row]],
    }


def read_groups(feature_vectors: Path) -> dict[str, str]:
    """The group of every picture by image id: pictures of one group belong on one side of any split.

    Args:
        feature_vectors: Output of `features.extract_features`.

    Returns:
        For each image id that of a picture which stands for its group; its own where it has no twin.
    """
    ids = read_ids(feature_vectors)
    linked = {row["image_id"]: row["group_id"] for row in read_table(feature_vectors / "twins.parquet")}
    return {image_id: linked.get(image_id, image_id) for image_id in ids}


def _draw_pairs(raw_images: Path, folder: Path, ids: Sequence[str], links: Links) -> None:
    """The closest pairs side by side, each labelled by its cosine."""
    pairs = {
        tuple(sorted((row, int(links.nearest[row])))): float(links.cosines[row])
        for row in np.flatnonzero(links.nearest >= 0).tolist()
    }
    shown = sorted(pairs, key=lambda pair: (-pairs[pair], pair))[:SHOWN_PAIRS]
    wanted = {ids[row] for pair in shown for row in pair}
    tiles: dict[str, Image.Image] = {
        row["image_id"]: read_specimen(row, TILE_PX)
        for row in read_rows(raw_images, ["image_id", *SPECIMEN_COLUMNS])
        if row["image_id"] in wanted
    }
    labels = [text for pair in shown for text in (f"{pairs[pair]:.3f}", "")]
    pictures = [tiles[ids[row]] for pair in shown for row in pair]
    sheet = contact_sheet(pictures, columns=min(8, len(pictures)), labels=labels, tile_px=TILE_PX)
    sheet.save(folder / "twins.webp", quality=80)
