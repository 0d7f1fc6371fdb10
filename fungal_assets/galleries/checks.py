"""Checks on a gallery and its forgetting report: whole, of the named weights, free of flaws, true to species.

Belongs here: verdicts on what lies in the folders. Nothing is made again and nothing is changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.galleries.batches import read_parameters
from fungal_assets.galleries.flaws import (
    MAX_GRID_EXCESS,
    MAX_SHARED_GRID,
    MAX_SILENT_SHARE,
    MIN_CONTRAST,
    Flaws,
    evened_profiles,
    find_flaws,
    grid_of,
    has_grid,
)
from fungal_assets.galleries.planning import BASE, TUNED, plan_gallery, read_prompts
from fungal_assets.galleries.reading import open_as_drawn, open_picture, read_gallery
from fungal_assets.galleries.recognition import chance_of_at_least
from fungal_assets.verdicts import Verdict

MAX_PIXELATED_SHARE, MAX_PIXELATED_OF_A_PROMPT = 0.1, 0.5
CHANCE_LEVEL = 0.05
_NAMED = 5
Rows = Sequence[Mapping[str, Any]]


def check_complete(
    sample_galleries: Path, prompts: Path, *, images_per_prompt: int, controls: int, side_prompts: int
) -> Verdict:
    """Every prompt that belongs in the gallery has all its pictures, and each can be opened."""
    plan = plan_gallery(
        read_prompts(prompts)["prompts"],
        images_per_prompt=images_per_prompt,
        controls=controls,
        seed=0,
        side_prompts=side_prompts,
    )
    rows = read_gallery(sample_galleries)
    wanted = {(picture.prompt_id, picture.model, picture.index) for picture in plan}
    absent = sorted(wanted - {(row["prompt_id"], row["model"], row["index"]) for row in rows})
    faults = [
        f"{model} picture {index} of {prompt_id!r} is not in the table" for prompt_id, model, index in absent
    ]
    faults += [f"{row['path']} cannot be opened" for row in rows if not _can_open(sample_galleries, row)]
    figures = {"pictures": len(rows), "wanted": len(wanted), "faults": len(faults)}
    if not faults:
        return Verdict(
            True,
            f"All {len(wanted)} pictures of {len({row['prompt_id'] for row in rows})} prompts are there.",
            figures,
        )
    return Verdict(False, f"{len(faults)} faults: {_name_some(faults)}. Sample the gallery again.", figures)


def check_weights(sample_galleries: Path, pruned_weights: Path) -> Verdict:
    """Every picture was made with the weights that `weights.json` names, by hash."""
    record = json.loads((pruned_weights / "weights.json").read_text())
    expected = {TUNED: record["pipeline_sha256"], BASE: record["base_model"]["sha256"]}
    rows = _readable(sample_galleries)
    foreign = [
        row["path"]
        for row in rows
        if read_parameters(sample_galleries / row["path"]).get("model_sha256") != expected.get(row["model"])
    ]
    figures = {"pictures": len(rows), "of_other_weights": len(foreign), "tuned_sha256": expected[TUNED]}
    if not foreign:
        return Verdict(
            True, f"All {len(rows)} pictures name the weights {expected[TUNED][:12]}… or their base.", figures
        )
    return Verdict(
        False,
        f"{len(foreign)} of {len(rows)} pictures are of other weights than weights.json names: "
        f"{_name_some(foreign)}. Sample the gallery again from these weights.",
        figures,
    )


def check_not_blank(sample_galleries: Path) -> Verdict:
    """No picture of the tuned model is black or of one colour; the base model's are not its to mend."""
    flaws = _flaws(sample_galleries, model=TUNED)
    blank = [path for path, found in flaws.items() if found.is_blank]
    least = min((found.contrast for found in flaws.values()), default=0.0)
    figures = {"pictures": len(flaws), "blank": len(blank), "least_contrast": round(least, 2)}
    if flaws and not blank:
        return Verdict(
            True, f"The palest of {len(flaws)} pictures has a contrast of {least:.1f} grey levels.", figures
        )
    return Verdict(
        False,
        f"{len(blank)} of {len(flaws)} pictures are blank (contrast under {MIN_CONTRAST:g}): "
        f"{_name_some(blank)}. The weights give no numbers that make a picture: lower learning_rate, or "
        "sample in full precision.",
        figures,
    )


