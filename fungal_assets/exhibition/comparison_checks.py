"""Checks on a comparison of tuned models: each told by hash, all asked alike.

Belongs here: verdicts on what lies in the folder.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from fungal_assets.galleries.planning import TUNED
from fungal_assets.verdicts import Verdict, name_some


def check_told_by_hash(weights_comparison: Path) -> Verdict:
    """Every model has the hash of its weights, no two rows of what was asked alike have one, and the page has each."""
    comparison = json.loads((weights_comparison / "comparison.json").read_text(encoding="utf-8"))
    page = (weights_comparison / "index.html").read_text(encoding="utf-8")
    rows = [row for row in comparison["rows"] if row["model"] == TUNED]
    keys = [(row["pipeline_sha256"], row["asked"]) for row in rows]
    faults = [
        f"{row['name']} has the hash {row['pipeline_sha256']!r}"
        for row in rows
        if not re.fullmatch("[0-9a-f]{64}", str(row["pipeline_sha256"]))
    ]
    faults += [
        f"{sha256[:12]}… is there twice" for sha256, _ in sorted({key for key in keys if keys.count(key) > 1})
    ]
    faults += [f"{row['name']} is not on the page" for row in rows if row["name"] not in page]
    figures = {"models": len(rows), "faults": len(faults)}
    if rows and not faults:
        return Verdict(True, f"All {len(rows)} models are told by their weights' hash.", figures)
    return Verdict(
        False, f"{len(faults)} faults: {name_some(faults)}. Compare again: fungal compare", figures
    )


def check_asked_alike(weights_comparison: Path) -> Verdict:
    """All models were asked the same prompts from the same noise, and judged alike."""
    comparison = json.loads((weights_comparison / "comparison.json").read_text(encoding="utf-8"))
    asked = comparison["asked"]
    apart = [row["name"] for row in comparison["rows"] if row["model"] == TUNED and row["asked"] != asked[0]]
    figures = {"kinds_of_asking": len(asked), "apart": len(apart)}
    if not apart:
        return Verdict(True, "All models were asked the same.", figures)
    return Verdict(
        False,
        f"{len(apart)} models were asked otherwise than most: {name_some(apart)}. Grow them again with the same "
        "prompts and the same settings of sample_galleries and forgetting_report.",
        figures,
    )
