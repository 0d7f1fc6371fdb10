"""Checks on a species report: it tells of every species, and what it tells is good.

Belongs here: verdicts on what lies in the folder. Nothing is measured again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fungal_assets.galleries.planning import TUNED
from fungal_assets.galleries.reading import read_gallery
from fungal_assets.galleries.species_figures import is_cause
from fungal_assets.shards import read_table
from fungal_assets.verdicts import Verdict, name_some

_NAMED = 3
_MEASURED = ("recognised", "distance_to_other", "variety", "kid")


def check_every_species_told(species_report: Path, sample_galleries: Path) -> Verdict:
    """Every species of the gallery has finite figures, and every picture of it its most similar training image."""
    report = _read(species_report)
    rows = [
        row for row in read_gallery(sample_galleries) if row["model"] == TUNED and row["kind"] != "control"
    ]
    told = {entry["species_id"]: entry for entry in report["species"]}
    named = {row["species_id"] for row in rows if row["kind"] == "species"}
    faults = [f"{name} is not told of" for name in sorted(named - told.keys())]
    faults += [
        f"{key} of {name} is {entry[key]!r}"
        for name, entry in told.items()
        for key in _MEASURED
        if entry[key] is not None and not math.isfinite(entry[key])
    ]
    looked = {row["path"] for row in read_table(species_report / "pictures.parquet") if row["nearest_id"]}
    unseen = sorted({row["path"] for row in rows} - looked)
    faults += [f"{path} has no training image beside it" for path in unseen]
    figures = {"species": len(told), "pictures": len(looked), "faults": len(faults)}
    if told and not faults:
        return Verdict(True, f"All {len(told)} species and {len(looked)} pictures are told of.", figures)
    return Verdict(
        False, f"{len(faults)} faults: {name_some(faults, _NAMED)}. Make the report again.", figures
    )


def check_no_copies(species_report: Path) -> Verdict:
    """Hardly any picture is a copy of a training image."""
    report = _read(species_report)
    figures, most = report["figures"], report["max_copied_share"]
    rows = sorted(read_table(species_report / "pictures.parquet"), key=lambda row: -row["correlation"])
    copied = [f"{row['path']} of {row['nearest_id']}" for row in rows if row["is_copied"]]
    nearest = rows[0]["correlation"] if rows else 0.0
    finding = (
        f"{figures['copies']} of {figures['pictures']} pictures are copies of training images, at most {most:.0%} "
        f"expected; the most alike correlates {nearest:.2f}."
    )
    told = {
        "copies": figures["copies"],
        "copied_share": figures["copied_share"],
        "most_alike": round(nearest, 4),
    }
    if figures["copied_share"] <= most:
        return Verdict(True, finding, told)
    return Verdict(
        False,
        f"{finding} {name_some(copied, _NAMED)}. Lower max_steps of fine_tuned_weights (try half).",
        told,
    )


def check_species_new(species_report: Path) -> Verdict:
    """No species lies within another cluster of real specimens."""
    found = _read(species_report)["species"]
    inside = [entry for entry in found if not entry["is_new"]]
    figures = {"species": len(found), "new": len(found) - len(inside)}
    if not inside:
        return Verdict(True, f"All {len(found)} species lie outside every other cluster's reach.", figures)
    named = [
        f"{entry['text']!r} {entry['distance_to_other']:.2f} from cluster {entry['nearest_other']}, whose reach is "
        f"{entry['reach']:.2f}"
        for entry in inside
    ]
    return Verdict(
        False,
        f"{len(inside)} of {len(found)} species look like another cluster: {name_some(named, _NAMED)}. "
        "Such clusters may be one: lower max_clusters of clusters.",
        figures,
    )


def check_species_varied(species_report: Path) -> Verdict:
    """No species is drawn the same again and again; where that follows from another flaw it is said and not judged."""
    report = _read(species_report)
    found = [entry for entry in report["species"] if entry["is_varied"] is not None]
    alike = [entry for entry in found if not entry["is_varied"]]
    least = min((entry["variety"] for entry in found), default=0.0)
    unjudged = [entry for entry in report["species"] if entry["is_varied"] is None]
    figures = {"species": len(found), "alike": len(alike), "least_variety": least, "unjudged": len(unjudged)}
    finding = f"{report['min_variety']:.0%} of the variety of real images is wanted."
    if found:
        finding = f"The least varied of {len(found)} species has {least:.0%}; {finding}"
    finding += _tell_unjudged(unjudged, report["min_variety"])
    if not alike:
        return Verdict(True, finding, figures)
    named = [f"{entry['text']!r} {entry['variety']:.0%}" for entry in alike]
    return Verdict(
        False,
        f"{finding} {len(alike)} have less: {name_some(named, _NAMED)}. {_why_alike(alike)}",
        figures,
    )


def _tell_unjudged(unjudged: Sequence[Mapping[str, Any]], min_variety: float) -> str:
    """Which species are not judged, and for which reason."""
    said = ""
    for reason in dict.fromkeys(entry["unjudged"] for entry in unjudged):
        own = [entry for entry in unjudged if entry["unjudged"] == reason]
        measured = [entry["variety"] for entry in own if entry["variety"] is not None]
        less = f"; {sum(each < min_variety for each in measured)} of them have less" if measured else ""
        said += f" {len(own)} species are not judged, because {reason}{less}."
    return said


def _why_alike(alike: Sequence[Mapping[str, Any]]) -> str:
    """What the want of variety follows from, and what to change."""
    if not any(is_cause(entry, "is_varied") for entry in alike):
        return (
            "They are like other clusters too, which may be one with theirs: lower max_clusters of clusters."
        )
    return "Lower learning_rate of fine_tuned_weights (try half)."


def _read(species_report: Path) -> Mapping[str, Any]:
    return json.loads((species_report / "report.json").read_text())
