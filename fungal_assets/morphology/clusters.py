"""Specimens that look alike, found and explained.

Belongs here: the stage from feature vectors to clusters, its files, and the assignment of new pictures. The fits and
the choice among them are in `partition` and `density`, the space in `projection`, what a split is like in `splits`, the
drawing in `maps`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from fungal_assets.collection.decoding import SPECIMEN_COLUMNS, read_specimen
from fungal_assets.collection.parallel import map_in_order
from fungal_assets.errors import InputError
from fungal_assets.morphology.density import LEAST_SIZES, fit_density, fit_density_again, try_density
from fungal_assets.morphology.extractors import ABOUT_NAME
from fungal_assets.morphology.features import VectorBlocks, read_ids
from fungal_assets.morphology.maps import draw_map, draw_montage, lay_out
from fungal_assets.morphology.partition import (
    LEAST_CLUSTERS,
    MAX_TRIAL_POINTS,
    assign_points,
    choose_trial,
    draw_rows,
    fit_again,
    fit_centroids,
    judge_split,
    measure_returns,
    merge_halves,
    try_k,
)
from fungal_assets.morphology.projection import Projection, fit_projection, pick_rows, to_unit
from fungal_assets.morphology.splits import NEAR, Search, Split, find_creators, measure_traits, summarise
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import read_rows, write_table
from fungal_assets.store import Figures, write_atomically

LEAST_IMAGES_PER_CLUSTER = 3
MAX_TRIALS = 20
FARTHER = 5
MAX_LOOKED_AT, MAX_ON_MAP = 1_500, 600
TILE_PX = 128
ASSIGNMENTS = pa.schema([("image_id", pa.string()), ("cluster_id", pa.int64()), ("distance", pa.float64())])


def find_clusters(
    feature_vectors: Path,
    raw_images: Path,
    folder: Path,
    *,
    algorithm: str,
    min_clusters: int,
    max_clusters: int,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Find how many clusters the specimens form, and which.

    Args:
        feature_vectors: Output of `features.extract_features`.
        raw_images: The specimens that the vectors are of.
        folder: Where `assignments.parquet`, `clusters.json`, `centroids.npy`, `projection.npz`,
            `montage.webp` and `map.png` go, and `extractor.json`, which says whose space it is.
        algorithm: `kmeans`, round clusters of any number; or `hdbscan`, dense ones of any shape.
        min_clusters: Fewest clusters that are tried, if there are images enough for so many.
        max_clusters: Most clusters that are tried, as far as there are images for them; the same number as the fewest
            gives that number.
        seed: Seed of everything drawn.
        tell: Told how far it is.

    Returns:
        `images`, `clusters`, `stability`, `weakest`, `silhouette`, `eta2_colour`, `eta2_shape`, `smallest` and
        `largest`.

    Raises:
        InputError: The algorithm is none of the two; there are too few images, or too few different ones, for two
            clusters; or the images have no such number of dense places.
    """
    from threadpoolctl import threadpool_limits

    search = _find_search(algorithm)
    ids, blocks = read_ids(feature_vectors), VectorBlocks(feature_vectors)
    with threadpool_limits(1):  # sums over threads come in any order; one thread keeps the result the same
        ks = _list_ks(len(ids), _count_distinct(blocks), min_clusters, max_clusters)
        projection = fit_projection(pick_rows(blocks, len(ids), seed))
        points = np.concatenate([projection.project(block) for block in blocks])
        found = search(points, ks, seed, tell)
        split = _order(ids, points, found.labels, found.centroids)
        pictures = _read_pictures(raw_images, split, seed, tell)
        traits = measure_traits(split, pictures, seed)
        creators = find_creators(raw_images, split)
        returns = measure_returns(split.labels[found.rows], found.labelings, len(split.centroids))
        _draw(split, pictures, traits.colour_names, folder, seed)
    shutil.copyfile(feature_vectors / ABOUT_NAME, folder / ABOUT_NAME)
    projection.save(folder / "projection.npz")
    np.save(folder / "centroids.npy", split.centroids)
    write_table(folder / "assignments.parquet", _assignment_rows(split), ASSIGNMENTS)
    summary = {"algorithm": algorithm, "seed": seed, **summarise(split, found, traits, creators, returns)}
    write_atomically(folder / "clusters.json", json.dumps(summary, indent=1))
    sizes = [cluster["size"] for cluster in summary["clusters"]]
    shown = {
        name: summary[name] for name in ("stability", "weakest", "silhouette", "eta2_colour", "eta2_shape")
    }
    return {
        "images": len(ids),
        "clusters": summary["k"],
        **shown,
        "smallest": min(sizes),
        "largest": max(sizes),
    }


