"""Specimens that look alike, found and explained.

Belongs here: the stage from feature vectors to clusters, its files, and the assignment of new pictures. The
choice of k is in `partition`, the space in `projection`, the drawing in `maps`.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from fungal_assets.collection.decoding import read_square
from fungal_assets.collection.parallel import map_in_order
from fungal_assets.errors import InputError
from fungal_assets.morphology.descriptors import (
    COLOUR_NAMES,
    SIDE_PX,
    describe_colour,
    describe_shape,
    entropy_of,
    mix_cluster_colours,
    name_cluster_colours,
    share_explained,
)
from fungal_assets.morphology.extractors import ABOUT_NAME
from fungal_assets.morphology.features import read_vectors
from fungal_assets.morphology.maps import draw_map, draw_montage, lay_out
from fungal_assets.morphology.partition import (
    Trial,
    assign_points,
    choose_trial,
    find_stablest,
    fit_centroids,
    try_k,
)
from fungal_assets.morphology.projection import Projection, fit_projection
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import read_rows, write_table
from fungal_assets.store import Figures, write_atomically

LEAST_CLUSTERS = 2
LEAST_IMAGES_PER_CLUSTER = 3
MAX_TRIALS = 20
NEAR, FARTHER = 5, 5
MAX_LOOKED_AT, MAX_ON_MAP = 1_500, 600
TILE_PX = 128
ASSIGNMENTS = pa.schema([("image_id", pa.string()), ("cluster_id", pa.int64()), ("distance", pa.float64())])


@dataclass(frozen=True)
class Split:
    """A clustering of the specimens, the largest cluster first.

    Args:
        ids: Image ids.
        points: float32, shape (n, c), unit rows.
        centroids: float32, shape (k, c), unit rows.
        labels: int, shape (n,), 0 to k - 1.
        distances: float32, shape (n,): 1 - cosine to the own centre, 0 to 2.
    """

    ids: list[str]
    points: np.ndarray
    centroids: np.ndarray
    labels: np.ndarray
    distances: np.ndarray

    def members(self, cluster_id: int) -> list[int]:
        """Row numbers of a cluster's specimens, nearest to its centre first."""
        rows = np.flatnonzero(self.labels == cluster_id)
        return rows[np.argsort(self.distances[rows], kind="stable")].tolist()


