"""The forgetting report: the control prompts before and after, judged, and what to change.

Belongs here: the stage from a gallery to its report and pictures. The judge is in `judging`, the arithmetic
in `retention`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fungal_assets.errors import InputError
from fungal_assets.galleries.grids import save_webp
from fungal_assets.galleries.judging import (
    FUNGUS,
    JUDGES,
    Judge,
    Judgement,
    common_of,
    judge_vectors,
    load_judge,
)
from fungal_assets.galleries.planning import BASE, TUNED
from fungal_assets.galleries.reading import embed_pictures, open_picture, read_about, read_gallery
from fungal_assets.galleries.retention import (
    Pair,
    Retention,
    advise,
    measure_groups,
    measure_retention,
    phrase_verdict,
)
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.shards import write_table
from fungal_assets.store import Figures, write_atomically

SHOWN_PAIRS = 24
_COLUMNS = 6
_TILE_PX = 128
SCORES = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("text", pa.string()),
        ("group", pa.string()),
        ("model", pa.string()),
        ("seed", pa.int64()),
        ("expected", pa.string()),
        ("nearest", pa.string()),
        ("recognised", pa.bool_()),
        ("rank", pa.int32()),
        ("similarity", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Twins:
    """The base and the tuned model's picture of one control prompt and seed, judged.

    Args:
        base_row: The base picture's row of the gallery.
        tuned_row: The tuned picture's row.
        base: What the judge finds in the base picture.
        tuned: What it finds in the tuned picture.
    """

    base_row: Mapping[str, Any]
    tuned_row: Mapping[str, Any]
    base: Judgement
    tuned: Judgement

    @property
    def loss(self) -> tuple[bool, float]:
        """How bad it is, the worst greatest: knowledge that went first, then by fallen likeness."""
        is_lost = self.base.is_recognised and not self.tuned.is_recognised
        return is_lost, self.base.similarity - self.tuned.similarity

    @property
    def pair(self) -> Pair:
        """The two as the arithmetic takes them."""
        return Pair.of(self.base, self.tuned)


def report_forgetting(
    sample_galleries: Path, folder: Path, *, judge: str, min_retention: float, tell: Tell = stay_silent
) -> Figures:
    """Judge the control pictures of base and tuned model, and report what was forgotten.

    Args:
        sample_galleries: A complete gallery.
        folder: Where `scores.parquet`, `report.json` and `side_by_side.webp` go.
        judge: Name of the judge, or the path of its references (`judging.load_judge`).
        min_retention: Least retention that is enough, 0 to 1.
        tell: Gets lines of progress.

    Returns:
        `retention` (the text `"undefined"` where it is not), its interval, and the shares behind it.

    Raises:
        InputError: The gallery has no control pictures, none of whose concepts the judge knows, or the judge
            is missing.
    """
    if not 0 <= min_retention <= 1:
        raise InputError(f"min_retention={min_retention!r}; a share from 0 to 1 was expected, such as 0.8.")
    knows = load_judge(judge)
    rows = [row for row in read_gallery(sample_galleries) if row["kind"] == "control"]
    tell(f"judging {len(rows)} control pictures among {len(knows.concepts)} concepts")
    judged = _judge_rows(sample_galleries, rows, knows)
    twins = pair_twins(rows, judged)
    if not twins:
        raise InputError(
            f"none of {len(rows)} control pictures in {sample_galleries} can be judged: their concepts are "
            f"{sorted({str(row['expected']) for row in rows})!r}, the judge {knows.name!r} knows "
            f"{len(knows.concepts)} others. Sample the gallery with controls of 1 or more, and prompts that "
            "the judge knows."
        )
    found = measure_retention([each.pair for each in twins])
    scores = [_score(row, judgement) for row, judgement in zip(rows, judged, strict=True)]
    write_table(folder / "scores.parquet", scores, SCORES)
    draw_side_by_side(sample_galleries, twins, folder / "side_by_side.webp")
    not_judged = sum(judgement is None for judgement in judged)
    report = _report(found, twins, knows, read_about(sample_galleries), min_retention, not_judged)
    write_atomically(folder / "report.json", json.dumps(report, indent=1))
    tell(report["verdict"])
    return _figures(found, not_judged)


def _judge_rows(
    sample_galleries: Path, rows: Sequence[Mapping[str, Any]], judge: Judge
) -> list[Judgement | None]:
    from fungal_assets.morphology.extractors import EfficientNetLite0

    vectors = embed_pictures(sample_galleries, rows, EfficientNetLite0())
    expected = [row["expected"] for row in rows]
    base = [index for index, row in enumerate(rows) if row["model"] == BASE]
    common = common_of(vectors[base], [expected[index] for index in base])
    return judge_vectors(judge, vectors, expected, common=common)


def pair_twins(rows: Sequence[Mapping[str, Any]], judged: Sequence[Judgement | None]) -> list[Twins]:
    """The judged pictures of the same prompt and seed side by side, the worst loss first."""
    found = {
        (row["prompt_id"], row["seed"], row["model"]): (row, judgement)
        for row, judgement in zip(rows, judged, strict=True)
        if judgement is not None
    }
    names = [(prompt_id, seed) for prompt_id, seed, model in found if model == BASE]
    both = [(found[(*name, BASE)], found[(*name, TUNED)]) for name in names if (*name, TUNED) in found]
    twins = [Twins(base_row, tuned_row, base, tuned) for (base_row, base), (tuned_row, tuned) in both]
    return sorted(twins, key=lambda each: each.loss, reverse=True)


def _score(row: Mapping[str, Any], judgement: Judgement | None) -> dict[str, Any]:
    names = ("prompt_id", "text", "group", "model", "seed", "expected")
    found: dict[str, Any] = {"nearest": None, "recognised": None, "rank": None, "similarity": None}
    if judgement is not None:
        found = {
            "nearest": judgement.nearest,
            "recognised": judgement.is_recognised,
            "rank": judgement.rank,
            "similarity": judgement.similarity,
        }
    return {name: row[name] for name in names} | found


def draw_side_by_side(sample_galleries: Path, twins: Sequence[Twins], path: Path) -> None:
    """Draw each prompt's worst pair, base left and tuned right, the worst of `SHOWN_PAIRS` prompts first."""
    worst: dict[str, Twins] = {}
    for each in twins:
        worst.setdefault(each.base_row["prompt_id"], each)
    shown = list(worst.values())[:SHOWN_PAIRS]
    rows = [row for each in shown for row in (each.base_row, each.tuned_row)]
    labels = [
        label
        for each in shown
        for label in (_label(each.base_row, each.base), _label(each.tuned_row, each.tuned))
    ]
    images = [open_picture(sample_galleries, row) for row in rows]
    save_webp(contact_sheet(images, columns=min(_COLUMNS, len(rows)), labels=labels, tile_px=_TILE_PX), path)


