"""The figures of a species: how far its pictures are itself, new, varied, its own and free of flaws.

Belongs here: pictures that were looked at, and vectors, to numbers and the names of faults. Reading and drawing do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fungal_assets.galleries.copies import Original
from fungal_assets.galleries.distances import floors, mean_distance, mmd_interval, squared_mmd
from fungal_assets.galleries.flaws import Flaws, has_grid
from fungal_assets.galleries.novelty import find_neighbour, measure_reaches
from fungal_assets.galleries.originals import Originals
from fungal_assets.galleries.recognition import chance_of_at_least, likeness, own_clusters

BY_HEART = "the model paints training images by heart"
ON_A_GRID = "the model paints blocks"
CHANCE_LEVEL = 0.05
MOST_COMPARED = 100
Floors = tuple[float, float] | None
FAULTS = {
    "is_itself": "not itself",
    "is_new": "like another cluster",
    "is_varied": "hardly varied",
    "copies": "copied",
    "pixelated": "made of blocks",
    "blank": "blank",
}


@dataclass(frozen=True)
class Looked:
    """One picture of the gallery as the report sees it."""

    row: Mapping[str, Any]
    original: Original
    flaws: Flaws


def measure_species(
    looked: Sequence[Looked],
    vectors: np.ndarray,
    originals: Originals,
    clusters: Path,
    min_variety: float,
    spoilt_by: str | None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The figures of every species, the worst first, and what each was taken for.

    Args:
        looked: Pictures of species prompts.
        vectors: Their vectors, float32, shape (n, d), unit rows.
        originals: The real images.
        clusters: The clusters.
        min_variety: As of `report_species`.
        spoilt_by: What is wrong with all pictures, as `find_spoiler` has it, so that none are judged for variety.
    """
    from fungal_assets.morphology.projection import Projection

    projection = Projection.load(clusters / "projection.npz")
    centres = np.load(clusters / "centroids.npy", allow_pickle=False)
    names = [each.row["species_id"] for each in looked]
    own = own_clusters(names, clusters)
    similarity = likeness(projection.project(vectors), own, centres)
    taken_for = similarity.argmax(axis=1)
    real_ids = sorted(originals.vectors)
    numbers = dict(zip(real_ids, own_clusters(real_ids, clusters).tolist(), strict=True))
    reaches = measure_reaches(
        {numbers[name]: projection.project(originals.vectors[name]) for name in real_ids}, centres
    )
    found, counts = [], []
    for name in dict.fromkeys(names):
        mine = np.array([each == name for each in names])
        cluster_id, real = numbers[name], originals.vectors[name]
        flaws = count_flaws([each for each in looked if each.row["species_id"] == name])
        of_real = floors(real, int(mine.sum()), seed=0)
        counts.append(np.bincount(taken_for[mine], minlength=len(centres)).tolist())
        found.append(
            {
                "species_id": name,
                "cluster_id": cluster_id,
                "text": next(each.row["text"] for each in looked if each.row["species_id"] == name),
                "pictures": int(mine.sum()),
                **_identity(taken_for[mine], cluster_id, len(centres)),
                **_novelty(similarity[mine], cluster_id, reaches),
                **_variety(
                    vectors[mine], real, of_real, min_variety, spoilt_by or _spoiler_of(flaws, mine.sum())
                ),
                **_kid(vectors[mine], name, of_real, originals.vectors),
                **flaws,
            }
        )
    confusion = {
        "species": [entry["species_id"] for entry in found],
        "texts": [entry["text"] for entry in found],
        "own": [entry["cluster_id"] for entry in found],
        "clusters": len(centres),
        "counts": counts,
    }
    for entry in found:
        entry["faults"] = [words for key, words in FAULTS.items() if is_faulty(entry, key)]
    return sorted(found, key=lambda entry: (-len(entry["faults"]), entry["recognised"])), confusion


def is_faulty(entry: Mapping[str, Any], key: str) -> bool:
    """A claim that does not hold, or a count that is not zero; what could not be measured is no fault."""
    return entry[key] is False if key.startswith("is_") else entry[key] > 0


