"""Species: one invented common name and one Latin binomial for each cluster.

The names of a cluster are drawn with a seed of its medoid, so that the same clusters and seed give the same names; a
cluster that goes on from one of an earlier growth (`persistence`) keeps its names, as long as they are still new and
true. Belongs here: measuring a cluster's colours and ground and naming it. Its form, the grammar, the Latin and the
test of novelty stand in their own modules.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fungal_assets.collection.decoding import SPECIMEN_COLUMNS, read_specimen
from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.morphology.features import vectors_by
from fungal_assets.nomenclature.attributes import find_habitat
from fungal_assets.nomenclature.colours import COLOUR_TERMS, colour_shares, main_colours
from fungal_assets.nomenclature.grammar import coin_common_name, reads_well
from fungal_assets.nomenclature.latin import Genera, coin_binomial, fits, may_be_said
from fungal_assets.nomenclature.lexicon import Lexicon, read_lexicon
from fungal_assets.nomenclature.morphotypes import likely_morphotypes, sure_nouns
from fungal_assets.nomenclature.novelty import KnownNames
from fungal_assets.nomenclature.persistence import match_clusters
from fungal_assets.nomenclature.places import word_place
from fungal_assets.nomenclature.subjects import MEASURED_PX, find_subject
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.shards import read_rows, read_table, write_table
from fungal_assets.store import Figures, write_atomically

MEASURED_MEMBERS = 24
_COLOUR_SHARE = 0.25
_HABITAT_SHARE = 0.6
"""Share of the measured members in one habitat from which on that is where the species grows."""
_KEPT_SHARE = 0.1
"""A kept name may say a colour that is less than a main one by now, but not one that is hardly there."""
_KEPT_LIKENESS = 2 / 3
"""A kept name may say a form that the cluster is less like than its likeliest, down to this share of the cosine: of
forms that are near each other now one, now the other is the likeliest while a collection grows."""
MEMBERS_NAME = "members.parquet"


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
        habitat: Where most of them are, such as `"in moss"`; None where they are in several places or that is not sure.
        form_noun: What it is called by its form, such as `"cup fungus"`; None where its form is not sure.
    """

    species_id: str
    cluster_id: int
    common_name: str
    scientific_name: str
    slug: str
    morphotype: str
    colour_names: list[str]
    size: int
    habitat: str | None = None
    form_noun: str | None = None

    def class_noun(self, of_all: str) -> str:
        """What it is, said after its name: by its form where that is sure, else what all species are.

        Args:
            of_all: What all species are; empty to say the name alone, whatever its form is.
        """
        return (of_all and self.form_noun) or of_all


@dataclass(frozen=True)
class RealNames:
    """What a new name is held against.

    Args:
        common: Common names.
        genera: Genera.
    """

    common: KnownNames
    genera: Genera

    @classmethod
    def of(cls, lexicon: Lexicon) -> RealNames:
        """The names of a lexicon, and all genera that ship."""
        return cls(
            KnownNames(name.common_name for name in lexicon.names),
            Genera(name.scientific_name.split()[0] for name in lexicon.names),
        )