def _label(row: Mapping[str, Any], judgement: Judgement) -> str:
    found = f"{row['text']}, seen" if judgement.is_recognised else f"like {judgement.nearest}"
    return f"{row['model']}: {found}"


def _report(
    found: Retention,
    twins: Sequence[Twins],
    judge: Judge,
    about: Mapping[str, Any],
    min_retention: float,
    not_judged: int,
) -> dict[str, Any]:
    return {
        "retention": found.retention,
        "interval": found.interval,
        "min_retention": min_retention,
        "base_recognised": found.base_recognised,
        "tuned_recognised": found.tuned_recognised,
        "base_fungal": found.base_fungal,
        "tuned_fungal": found.tuned_fungal,
        "pairs": found.pairs,
        "not_judged": not_judged,
        "verdict": phrase_verdict(found, min_retention=min_retention),
        "advice": advise(found, min_retention=min_retention),
        "groups": measure_groups(_by(twins, "group")),
        "prompts": measure_groups(_by(twins, "text")),
        "judge": describe_judge(judge, about["models"][BASE]["id"]),
        "models": about["models"],
    }


def _by(twins: Sequence[Twins], column: str) -> dict[str, list[Pair]]:
    groups: dict[str, list[Pair]] = {}
    for each in twins:
        groups.setdefault(str(each.base_row[column]), []).append(each.pair)
    return groups


def describe_judge(judge: Judge, base_model_id: str) -> dict[str, Any]:
    """What judged, so that nobody takes it for more than it is."""
    caveat = ""
    if judge.name in JUDGES and judge.name != base_model_id:
        caveat = (
            f"The references are drawings of the pocket model's world, not pictures of {base_model_id!r}: a "
            f"photograph is judged by its likeness to drawings, so compare the two models and do not read "
            f"the shares as accuracy."
        )
    return {
        "name": judge.name,
        "what": (
            f"EfficientNet-Lite0 features (ImageNet) against the mean of {judge.references} reference "
            f"pictures of {len(judge.concepts)} concepts; recognised means that the concept asked for is "
            "the nearest of all."
        ),
        "caveat": caveat,
        "chance": round(judge.chance, 4),
        "knows_fungi": FUNGUS in judge.number_of,
        "sha256": judge.sha256,
    }


def _figures(found: Retention, not_judged: int) -> Figures:
    low, high = found.interval or ("undefined", "undefined")
    return {
        "retention": "undefined" if found.retention is None else found.retention,
        "retention_low": low,
        "retention_high": high,
        "base_recognised": found.base_recognised,
        "tuned_recognised": found.tuned_recognised,
        "tuned_fungal": found.tuned_fungal,
        "pairs": found.pairs,
        "not_judged": not_judged,
    }
