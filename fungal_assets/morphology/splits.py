"""A clustering of the specimens, and what it is like: sizes, colours, creators, and why so many clusters.

Belongs here: the split itself and its description in figures and a sentence. How it is found is in `partition` and
`density`; files and pictures of it are made in `clusters`.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
from fungal_assets.morphology.partition import LEAST_RETURN, Trial
from fungal_assets.shards import read_rows

NEAR = 5
"""How many of the members nearest to a medoid, and of those farthest off, are named."""


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


@dataclass(frozen=True)
class Search:
    """A fit, and what it was chosen from.

    Args:
        trials: All that were tried.
        tried: How many they were, in words.
        chosen: The one that was chosen.
        labels: int, shape (n,).
        centroids: float32, shape (k, c), unit rows.
        rows: Row numbers of the points that were fitted again.
        labelings: Labels of these by each fit to a part of them.
        joined: How many clusters were joined with another (see `partition.merge_halves`).
    """

    trials: Sequence[Trial]
    tried: str
    chosen: Trial
    labels: np.ndarray
    centroids: np.ndarray
    rows: np.ndarray
    labelings: Sequence[np.ndarray]
    joined: int = 0


@dataclass(frozen=True)
class SplitTraits:
    """What a split explains, and the colours of its clusters.

    Args:
        eta2_colour: Share of the variance in colour beyond chance.
        eta2_shape: Of that in outline.
        colour_names: One for each cluster.
        colour_mixes: float, shape (k, colours): shares of the basic colours of each.
    """

    eta2_colour: float
    eta2_shape: float
    colour_names: Sequence[str]
    colour_mixes: np.ndarray


def measure_traits(split: Split, pictures: Mapping[int, Image.Image], seed: int) -> SplitTraits:
    """Measure a split on pictures of some of its specimens, by row number."""
    rows = sorted(pictures)
    labels = split.labels[rows]
    small = [np.asarray(pictures[row].resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)) for row in rows]
    share = functools.partial(share_explained, labels=labels, seed=seed)
    return SplitTraits(
        eta2_colour=share(np.stack([describe_colour(pixels) for pixels in small])),
        eta2_shape=share(np.stack([describe_shape(pixels) for pixels in small])),
        colour_names=name_cluster_colours(small, labels, len(split.centroids)),
        colour_mixes=mix_cluster_colours(small, labels, len(split.centroids)),
    )


def find_creators(raw_images: Path, split: Split) -> list[dict[str, Any]]:
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


def summarise(
    split: Split,
    search: Search,
    traits: SplitTraits,
    creators: Sequence[Mapping[str, Any]],
    returns: np.ndarray,
) -> dict[str, Any]:
    """What `clusters.json` says.

    Args:
        split: The clustering.
        search: What it was chosen from.
        traits: What it explains.
        creators: Of `find_creators`.
        returns: How whole each cluster comes back, float, shape (k,), 0 to 1.
    """
    clusters = []
    for cluster_id, (colour_name, mix) in enumerate(
        zip(traits.colour_names, traits.colour_mixes, strict=True)
    ):
        members = split.members(cluster_id)
        clusters.append(
            {
                "cluster_id": cluster_id,
                "size": len(members),
                "stability": round(float(returns[cluster_id]), 4),
                "medoid_id": split.ids[members[0]],
                "member_ids_near": [split.ids[row] for row in members[1 : 1 + NEAR]],
                "member_ids_far": [split.ids[row] for row in reversed(members[1 + NEAR :][-NEAR:])],
                "colour_name": colour_name,
                "colour_entropy": round(entropy_of(mix), 4),
                "main_colour": COLOUR_NAMES[int(mix.argmax())],
                "main_colour_share": round(float(mix.max()), 4),
                **creators[cluster_id],
            }
        )
    chosen = search.chosen
    smallest = min(cluster["size"] for cluster in clusters)
    return {
        "k": len(clusters),
        "why": explain(search, traits, smallest=smallest),
        "silhouette": round(chosen.silhouette, 4),
        "stability": round(chosen.stability, 4),
        "weakest": round(chosen.weakest, 4),
        "eta2_colour": round(traits.eta2_colour, 4),
        "eta2_shape": round(traits.eta2_shape, 4),
        "candidates": [
            {name: value for name, value in asdict(trial).items() if name != "is_sane"}
            for trial in search.trials
        ],
        "clusters": clusters,
    }


def explain(search: Search, traits: SplitTraits, *, smallest: int) -> str:
    """Say in a sentence or two why there are so many clusters, and what they are not."""
    chosen = search.chosen
    found = f"agreement {chosen.stability:.2f} of 1, the weakest cluster {chosen.weakest:.2f}"
    if search.joined:
        reason = (
            f"of {chosen.k + search.joined}, {search.joined} came back only together with another and is one with it; "
            f"now {'every cluster comes' if chosen.weakest >= LEAST_RETURN else 'not every cluster comes'} back when a "
            f"fifth of the images is left out ({found}, {LEAST_RETURN:g} wanted)"
        )
    elif chosen.weakest >= LEAST_RETURN:
        reason = (
            "it is the finest split of which every cluster comes back when a fifth of the images is left out, of those "
            f"that are nearly as tight as any ({found}, {LEAST_RETURN:g} wanted)"
        )
    else:
        is_tiny_passed_over = chosen.is_sane and not all(trial.is_sane for trial in search.trials)
        aside = " without a tiny cluster" if is_tiny_passed_over else ""
        reason = (
            f"of no split{aside} do all clusters come back when a fifth of the images is left out, so that their "
            f"borders are partly chance, and this one holds best ({found}, {LEAST_RETURN:g} wanted)"
        )
    caution = "" if chosen.is_sane else ", although that is very few for a species"
    return (
        f"{chosen.k} clusters, {search.tried}: {reason}, and the smallest holds {smallest} images{caution}. Beyond "
        f"chance they account for {max(0, traits.eta2_colour):.0%} of the differences in colour and "
        f"{max(0, traits.eta2_shape):.0%} of those in outline."
    )