def name_species(
    clusters: Path,
    raw_images: Path,
    feature_vectors: Path,
    name_lexicon: Path,
    folder: Path,
    *,
    min_form_likeness: float,
    seed: int,
    earlier: Path | None = None,
    tell: Tell = stay_silent,
) -> Figures:
    """Name every cluster; writes `species.json`, and `members.parquet` for the growth that comes after.

    Args:
        clusters: A `clusters` output.
        raw_images: The `raw_images` output whose pictures the clusters hold.
        feature_vectors: The `feature_vectors` output that the clusters were found in.
        name_lexicon: A `name_lexicon` output.
        folder: Where the files go.
        min_form_likeness: How like a form a cluster must be to be called by it, a cosine.
        seed: Decides the new names.
        earlier: An earlier `species` output whose species keep their names; None names all anew.
        tell: Progress.

    Raises:
        InputError: The lexicon has too few words for so many clusters.
    """
    found = sorted(
        json.loads((clusters / "clusters.json").read_text())["clusters"], key=lambda one: one["cluster_id"]
    )
    assignments, lexicon = read_table(clusters / "assignments.parquet"), read_lexicon(name_lexicon)
    members = _nearest_members(assignments)
    shares, habitats = _measure(raw_images, members, tell)
    vectors = _vectors_of(members, feature_vectors, raw_images)
    likely = likely_morphotypes(vectors, least_share=_KEPT_LIKENESS)
    nouns = sure_nouns(vectors, min_likeness=min_form_likeness)
    forms = {cluster: own[0] for cluster, own in likely.items()}
    persisting = find_persisting(earlier, _members_by(assignments, "cluster_id")) if earlier else {}
    real = RealNames.of(lexicon)
    kept = {
        cluster: one
        for cluster, one in persisting.items()
        if _still_holds(one, shares[cluster], likely[cluster], lexicon, real)
    }
    species = _name_all(found, shares, forms, lexicon, real, seed, kept)
    species = [
        replace(one, habitat=habitats[one.cluster_id], form_noun=nouns[one.cluster_id]) for one in species
    ]
    write_atomically(
        folder / "species.json", json.dumps({"species": [asdict(one) for one in species]}, indent=1)
    )
    _write_members(folder / MEMBERS_NAME, species, assignments)
    tell(f"species: {len(species)}, of which {len(kept)} keep an earlier name")
    return {
        "species": len(species),
        "names_kept": len(kept),
        "head_words": len({one.common_name.split()[-1] for one in species}),
        "called_by_form": sum(one.form_noun is not None for one in species),
        "specimens": sum(one.size for one in species),
    }


def find_persisting(earlier: Path, now: Mapping[int, frozenset[str]]) -> dict[int, Species]:
    """The earlier species that clusters go on from, by cluster; clusters that go on from none are left out.

    Args:
        earlier: An earlier `species` output.
        now: Ids of the members of each cluster.
    """
    before = _members_by(read_table(earlier / MEMBERS_NAME), "species_id")
    named = {one.species_id: one for one in read_species(earlier)}
    return {cluster: named[species_id] for cluster, species_id in match_clusters(before, now).items()}


def count_shared_images(earlier: Iterable[Path], clusters: Path) -> list[int]:
    """How many images each of the earlier `species` outputs has in common with a `clusters` output."""
    now = {row["image_id"] for row in read_table(clusters / "assignments.parquet")}
    return [sum(row["image_id"] in now for row in read_table(one / MEMBERS_NAME)) for one in earlier]


def read_species(species: Path) -> list[Species]:
    """Read a `species` output back, in the order of the clusters; older code wrote other fields and fewer."""
    rows = json.loads((species / "species.json").read_text())["species"]
    names = [field.name for field in fields(Species)]
    return [Species(**{name: row[name] for name in names if name in row}) for row in rows]


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


def _measure(
    raw_images: Path, members: Mapping[int, Sequence[str]], tell: Tell
) -> tuple[dict[int, dict[str, float]], dict[int, str | None]]:
    """Mean colour shares of the subjects of each cluster's members, and where most of these are."""
    cluster_of = {image_id: cluster for cluster, ids in members.items() for image_id in ids}
    totals = {cluster: dict.fromkeys(COLOUR_TERMS, 0.0) for cluster in members}
    places: dict[int, Counter[str | None]] = {cluster: Counter() for cluster in members}
    pictures = read_rows(raw_images, ["image_id", "habitat", "substrate", *SPECIMEN_COLUMNS])
    rows = (row for row in pictures if row["image_id"] in cluster_of)
    for row in follow(rows, tell, "measuring colours", len(cluster_of)):
        cluster = cluster_of[row["image_id"]]
        subject = find_subject(read_specimen(row, MEASURED_PX))
        for term, share in colour_shares(subject.lab[subject.mask]).items():
            totals[cluster][term] += share / len(members[cluster])
        told = word_place(habitat=row.get("habitat"), substrate=row.get("substrate"))
        places[cluster][told or find_habitat(subject)] += 1
    return totals, {cluster: _usual(found) for cluster, found in places.items()}