def check_not_pixelated(sample_galleries: Path) -> Verdict:
    """Few pictures are made of blocks, of no prompt most, and the tuned model's edges stand on no common grid."""
    rows = _readable(sample_galleries)
    flaws = _flaws(sample_galleries)
    pixelated = [path for path, found in flaws.items() if found.is_pixelated]
    share = len(pixelated) / max(len(flaws), 1)
    shares = _shares_by_prompt(rows, set(pixelated))
    faulty = [name for name, share in shares.items() if share > MAX_PIXELATED_OF_A_PROMPT]
    grid = _worst_grid(sample_galleries, [row for row in rows if row["model"] == TUNED])
    figures = {
        "pictures": len(flaws),
        "pixelated": len(pixelated),
        "pixelated_share": round(share, 4),
        "prompts_pixelated": len(faulty),
        "shared_grid": "undefined" if grid is None else round(grid, 4),
        "median_grid_excess": round(_median([found.grid_excess for found in flaws.values()]), 4),
        "median_flat_share": round(_median([found.flat_share for found in flaws.values()]), 4),
    }
    finding = (
        f"{len(pixelated)} of {len(flaws)} pictures are made of blocks (gradients on a grid over "
        f"{MAX_GRID_EXCESS:g}, or silent lines over {MAX_SILENT_SHARE:g}); at most {MAX_PIXELATED_SHARE:.0%} of "
        f"all and {MAX_PIXELATED_OF_A_PROMPT:.0%} of a prompt's were expected."
    )
    if has_grid(grid):
        finding += (
            f" The tuned model's pictures have their edges on one grid: {grid:.2f} of it, at most "
            f"{MAX_SHARED_GRID:g} expected."
        )
    if flaws and share <= MAX_PIXELATED_SHARE and not faulty and not has_grid(grid):
        return Verdict(True, finding, figures)
    suspects = faulty or pixelated
    named = f": {_name_some(suspects)}" if suspects else ""
    return Verdict(False, f"{finding} Look for enlarged pictures in the source{named}.", figures)


def _worst_grid(sample_galleries: Path, rows: Rows) -> float | None:
    """`shared_grid` of all pictures or of those of species alone, which controls may hide that were rehearsed."""
    profiles = [evened_profiles(image) for image in open_as_drawn(sample_galleries, rows)]
    of_species = [own for row, own in zip(rows, profiles, strict=True) if row["kind"] != "control"]
    grids = (grid_of(some) for some in (profiles, of_species))
    return max((grid for grid in grids if grid is not None), default=None)


def _shares_by_prompt(rows: Rows, flawed: set[str]) -> dict[str, float]:
    """Which share of each prompt's pictures of each model is among the flawed ones, by prompt id and model."""
    found: dict[str, list[bool]] = {}
    for row in rows:
        found.setdefault(f"{row['prompt_id']} ({row['model']})", []).append(row["path"] in flawed)
    return {name: sum(is_flawed) / len(is_flawed) for name, is_flawed in found.items()}


def check_species_recognised(sample_galleries: Path) -> Verdict:
    """More pictures of species lie nearest to their own cluster than guessing would put there."""
    found = json.loads((sample_galleries / "recognition.json").read_text())
    pictures, chance = found["pictures"], found["chance"]
    hits = round(sum(each["recognised"] * each["pictures"] for each in found["species"]))
    luck = chance_of_at_least(hits, pictures, chance)
    figures = {"species_recognised": found["species_recognised"], "chance": chance, "luck": round(luck, 6)}
    finding = (
        f"{hits} of {pictures} pictures are nearest to their own species; guessing finds {chance:.0%}, and "
        f"as many or more with a probability of {luck:.2g}."
    )
    if luck < CHANCE_LEVEL:
        return Verdict(True, finding, figures)
    return Verdict(False, f"{finding} The names mean nothing to the weights yet: raise max_steps.", figures)


def check_knowledge_kept(forgetting_report: Path) -> Verdict:
    """The tuned model still draws what the base model draws: retention is at least the report's minimum."""
    report = json.loads((forgetting_report / "report.json").read_text())
    retention, min_retention = report["retention"], report["min_retention"]
    figures = {
        "retention": "undefined" if retention is None else retention,
        "min_retention": min_retention,
        "base_recognised": report["base_recognised"],
        "tuned_recognised": report["tuned_recognised"],
        "tuned_fungal": report["tuned_fungal"],
    }
    passed = retention is not None and retention >= min_retention
    return Verdict(
        passed, report["verdict"] if passed else f"{report['verdict']} {report['advice']}", figures
    )


def _flaws(sample_galleries: Path, *, model: str | None = None) -> dict[str, Flaws]:
    rows = [row for row in _readable(sample_galleries) if model in (None, row["model"])]
    return {row["path"]: find_flaws(open_picture(sample_galleries, row)) for row in rows}


def _readable(sample_galleries: Path) -> Rows:
    """The rows whose picture can be opened; the others are what `check_complete` is for."""
    return [row for row in read_gallery(sample_galleries) if _can_open(sample_galleries, row)]


def _can_open(sample_galleries: Path, row: Mapping[str, Any]) -> bool:
    try:
        with Image.open(sample_galleries / row["path"]) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0


def _name_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
