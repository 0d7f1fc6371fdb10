"""What must hold for feature vectors and clusters, each claim as one verdict about a folder."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from fungal_assets.morphology.extractors import read_about
from fungal_assets.shards import read_rows, read_table
from fungal_assets.verdicts import Verdict

MAX_LENGTH_ERROR = 1e-3
NAMED = 5


def check_vectors(feature_vectors: Path, raw_images: Path) -> Verdict:
    """Each specimen has exactly one feature vector, finite, of length 1 and of the extractor's dimensions."""
    table = pq.read_table(feature_vectors / "vectors.parquet")
    dimensions = read_about(feature_vectors)["dimensions"]
    lengths = table["vector"].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    numbers = table["vector"].combine_chunks().flatten().to_numpy()
    is_uniform = bool((lengths == dimensions).all())
    faulty = (
        _count_faulty(numbers.reshape(-1, dimensions)) if is_uniform else int((lengths != dimensions).sum())
    )
    strays = _count_strays(table["image_id"].to_pylist(), raw_images)
    finding = f"{len(lengths)} finite unit vectors of {dimensions} numbers, one for each specimen."
    if faulty or any(strays.values()):
        finding = (
            f"{faulty} vectors are not {dimensions} finite numbers of length 1; {_say(strays)}; expected one "
            "such vector for each specimen. Grow feature_vectors again."
        )
    return Verdict(not faulty and not any(strays.values()), finding, {"faulty": faulty, **strays})


def check_fungi(feature_vectors: Path, *, least: float, known: float) -> Verdict:
    """No picture is unlike a fungus, where the judge knows this kind of picture.

    Args:
        feature_vectors: Output of `extract_features`.
        least: Fungus probability under which a picture is named.
        known: Median probability of a collection whose kind of picture the classifier knows: photographs.
    """
    table = pq.read_table(feature_vectors / "vectors.parquet", columns=["image_id", "fungus_probability"])
    values = table["fungus_probability"].to_numpy()
    median = float(np.median(values))
    figures = {"median_fungus_probability": round(median, 3), "unlike": int((values < least).sum())}
    if median < known:
        finding = (
            f"The classifier, which learnt from photographs, does not know these pictures (median probability of a "
            f"fungus {median:.2f}, of photographs {known:g} and more): it says nothing about single ones."
        )
        return Verdict(True, finding, figures)
    order = np.argsort(values)[: figures["unlike"]]
    named = ", ".join(f"{table['image_id'][int(n)].as_py()} ({values[n]:.3f})" for n in order[:NAMED])
    finding = f"{len(values)} pictures, the median with a probability of {median:.2f} to show a fungus."
    if len(order):
        more = " ..." if len(order) > NAMED else ""
        finding = (
            f"{len(order)} of {len(values)} pictures may show no fungus: {named}{more}. "
            "Look at them; to leave out such pictures set raw_images.min_fungus_probability."
        )
    return Verdict(not len(order), finding, figures)


def check_assignments(clusters: Path, raw_images: Path) -> Verdict:
    """Every specimen is in exactly one cluster, and no cluster is empty."""
    rows, summary = read_table(clusters / "assignments.parquet"), _summary(clusters)
    strays = _count_strays([row["image_id"] for row in rows], raw_images)
    sizes = Counter(row["cluster_id"] for row in rows)
    empty = sorted(set(range(summary["k"])) - sizes.keys())
    unknown = sorted(sizes.keys() - set(range(summary["k"])))
    is_sound = not empty and not unknown and not any(strays.values())
    smallest = min(sizes.values(), default=0)
    finding = f"{len(rows)} specimens, each in one of {summary['k']} clusters of {smallest} or more."
    if not is_sound:
        finding = (
            f"{_say(strays)}; empty clusters: {empty!r}; unknown clusters: {unknown!r}; expected each "
            f"specimen in one of {summary['k']} clusters. Grow clusters again."
        )
    return Verdict(is_sound, finding, {"clusters": summary["k"], "empty": len(empty), **strays})


def check_stability(clusters: Path, *, least: float) -> Verdict:
    """Clusters come out much the same when a fifth of the images is left out.

    Args:
        clusters: Output of `clusters.find_clusters`.
        least: Lowest mean adjusted Rand index that passes, 0 to 1.
    """
    stability = _summary(clusters)["stability"]
    finding = (
        f"fits without a fifth of the images agree by {stability:.2f} of 1, expected {least:.2f} or more."
    )
    if stability < least:
        finding += " The clusters are partly chance: add pictures, or lower max_clusters."
    return Verdict(stability >= least, finding, {"stability": stability, "least": least})


def check_clusters_are_mixed(clusters: Path, *, most_of_a_colour: float, fewest: int) -> Verdict:
    """No cluster is one colour from edge to edge, and none is one creator's who made less than half of all.

    Args:
        clusters: Output of `clusters.find_clusters`.
        most_of_a_colour: Largest share of one basic colour in the whole pictures of a cluster, 0 to 1.
        fewest: Images from which on a cluster of a single creator is told.
    """
    found = _summary(clusters)["clusters"]
    one_colour = [one for one in found if one["main_colour_share"] > most_of_a_colour]
    one_creator = [
        one
        for one in found
        if one["size"] >= fewest and one["creator_share"] == 1 and one["creator_share_of_all"] < 0.5
    ]
    told = [
        f"cluster {one['cluster_id']} is {one['main_colour_share']:.0%} {one['main_colour']}"
        for one in one_colour
    ]
    told += [f"cluster {one['cluster_id']} is all by {one['creator']!r}" for one in one_creator]
    finding = (
        f"{len(found)} clusters, none of one colour (the most {max(one['main_colour_share'] for one in found):.0%}) "
        "or of one creator."
    )
    if told:
        finding = f"{'; '.join(told)}: such a species may be a ground or a camera. Look at the montage."
    return Verdict(not told, finding, {"of_one_colour": len(one_colour), "of_one_creator": len(one_creator)})


def check_colour_does_not_dominate(clusters: Path, *, most: float) -> Verdict:
    """Clusters are more than colours.

    Args:
        clusters: Output of `clusters.find_clusters`.
        most: Highest share of the colour variance, beyond chance, that clusters may explain, 0 to 1.
    """
    share = _summary(clusters)["eta2_colour"]
    finding = f"clusters explain {max(0.0, share):.0%} of the colour variance, expected {most:.0%} or less."
    if share > most:
        finding += " Look at the montage: species may be mere colours. Add pictures in other light or places."
    return Verdict(share <= most, finding, {"eta2_colour": share, "most": most})


def _summary(clusters: Path) -> dict[str, Any]:
    return json.loads((clusters / "clusters.json").read_text())


def _count_faulty(vectors: np.ndarray) -> int:
    lengths = np.linalg.norm(np.nan_to_num(vectors, nan=np.inf), axis=1)
    return int((~(np.abs(lengths - 1) < MAX_LENGTH_ERROR)).sum())


def _count_strays(ids: list[str], raw_images: Path) -> dict[str, int]:
    """How many specimens have no row, how many rows no specimen, and how many ids occur again."""
    expected = {row["image_id"] for row in read_rows(raw_images, ["image_id"])}
    return {
        "missing": len(expected - set(ids)),
        "foreign": len(set(ids) - expected),
        "repeated": len(ids) - len(set(ids)),
    }


def _say(strays: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in strays.items())
