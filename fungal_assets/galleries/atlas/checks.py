"""Checks on an atlas: whole, of the named weights, and its walk sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fungal_assets.galleries.atlas import FLOOR
from fungal_assets.shards import read_table
from fungal_assets.verdicts import Verdict


def check_whole(atlas: Path) -> Verdict:
    """Every step has every block of every comparison, and what was measured lies where it can lie."""
    about = json.loads((atlas / "atlas.json").read_text())
    rows = read_table(atlas / "alignments.parquet")
    compared = [str(size) for size in about["sizes_px"] if size != about["native_px"]] + [FLOOR]
    blocks = {row["block"] for row in rows}
    steps = about["settings"]["num_inference_steps"]
    absent = len(compared) * len(blocks) * steps - len(
        {(row["compared"], row["block"], row["step"]) for row in rows}
    )
    outside = [row for row in rows if row["alignment"] is not None and not -0.5 <= row["alignment"] <= 1.01]
    unmeasured = sum(row["alignment"] is None for row in rows)
    shares = [row["entropy_share"] for row in read_table(atlas / "entropies.parquet")]
    wrong = sum(not 0 <= share <= 1.0001 for share in shares)
    figures: dict[str, Any] = {
        "rows": len(rows),
        "absent": absent,
        "unmeasured": unmeasured,
        "blocks": len(blocks),
    }
    if absent or outside or wrong or not blocks or unmeasured == len(rows):
        finding = (
            f"{absent} rows are absent, {len(outside)} likenesses and {wrong} entropies lie where none can, "
            f"{unmeasured} of {len(rows)} were not measured. Draw the atlas again."
        )
        return Verdict(False, finding, figures)
    return Verdict(
        True,
        f"{steps} steps, {len(blocks)} blocks and {len(compared)} comparisons are there; {unmeasured} of {len(rows)} "
        "had too few cells to compare.",
        figures,
    )


def check_weights(atlas: Path, pruned_weights: Path) -> Verdict:
    """The atlas is of the weights that `weights.json` names, by hash."""
    found = json.loads((atlas / "atlas.json").read_text())["model"]["sha256"]
    expected = json.loads((pruned_weights / "weights.json").read_text())["pipeline_sha256"]
    if found == expected:
        return Verdict(True, f"It is of the weights {expected[:16]}….", {"sha256": found})
    return Verdict(
        False,
        f"It is of {found[:16]}…, and the weights are {expected[:16]}…. Draw it again.",
        {"sha256": found},
    )
