"""Whether each species is itself: its pictures lie nearest to its own cluster of real specimens.

Belongs here: the tuned model's pictures of the species prompts against the clusters. Control prompts are
judged in `forgetting`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fungal_assets.errors import InputError
from fungal_assets.galleries.planning import TUNED
from fungal_assets.galleries.reading import embed_pictures
from fungal_assets.morphology.projection import to_unit


def recognise_species(gallery: Path, rows: Sequence[Mapping[str, Any]], clusters: Path) -> dict[str, Any]:
    """Assign every picture of a species prompt to a cluster, by the extractor that made the clusters; see `likeness`.

    Args:
        gallery: Folder of the pictures.
        rows: The gallery's rows.
        clusters: Folder of the clusters.

    Returns:
        What `recognition.json` holds: `species_recognised` (the mean share over the species, 0 to 1),
        `chance` (the share that guessing would have, one in the number of clusters), `pictures`, and per
        species its share, its mean cosine to its own cluster's centre and the cluster that it was most taken
        for.

    Raises:
        InputError: A species has no cluster, or the clusters' extractor is not found.
        ProvenanceError: It is not recorded, or has other weights now.
    """
    from fungal_assets.morphology.extractors import recorded_extractor

    shown = [row for row in rows if row["kind"] == "species" and row["model"] == TUNED]
    own_clusters([row["species_id"] for row in shown], clusters)
    return recognise_vectors(shown, embed_pictures(gallery, shown, recorded_extractor(clusters)), clusters)


def recognise_vectors(
    rows: Sequence[Mapping[str, Any]], vectors: np.ndarray, clusters: Path
) -> dict[str, Any]:
    """The same of the feature vectors of pictures, float32, shape (n, d), by the extractor that made the clusters."""
    from fungal_assets.morphology.projection import Projection

    own = own_clusters([row["species_id"] for row in rows], clusters)
    points = Projection.load(clusters / "projection.npz").project(vectors)
    similarity = likeness(points, own, np.load(clusters / "centroids.npy", allow_pickle=False))
    return summarise(rows, own, similarity.argmax(axis=1), similarity)


def likeness(points: np.ndarray, own: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """How like each cluster every picture is, without what all pictures share, such as being painted softly.

    Args:
        points: Projected feature vectors, float, shape (n, c).
        own: int, shape (n,): the cluster that each should be in. Where there are two or more, the mean over them is
            brought onto the mean of their clusters.
        centres: Centres of the clusters, float, shape (k, c).

    Returns:
        Cosines about the mean of the centres, float, shape (n, k), -1 to 1.
    """
    asked, middle = np.unique(own), centres.mean(axis=0)
    if len(asked) > 1:
        painted = np.mean([points[own == cluster].mean(axis=0) for cluster in asked], axis=0)
        points = points - painted + centres[asked].mean(axis=0)
    return to_unit(points - middle) @ to_unit(centres - middle).T


def own_clusters(species_ids: Sequence[str], clusters: Path) -> np.ndarray:
    """The cluster of each species: species are numbered from 0 in the order of the cluster ids.

    Returns:
        int, shape (n,).

    Raises:
        InputError: There is no such cluster; all that are missing are named.
    """
    entries = json.loads((clusters / "clusters.json").read_text())["clusters"]
    cluster_ids = sorted(entry["cluster_id"] for entry in entries)
    numbers = [int(species_id.rsplit("-", 1)[1]) for species_id in species_ids]
    unknown = sorted(
        {name for name, number in zip(species_ids, numbers, strict=True) if number >= len(cluster_ids)}
    )
    if unknown:
        raise InputError(
            f"the prompts have the species {unknown!r}, but {clusters} has {len(cluster_ids)} clusters only. "
            f"Write the prompts again from these clusters: fungal grow --until prompts"
        )
    return np.array([cluster_ids[number] for number in numbers])


def summarise(
    rows: Sequence[Mapping[str, Any]], own: np.ndarray, found: np.ndarray, similarity: np.ndarray
) -> dict[str, Any]:
    """Shares per species and over all.

    Args:
        rows: The pictures' rows.
        own: int, shape (n,): the cluster that each should be in.
        found: int, shape (n,): the cluster that each is nearest to.
        similarity: float32, shape (n, k): cosine to each cluster's centre.
    """
    species_ids = list(dict.fromkeys(row["species_id"] for row in rows))
    entries = []
    for species_id in species_ids:
        mine = np.array([row["species_id"] == species_id for row in rows])
        cluster_id = int(own[mine][0])
        most, _ = Counter(found[mine].tolist()).most_common(1)[0]
        entries.append(
            {
                "species_id": species_id,
                "cluster_id": cluster_id,
                "pictures": int(mine.sum()),
                "recognised": round(float((found[mine] == cluster_id).mean()), 4),
                "similarity": round(float(similarity[mine, cluster_id].mean()), 4),
                "most_taken_for": int(most),
            }
        )
    shares = [entry["recognised"] for entry in entries]
    return {
        "species_recognised": round(float(np.mean(shares)), 4),
        "chance": round(1 / similarity.shape[1], 4),
        "pictures": len(rows),
        "species": entries,
    }


def chance_of_at_least(hits: int, trials: int, chance: float) -> float:
    """Probability of `hits` or more in `trials` independent guesses, each right with probability `chance`."""
    return sum(
        math.comb(trials, count) * chance**count * (1 - chance) ** (trials - count)
        for count in range(hits, trials + 1)
    )