def find_clusters(
    feature_vectors: Path,
    raw_images: Path,
    folder: Path,
    *,
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
        min_clusters: Fewest clusters that are tried, if there are images enough for so many.
        max_clusters: Most clusters that are tried, as far as there are images for them.
        seed: Seed of everything drawn.
        tell: Told how far it is.

    Returns:
        `images`, `clusters`, `stability`, `silhouette`, `eta2_colour`, `eta2_shape`, `smallest` and
        `largest`.

    Raises:
        InputError: There are too few images, or too few different ones, for two clusters.
    """
    from threadpoolctl import threadpool_limits

    ids, vectors = read_vectors(feature_vectors)
    with threadpool_limits(1):  # sums over threads come in any order; one thread keeps the result the same
        tried = _list_ks(vectors, min_clusters, max_clusters)
        projection = fit_projection(vectors, seed)
        points = projection.project(vectors)
        trials = [try_k(points, k, seed) for k in follow(tried, tell, "clusterings tried", len(tried))]
        chosen = choose_trial(trials)
        split = _split(ids, points, chosen.k, seed)
        pictures = _read_pictures(raw_images, split, seed, tell)
        traits = _measure_traits(split, pictures, seed)
        traits["creators"] = _main_creators(raw_images, split)
        _draw(split, pictures, traits["colour_names"], folder, seed)
    shutil.copyfile(feature_vectors / ABOUT_NAME, folder / ABOUT_NAME)
    projection.save(folder / "projection.npz")
    np.save(folder / "centroids.npy", split.centroids)
    write_table(folder / "assignments.parquet", _assignment_rows(split), ASSIGNMENTS)
    summary = _summarise(split, chosen, trials, traits, seed)
    write_atomically(folder / "clusters.json", json.dumps(summary, indent=1))
    sizes = [cluster["size"] for cluster in summary["clusters"]]
    shown = {name: summary[name] for name in ("stability", "silhouette", "eta2_colour", "eta2_shape")}
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


def _list_ks(vectors: np.ndarray, min_clusters: int, max_clusters: int) -> list[int]:
    """The numbers of clusters to try: all, or 20 spread evenly by ratio where there are more.

    Where the images are too few for `min_clusters`, fewer are tried.
    """
    if not LEAST_CLUSTERS <= min_clusters <= max_clusters:
        raise InputError(
            f"min_clusters is {min_clusters} and max_clusters {max_clusters}; expected 2 or more, the least "
            "first. Change one of them."
        )
    count, distinct = len(vectors), len(np.unique(vectors, axis=0))
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


def _split(ids: list[str], points: np.ndarray, k: int, seed: int) -> Split:
    centroids = fit_centroids(points, k, seed, starts=10)
    labels, _ = assign_points(points, centroids)
    sizes = np.bincount(labels, minlength=len(centroids))
    order = np.argsort(-sizes, kind="stable")
    centroids = centroids[order[sizes[order] > 0]]  # an empty cluster is none
    labels, similarity = assign_points(points, centroids)
    return Split(ids, points, centroids, labels, 1 - similarity[np.arange(len(labels)), labels])


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
    rows = (row for row in read_rows(raw_images, ["image", "image_id"]) if row["image_id"] in numbers)
    decoded = map_in_order(_decode_tile, rows)
    return {
        numbers[image_id]: tile for image_id, tile in follow(decoded, tell, "pictures looked at", len(wanted))
    }


def _decode_tile(row: dict[str, Any]) -> tuple[str, Image.Image]:
    return row["image_id"], read_square(row["image"]["bytes"], TILE_PX).image


def _measure_traits(split: Split, pictures: dict[int, Image.Image], seed: int) -> dict[str, Any]:
    """`eta2_colour` and `eta2_shape` of the split; `colour_names` and `colour_mixes`, one for each cluster."""
    rows = sorted(pictures)
    labels = split.labels[rows]
    small = [np.asarray(pictures[row].resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)) for row in rows]
    share = functools.partial(share_explained, labels=labels, seed=seed)
    return {
        "eta2_colour": share(np.stack([describe_colour(pixels) for pixels in small])),
        "eta2_shape": share(np.stack([describe_shape(pixels) for pixels in small])),
        "colour_names": name_cluster_colours(small, labels, len(split.centroids)),
        "colour_mixes": mix_cluster_colours(small, labels, len(split.centroids)),
    }


def _main_creators(raw_images: Path, split: Split) -> list[dict[str, Any]]:
    """Who made most of each cluster, their share of it, and their share of all: 0 where no creator is known."""
    creators = {row["image_id"]: row["creator"] for row in read_rows(raw_images, ["image_id", "creator"])}
    found: list[dict[str, Any]] = []
    overall = Counter(name for image_id in split.ids if (name := creators[image_id]))
    for cluster_id in range(len(split.centroids)):
        rows = split.members(cluster_id)
        counts = Counter(name for row in rows if (name := creators[split.ids[row]]))
        name, count = counts.most_common(1)[0] if counts else (None, 0)
        shares = {"creator_share": round(count / len(rows), 4)}
        found.append(
            {"creator": name, **shares, "creator_share_of_all": round(overall[name] / len(split.ids), 4)}
        )
    return found


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


def _summarise(
    split: Split, chosen: Trial, trials: Sequence[Trial], traits: dict[str, Any], seed: int
) -> dict[str, Any]:
    clusters = []
    for cluster_id, colour_name in enumerate(traits["colour_names"]):
        mix = traits["colour_mixes"][cluster_id]
        members = split.members(cluster_id)
        named = {
            "medoid_id": split.ids[members[0]],
            "member_ids_near": [split.ids[row] for row in members[1 : 1 + NEAR]],
        }
        mixed = {
            "colour_name": colour_name,
            "colour_entropy": round(entropy_of(mix), 4),
            "main_colour": COLOUR_NAMES[int(mix.argmax())],
            "main_colour_share": round(float(mix.max()), 4),
            **traits["creators"][cluster_id],
        }
        clusters.append({"cluster_id": cluster_id, "size": len(members), **named, **mixed})
    return {
        "k": len(clusters),
        "why": explain(chosen, trials, traits, smallest=min(cluster["size"] for cluster in clusters)),
        "seed": seed,
        "silhouette": round(chosen.silhouette, 4),
        "stability": round(chosen.stability, 4),
        "eta2_colour": round(traits["eta2_colour"], 4),
        "eta2_shape": round(traits["eta2_shape"], 4),
        "candidates": [
            {name: value for name, value in asdict(trial).items() if name != "is_sane"} for trial in trials
        ],
        "clusters": clusters,
    }


def explain(chosen: Trial, trials: Sequence[Trial], traits: dict[str, Any], *, smallest: int) -> str:
    """Say in a sentence or two why there are so many clusters, and what they are not."""
    best = find_stablest(trials)
    tried = (
        f"of {trials[0].k} to {trials[-1].k} clusters tried" if len(trials) > 1 else "the only number tried"
    )
    if chosen.k == best.k:
        reason = (
            f"no split holds better when a fifth of the images is left out "
            f"(agreement {chosen.stability:.2f} of 1)"
        )
    else:
        reason = (
            f"it is the finest split that holds nearly as well as the steadiest one, {best.k} clusters, when "
            f"a fifth of the images is left out (agreement {chosen.stability:.2f} against "
            f"{best.stability:.2f} of 1)"
        )
    caution = "" if chosen.is_sane else ", although that is very few for a species"
    return (
        f"{chosen.k} clusters, {tried}: {reason}, and the smallest holds {smallest} images{caution}. Beyond "
        f"chance they account for {max(0, traits['eta2_colour']):.0%} of the differences in colour and "
        f"{max(0, traits['eta2_shape']):.0%} of those in outline."
    )