def is_cause(entry: Mapping[str, Any], key: str) -> bool:
    """A fault that follows from no other: what is like another cluster lacks variety for want of a form of its own."""
    return is_faulty(entry, key) and not (key == "is_varied" and is_faulty(entry, "is_new"))


def find_spoiler(copied_share: float, max_copied_share: float, grid: float | None) -> str | None:
    """A flaw of the model that makes pictures of one name alike; None of a model whose want of variety is its own.

    Only the surest copies are told (`copies`). A model that paints some for sure paints others by heart too, so that
    what follows from it is not told of single species.
    """
    if copied_share > max_copied_share:
        return BY_HEART
    return ON_A_GRID if has_grid(grid) else None


def _spoiler_of(flaws: Mapping[str, int], pictures: int) -> str | None:
    """A flaw of most pictures of one species, whose figures then are those of the flaw."""
    return next(
        (
            f"most of its pictures are {FAULTS[key]}"
            for key in ("pixelated", "blank")
            if flaws[key] > pictures / 2
        ),
        None,
    )


def _identity(taken_for: np.ndarray, own: int, clusters: int) -> dict[str, Any]:
    hits, count = int((taken_for == own).sum()), len(taken_for)
    luck = chance_of_at_least(hits, count, 1 / clusters)
    return {
        "recognised": round(hits / count, 4),
        "luck": round(luck, 6),
        "is_itself": luck < CHANCE_LEVEL,
        "most_taken_for": int(Counter(taken_for.tolist()).most_common(1)[0][0]),
    }


def _novelty(similarity: np.ndarray, own: int, reaches: Mapping[int, float]) -> dict[str, Any]:
    neighbour = find_neighbour(similarity, own, reaches)
    distances = [round(float(each), 4) for each in 1 - similarity.mean(axis=0)]
    if neighbour is None:
        return {
            "nearest_other": None,
            "distance_to_other": None,
            "reach": None,
            "is_new": True,
            "distances": distances,
        }
    return {
        "nearest_other": neighbour.cluster_id,
        "distance_to_other": round(neighbour.distance, 4),
        "reach": round(neighbour.reach, 4),
        "is_new": neighbour.is_apart,
        "distances": distances,
    }


def _variety(
    painted: np.ndarray, real: np.ndarray, of_real: Floors, min_variety: float, spoilt_by: str | None
) -> dict[str, Any]:
    """How varied; where that follows from another flaw it is measured and not judged."""
    if len(painted) < 2 or len(real) < 2:
        too_few = "there are too few pictures"
        return {"variety": None, "variety_floor": None, "is_varied": None, "unjudged": too_few}
    variety = mean_distance(painted) / max(mean_distance(real), 1e-9)
    return {
        "variety": round(variety, 4),
        "variety_floor": round(of_real[1], 4) if of_real else None,
        "is_varied": None if spoilt_by else variety >= min_variety,
        "unjudged": spoilt_by,
    }


def _kid(painted: np.ndarray, name: str, of_real: Floors, real: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The kernel distance to the species' own real images, what halves of these have, and what other species have."""
    own = real[name]
    if len(painted) < 2 or len(own) < 2:
        return {"kid": None, "kid_interval": None, "kid_floor": None, "kid_of_others": None}
    others = [
        squared_mmd(rows[:MOST_COMPARED], own[:MOST_COMPARED])
        for other, rows in real.items()
        if other != name and len(rows) > 1
    ]
    return {
        "kid": round(squared_mmd(painted, own), 4),
        "kid_interval": [round(each, 4) for each in mmd_interval(painted, own, seed=0)],
        "kid_floor": round(of_real[0], 4) if of_real else None,
        "kid_of_others": round(float(np.median(others)), 4) if others else None,
    }


def count_flaws(looked: Sequence[Looked]) -> dict[str, int]:
    """How many of some pictures are copies, made of blocks, and blank."""
    return {
        "copies": sum(each.original.is_copied for each in looked),
        "pixelated": sum(each.flaws.is_pixelated for each in looked),
        "blank": sum(each.flaws.is_blank for each in looked),
    }