def assign(clusters: Path, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cluster that new pictures belong to.

    Args:
        clusters: Output of `find_clusters`.
        vectors: Feature vectors by the same extractor, float, shape (n, d).

    Returns:
        Cluster ids, int, shape (n,), and the cosine to every cluster's centre, float32, shape (n, k), -1 to
        1.
    """
    points = Projection.load(clusters / "projection.npz").project(vectors)
    return assign_points(points, np.load(clusters / "centroids.npy", allow_pickle=False))


def _count_distinct(blocks: Iterable[np.ndarray]) -> int:
    """How many rows of all blocks differ, each of shape (n, d)."""
    return len({hashlib.sha256(row.tobytes()).digest() for block in blocks for row in block + np.float32(0)})


def _list_ks(count: int, distinct: int, min_clusters: int, max_clusters: int) -> list[int]:
    """The numbers of clusters to try: all, or 20 spread evenly by ratio where there are more.

    Where the images, of which so many are `distinct`, are too few for `min_clusters`, fewer are tried.
    """
    if not LEAST_CLUSTERS <= min_clusters <= max_clusters:
        raise InputError(
            f"min_clusters is {min_clusters} and max_clusters {max_clusters}; expected 2 or more, the least "
            "first. Change one of them."
        )
    most = distinct // LEAST_IMAGES_PER_CLUSTER
    if most < LEAST_CLUSTERS:
        raise InputError(
            f"{count} images ({distinct} of them different) are too few for {LEAST_CLUSTERS} clusters; "
            f"expected at least {LEAST_IMAGES_PER_CLUSTER} different images for each, "
            f"{LEAST_IMAGES_PER_CLUSTER * LEAST_CLUSTERS} in all. Add pictures to the source."
        )
    min_clusters = min(min_clusters, max(LEAST_CLUSTERS, most // 2))
    spread = np.geomspace(min_clusters, min(max_clusters, most), MAX_TRIALS).round().astype(int)
    span = range(min_clusters, min(max_clusters, most) + 1)
    return list(span) if len(span) <= MAX_TRIALS else sorted(set(spread.tolist()))


def _find_search(algorithm: str) -> Callable[[np.ndarray, Sequence[int], int, Tell], Search]:
    if algorithm == "kmeans":
        return _search_ks
    if algorithm == "hdbscan":
        return _search_density
    raise InputError(
        f"the algorithm of clusters is {algorithm!r}; expected 'kmeans' or 'hdbscan'. Change clusters.algorithm."
    )


def _search_ks(points: np.ndarray, ks: Sequence[int], seed: int, tell: Tell) -> Search:
    """Fit the best of several numbers of clusters by k-means."""
    trials = [try_k(points, k, seed) for k in follow(ks, tell, "clusterings tried", len(ks))]
    chosen = choose_trial(trials)
    centroids = fit_centroids(points, chosen.k, seed, starts=10)
    labels, _ = assign_points(points, centroids)
    rows = draw_rows(len(points), MAX_TRIAL_POINTS, seed)
    labelings = fit_again(points[rows], chosen.k, seed)
    tried = f"of {ks[0]} to {ks[-1]} clusters tried" if len(ks) > 1 else "the only number tried"
    groups, together = merge_halves(labels[rows], labelings, chosen.k, least_k=ks[0])
    count = int(groups.max()) + 1
    if count == chosen.k:
        return Search(trials, tried, chosen, labels, centroids, rows, labelings)
    centroids = to_unit(np.stack([points[groups[labels] == group].mean(axis=0) for group in range(count)]))
    labels, _ = assign_points(points, centroids)
    joined = judge_split(points[rows], labels[rows], together, count, seed)
    return Search(trials, tried, joined, labels, centroids, rows, together, joined=chosen.k - count)


def _search_density(points: np.ndarray, ks: Sequence[int], seed: int, tell: Tell) -> Search:
    """Fit the best of several least sizes whose number of clusters lies within bounds, by HDBSCAN."""
    sizes = [size for size in LEAST_SIZES if size * LEAST_CLUSTERS <= len(points)]
    tried = [
        (try_density(points, size, seed), size) for size in follow(sizes, tell, "sizes tried", len(sizes))
    ]
    trials = [trial for trial, _ in tried if trial and ks[0] <= trial.k <= ks[-1]]
    if not trials:
        found = sorted({trial.k for trial, _ in tried if trial})
        raise InputError(
            f"the images have {' or '.join(map(str, found)) or 'no two'} dense places, expected {ks[0]} to {ks[-1]}. "
            "Change min_clusters or max_clusters, or take clusters.algorithm=kmeans."
        )
    chosen = choose_trial(trials)
    size = next(size for trial, size in tried if trial is chosen)
    labels, centroids = fit_density(points, size, seed)
    rows = draw_rows(len(points), MAX_TRIAL_POINTS, seed)
    labelings = fit_density_again(points[rows], size, seed)
    told = f"a number that {len(trials)} of {len(sizes)} least sizes bring within bounds"
    return Search(trials, told, chosen, labels, centroids, rows, labelings)


def _order(ids: list[str], points: np.ndarray, labels: np.ndarray, centroids: np.ndarray) -> Split:
    """The split with its clusters numbered by size; one without members is none."""
    sizes = np.bincount(labels, minlength=len(centroids))
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    numbers = np.empty(len(centroids), int)
    numbers[order] = np.arange(len(order))
    labels, centroids = numbers[labels], centroids[order]
    similarity = np.einsum("nc,nc->n", points, centroids[labels])
    return Split(ids, points, centroids, labels, 1 - similarity)


def _shown_rows(split: Split, cluster_id: int) -> list[int]:
    """Medoid, the members nearest to it, then members spread evenly out to the farthest."""
    members = split.members(cluster_id)
    rest = members[1 + NEAR :]
    steps = np.linspace(0, len(rest) - 1, min(FARTHER, len(rest))).round().astype(int)
    return [*members[: 1 + NEAR], *(rest[step] for step in steps)]


def _read_pictures(raw_images: Path, split: Split, seed: int, tell: Tell) -> dict[int, Image.Image]:
    """Squares of the specimens that are drawn, and of a sample that is measured, by row number."""
    count = len(split.ids)
    wanted = set(np.random.default_rng(seed).choice(count, min(count, MAX_LOOKED_AT), replace=False).tolist())
    wanted |= {row for cluster_id in range(len(split.centroids)) for row in _shown_rows(split, cluster_id)}
    numbers = {split.ids[row]: row for row in wanted}
    rows = (
        row for row in read_rows(raw_images, ["image_id", *SPECIMEN_COLUMNS]) if row["image_id"] in numbers
    )
    decoded = map_in_order(_decode_tile, rows)
    return {
        numbers[image_id]: tile for image_id, tile in follow(decoded, tell, "pictures looked at", len(wanted))
    }


def _decode_tile(row: dict[str, Any]) -> tuple[str, Image.Image]:
    return row["image_id"], read_specimen(row, TILE_PX)


def _draw(
    split: Split, pictures: dict[int, Image.Image], colour_names: Sequence[str], folder: Path, seed: int
) -> None:
    shown = [_shown_rows(split, cluster_id) for cluster_id in range(len(split.centroids))]
    sizes = np.bincount(split.labels)
    notes = enumerate(zip(sizes, colour_names, strict=True))
    labels = [f"{cluster_id}\n{size} images\n{name}" for cluster_id, (size, name) in notes]
    montage = draw_montage([[pictures[row] for row in rows] for rows in shown], labels)
    montage.save(folder / "montage.webp", quality=85)
    medoids = [rows[0] for rows in shown]
    others = [row for row in sorted(pictures) if row not in set(medoids)]
    rows = [*others[: MAX_ON_MAP - len(medoids)], *medoids]
    places = lay_out(split.points[rows], seed)
    chart = draw_map([pictures[row] for row in rows], places, split.labels[rows])
    chart.save(folder / "map.png")


def _assignment_rows(split: Split) -> Iterable[dict[str, Any]]:
    for image_id, label, distance in zip(split.ids, split.labels, split.distances, strict=True):
        yield {"image_id": image_id, "cluster_id": int(label), "distance": float(distance)}