def _usual(places: Counter[str | None]) -> str | None:
    """The place of most, or None."""
    place, count = places.most_common(1)[0]
    return place if count >= _HABITAT_SHARE * places.total() else None


def _vectors_of(
    members: Mapping[int, Sequence[str]], feature_vectors: Path, raw_images: Path
) -> dict[int, np.ndarray]:
    """Feature vectors of each cluster's members by the extractor of the morphotypes' references, float32 (n, 1280)."""
    asked = [image_id for own in members.values() for image_id in own]
    vectors = vectors_by(EfficientNetLite0(), asked, feature_vectors, raw_images)
    return {cluster: np.stack([vectors[image_id] for image_id in own]) for cluster, own in members.items()}


def _members_by(rows: Iterable[Mapping[str, Any]], owner: str) -> dict[Any, frozenset[str]]:
    """Ids of the images of each owner, a cluster or a species."""
    members: dict[Any, set[str]] = {}
    for row in rows:
        members.setdefault(row[owner], set()).add(row["image_id"])
    return {name: frozenset(ids) for name, ids in members.items()}


def _write_members(path: Path, species: Sequence[Species], assignments: Iterable[Mapping[str, Any]]) -> None:
    owners = {one.cluster_id: one.species_id for one in species}
    rows = [
        {"species_id": owners[row["cluster_id"]], "image_id": row["image_id"]}
        for row in assignments
        if row["cluster_id"] in owners
    ]
    write_table(path, sorted(rows, key=lambda row: row["image_id"]))


def _still_holds(
    one: Species, shares: Mapping[str, float], forms: Sequence[str], lexicon: Lexicon, real: RealNames
) -> bool:
    """Whether an earlier name may be kept: of words and stems that are known, true of the cluster, and still new."""
    colours = [term for term in COLOUR_TERMS if shares[term] >= _KEPT_SHARE]
    words, genus = one.common_name.split(), one.scientific_name.split()[0]
    is_said = all(
        (word := lexicon.words.get(said)) is not None
        and fits(word.colours, colours)
        and fits(word.morphotypes, forms)
        for said in words
    )
    is_new = real.common.nearest(one.common_name) is None and real.genera.is_new(genus)
    return is_said and is_new and reads_well(words) and may_be_said(one.scientific_name, colours)


def _name_all(
    found: Sequence[Mapping[str, Any]],
    shares: Mapping[int, Mapping[str, float]],
    forms: Mapping[int, str],
    lexicon: Lexicon,
    real: RealNames,
    seed: int,
    kept: Mapping[int, Species],
) -> list[Species]:
    """All species in the order of the clusters; new names know those that are kept."""
    given = {cluster: (one.common_name, one.scientific_name) for cluster, one in kept.items()}
    species = []
    for index, cluster in enumerate(found):
        cluster_id = cluster["cluster_id"]
        own, form = shares[cluster_id], forms[cluster_id]
        colours = main_colours(own, least_share=_COLOUR_SHARE)
        if cluster_id not in given:
            rng = Random(f"{seed}:{cluster['medoid_id']}")
            name = coin_common_name(
                rng,
                lexicon,
                fitting_colours=colours[:1],
                morphotype=form,
                used_names=[name for name, _ in given.values()],
                known=real.common,
            )
            binomial = coin_binomial(
                rng,
                measured_colours=colours,
                genera=real.genera,
                used=[binomial for _, binomial in given.values()],
            )
            given[cluster_id] = (name, binomial)
        common, scientific = given[cluster_id]
        species.append(
            Species(
                species_id=f"species-{index:02d}",
                cluster_id=cluster_id,
                common_name=common,
                scientific_name=scientific,
                slug=slug_of(common),
                morphotype=form,
                colour_names=list(colours),
                size=int(cluster["size"]),
            )
        )
    return species
