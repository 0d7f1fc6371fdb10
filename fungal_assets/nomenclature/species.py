"""Species: one invented common name and one Latin binomial for each cluster.

The names of a cluster are drawn with a seed of its medoid, so that the same clusters and seed give the same
names whatever else changes in the growth. Belongs here: measuring a cluster's colours and naming it. Its form, the
grammar, the Latin and the test of novelty stand in their own modules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fungal_assets.collection.decoding import read_specimen
from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.morphology.features import vectors_by
from fungal_assets.nomenclature.colours import COLOUR_TERMS, colour_shares, main_colours
from fungal_assets.nomenclature.grammar import coin_common_name
from fungal_assets.nomenclature.latin import coin_binomial
from fungal_assets.nomenclature.lexicon import Lexicon, read_lexicon
from fungal_assets.nomenclature.morphotypes import nearest_morphotypes
from fungal_assets.nomenclature.subjects import MEASURED_PX, find_subject
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import read_rows, read_table
from fungal_assets.store import Figures, write_atomically

MEASURED_MEMBERS = 24
_COLOUR_SHARE = 0.25
_FITTING_SHARE = 0.3


@dataclass(frozen=True)
class Species:
    """A cluster with an invented name.

    Args:
        species_id: `species-00` and on, in the order of the clusters.
        cluster_id: The cluster that it names.
        common_name: Two or three lower-case words, the head noun last.
        scientific_name: Genus and epithet.
        slug: The common name as a file name.
        morphotype: The form that it is most like, such as `"bolete"`.
        colour_names: Its main colours, basic terms, the greatest first.
        size: How many specimens it has.
    """

    species_id: str
    cluster_id: int
    common_name: str
    scientific_name: str
    slug: str
    morphotype: str
    colour_names: list[str]
    size: int


def name_species(
    clusters: Path,
    raw_images: Path,
    feature_vectors: Path,
    name_lexicon: Path,
    folder: Path,
    *,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Name every cluster; writes `species.json`.

    Args:
        clusters: A `clusters` output.
        raw_images: The `raw_images` output whose pictures the clusters hold.
        feature_vectors: The `feature_vectors` output that the clusters were found in.
        name_lexicon: A `name_lexicon` output.
        folder: Where the file goes.
        seed: Decides the names.
        tell: Progress.

    Raises:
        InputError: The lexicon has too few words for so many clusters.
    """
    found = sorted(
        json.loads((clusters / "clusters.json").read_text())["clusters"], key=lambda one: one["cluster_id"]
    )
    members = _nearest_members(read_table(clusters / "assignments.parquet"))
    shares = _measure_colours(raw_images, members, tell)
    forms = nearest_morphotypes(_vectors_of(members, feature_vectors, raw_images))
    species = _name_all(found, shares, forms, read_lexicon(name_lexicon), seed)
    write_atomically(
        folder / "species.json", json.dumps({"species": [asdict(one) for one in species]}, indent=1)
    )
    heads = {one.common_name.split()[-1] for one in species}
    return {"species": len(species), "head_words": len(heads), "specimens": sum(one.size for one in species)}


def read_species(species: Path) -> list[Species]:
    """Read a `species` output back, in the order of the clusters."""
    return [Species(**row) for row in json.loads((species / "species.json").read_text())["species"]]


def slug_of(name: str) -> str:
    """A name as a file name: `"widow's amber cap"` is `widows-amber-cap`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("'", "")).strip("-")


def _nearest_members(assignments: Iterable[Mapping[str, Any]]) -> dict[int, list[str]]:
    """Ids of the members nearest to each centroid, by cluster."""
    members: dict[int, list[str]] = {}
    for row in sorted(assignments, key=lambda row: (row["distance"], row["image_id"])):
        nearest = members.setdefault(row["cluster_id"], [])
        if len(nearest) < MEASURED_MEMBERS:
            nearest.append(row["image_id"])
    return members


def _measure_colours(
    raw_images: Path, members: Mapping[int, Sequence[str]], tell: Tell
) -> dict[int, dict[str, float]]:
    """Mean colour shares of the subjects of each cluster's members."""
    cluster_of = {image_id: cluster for cluster, ids in members.items() for image_id in ids}
    totals = {cluster: dict.fromkeys(COLOUR_TERMS, 0.0) for cluster in members}
    pictures = read_rows(raw_images, ["image", "image_id", "focus"])
    rows = (row for row in pictures if row["image_id"] in cluster_of)
    for row in follow(rows, tell, "measuring colours", len(cluster_of)):
        total = totals[cluster_of[row["image_id"]]]
        subject = find_subject(read_specimen(row, MEASURED_PX))
        for term, share in colour_shares(subject.lab[subject.mask]).items():
            total[term] += share / len(members[cluster_of[row["image_id"]]])
    return totals


def _vectors_of(
    members: Mapping[int, Sequence[str]], feature_vectors: Path, raw_images: Path
) -> dict[int, np.ndarray]:
    """Feature vectors of each cluster's members by the extractor of the morphotypes' references, float32 (n, 1280)."""
    asked = [image_id for own in members.values() for image_id in own]
    vectors = vectors_by(EfficientNetLite0(), asked, feature_vectors, raw_images)
    return {cluster: np.stack([vectors[image_id] for image_id in own]) for cluster, own in members.items()}


def _name_all(
    found: Sequence[Mapping[str, Any]],
    shares: Mapping[int, Mapping[str, float]],
    forms: Mapping[int, str],
    lexicon: Lexicon,
    seed: int,
) -> list[Species]:
    species: list[Species] = []
    for index, cluster in enumerate(found):
        own = shares[cluster["cluster_id"]]
        rng = Random(f"{seed}:{cluster['medoid_id']}")
        colours = main_colours(own, least_share=_COLOUR_SHARE)
        common = coin_common_name(
            rng,
            lexicon,
            fitting_colours=[term for term in colours if own[term] >= _FITTING_SHARE],
            morphotype=forms[cluster["cluster_id"]],
            used_names=[one.common_name for one in species],
            known=[name.common_name for name in lexicon.names],
        )
        binomial = coin_binomial(
            rng,
            measured_colours=colours,
            known=[name.scientific_name for name in lexicon.names],
            used={word for one in species for word in one.scientific_name.split()},
        )
        species_id, size = f"species-{index:02d}", int(cluster["size"])
        species.append(
            Species(
                species_id,
                cluster["cluster_id"],
                common,
                binomial,
                slug_of(common),
                forms[cluster["cluster_id"]],
                list(colours),
                size,
            )
        )
    return species
