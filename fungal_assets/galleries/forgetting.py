"""The forgetting report: the control prompts before and after, judged twice, when it went, and what to change.

The judge by references decides, since nothing of it was taught beside the model; the judge by names stands beside it.
Belongs here: the stage from a gallery to its report and pictures. The judges are in `judging` and `text_judging`, the
arithmetic in `retention`, the looks of the training in `over_training`.
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
    describe_judgement,
    judge_vectors,
    load_judge,
)
from fungal_assets.galleries.over_training import Watched, draw_course, draw_when, watch_again
from fungal_assets.galleries.planning import BASE, TUNED
from fungal_assets.galleries.reading import embed_pictures, open_picture, read_about, read_gallery
from fungal_assets.galleries.retention import (
    UNKNOWN_COURSE,
    Pair,
    Retention,
    advise,
    measure_groups,
    measure_retention,
    phrase_second_opinion,
    phrase_verdict,
)
from fungal_assets.galleries.text_judging import TEXT_JUDGES, TextJudge, load_text_judge
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
        ("nearest_by_text", pa.string()),
        ("recognised_by_text", pa.bool_()),
    ]
)
Found = Sequence[Judgement | None]


@dataclass(frozen=True)
class Twins:
    """The base and the tuned model's picture of one control prompt and seed, judged.

    Args:
        base_row: The base picture's row of the gallery.
        tuned_row: The tuned picture's row.
        base: What the judge finds in the base picture.
        tuned: What it finds in the tuned picture.
        by_text: What the second judge finds in the two, or None where there is none.
    """

    base_row: Mapping[str, Any]
    tuned_row: Mapping[str, Any]
    base: Judgement
    tuned: Judgement
    by_text: Pair | None = None

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
    sample_galleries: Path,
    fine_tuned_weights: Path | None,
    folder: Path,
    *,
    judge: str,
    text_judge: str,
    min_retention: float,
    tell: Tell = stay_silent,
) -> Figures:
    """Judge the control pictures of base and tuned model, and report what was forgotten.

    Args:
        sample_galleries: A complete gallery.
        fine_tuned_weights: What its weights were pruned from, for the looks at its training; None for none.
        folder: Where `scores.parquet`, `report.json` and `side_by_side.webp` go; where training was looked at,
            `over_training.png` and `when.webp` too.
        judge: Name of the judge, or the path of its references (`judging.load_judge`).
        text_judge: Name of the second judge, or its folder (`text_judging.load_text_judge`); empty for none.
        min_retention: Least retention that is enough, 0 to 1.
        tell: Gets lines of progress.

    Returns:
        `retention` (the text `"undefined"` where it is not), its interval, the shares behind it, and what the second
        judge says.

    Raises:
        InputError: The gallery has no control pictures, none of whose concepts the judge knows, or a judge
            is missing.
    """
    if not 0 <= min_retention <= 1:
        raise InputError(f"min_retention={min_retention!r}; a share from 0 to 1 was expected, such as 0.8.")
    knows = load_judge(judge)
    reads = load_text_judge(text_judge, knows.concepts)
    rows = [row for row in read_gallery(sample_galleries) if row["kind"] == "control"]
    tell(f"judging {len(rows)} control pictures among {len(knows.concepts)} concepts")
    judged, by_text = _judge_rows(sample_galleries, rows, knows, reads)
    twins = pair_twins(rows, judged, by_text)
    if not twins:
        raise InputError(
            f"none of {len(rows)} control pictures in {sample_galleries} can be judged: their concepts are "
            f"{sorted({str(row['expected']) for row in rows})!r}, the judge {knows.name!r} knows "
            f"{len(knows.concepts)} others. Sample the gallery with controls of 1 or more, and prompts that "
            "the judge knows."
        )
    found = measure_retention([each.pair for each in twins])
    watched = watch_again(fine_tuned_weights) if fine_tuned_weights else None
    scores = [_score(*each) for each in zip(rows, judged, by_text, strict=True)]
    write_table(folder / "scores.parquet", scores, SCORES)
    draw_side_by_side(sample_galleries, twins, folder / "side_by_side.webp")
    if watched:
        draw_course(watched, found, min_retention, folder / "over_training.png")
        draw_when(watched, folder / "when.webp")
    models, not_judged = read_about(sample_galleries)["models"], sum(each is None for each in judged)
    second = _second_opinion(twins, reads, models[BASE]["id"])
    report = {
        **_report(found, twins, second, watched, min_retention),
        "not_judged": not_judged,
        "judge": describe_judge(knows, models[BASE]["id"]),
        "models": models,
    }
    write_atomically(folder / "report.json", json.dumps(report, indent=1))
    tell(report["verdict"])
    return _figures(found, second, not_judged)


def _judge_rows(
    sample_galleries: Path, rows: Sequence[Mapping[str, Any]], judge: Judge, text_judge: TextJudge | None
) -> tuple[Found, Found]:
    """What both judges find in each picture; None where one does not know the concept, or is not there."""
    from fungal_assets.morphology.extractors import EfficientNetLite0

    vectors = embed_pictures(sample_galleries, rows, EfficientNetLite0())
    expected = [row["expected"] for row in rows]
    base = [index for index, row in enumerate(rows) if row["model"] == BASE]
    common = common_of(vectors[base], [expected[index] for index in base])
    by_text: Found = text_judge.judge(vectors, expected) if text_judge and rows else [None] * len(rows)
    return judge_vectors(judge, vectors, expected, common=common), by_text


def pair_twins(rows: Sequence[Mapping[str, Any]], judged: Found, by_text: Found) -> list[Twins]:
    """The judged pictures of the same prompt and seed side by side, the worst loss first."""
    found = {
        (row["prompt_id"], row["seed"], row["model"]): (row, judgement, second)
        for row, judgement, second in zip(rows, judged, by_text, strict=True)
        if judgement is not None
    }
    names = [(prompt_id, seed) for prompt_id, seed, model in found if model == BASE]
    both = [(found[(*name, BASE)], found[(*name, TUNED)]) for name in names if (*name, TUNED) in found]
    twins = [Twins(base[0], tuned[0], base[1], tuned[1], _pair(base[2], tuned[2])) for base, tuned in both]
    return sorted(twins, key=lambda each: each.loss, reverse=True)


def _pair(base: Judgement | None, tuned: Judgement | None) -> Pair | None:
    return Pair.of(base, tuned) if base and tuned else None


def _score(row: Mapping[str, Any], judgement: Judgement | None, second: Judgement | None) -> dict[str, Any]:
    names = ("prompt_id", "text", "group", "model", "seed", "expected")
    by_text = describe_judgement(second)
    return {
        **{name: row[name] for name in names},
        **describe_judgement(judgement),
        "nearest_by_text": by_text["nearest"],
        "recognised_by_text": by_text["recognised"],
    }


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
    second: Mapping[str, Any] | None,
    watched: Watched | None,
    min_retention: float,
) -> dict[str, Any]:
    verdict = phrase_verdict(found, min_retention=min_retention)
    if second:
        verdict += f" {phrase_second_opinion(found, second['retention'], min_retention=min_retention)}"
    course = watched.course(min_retention) if watched else UNKNOWN_COURSE
    return {
        "retention": found.retention,
        "interval": found.interval,
        "min_retention": min_retention,
        "base_recognised": found.base_recognised,
        "tuned_recognised": found.tuned_recognised,
        "base_fungal": found.base_fungal,
        "tuned_fungal": found.tuned_fungal,
        "pairs": found.pairs,
        "by_text": second,
        "verdict": verdict,
        "advice": advise(found, min_retention=min_retention, course=course),
        "groups": _measure_by(twins, "group"),
        "prompts": _measure_by(twins, "text"),
        "over_training": watched.as_json(min_retention) if watched else None,
    }


def _measure_by(twins: Sequence[Twins], column: str) -> list[dict[str, Any]]:
    """Each group by the judge, the worst first, and beside it what the second judge finds."""
    groups: dict[str, list[Twins]] = {}
    for each in twins:
        groups.setdefault(str(each.base_row[column]), []).append(each)
    found = measure_groups({name: [each.pair for each in members] for name, members in groups.items()})
    for entry in found:
        pairs = [each.by_text for each in groups[str(entry["name"])] if each.by_text]
        entry["by_text"] = _shares(pairs)
    return found


def _shares(pairs: Sequence[Pair]) -> dict[str, Any] | None:
    if not pairs:
        return None
    found = measure_retention(pairs)
    names = ("pairs", "retention", "interval", "base_recognised", "tuned_recognised")
    return {name: getattr(found, name) for name in names}


def _second_opinion(
    twins: Sequence[Twins], judge: TextJudge | None, base_model_id: str
) -> dict[str, Any] | None:
    """What the second judge finds over all, and who it is."""
    shares = _shares([each.by_text for each in twins if each.by_text])
    if judge is None or shares is None:
        return None
    caveat = "It was taught beside the pocket model, in the same world, and may flatter it."
    if judge.names.name in TEXT_JUDGES and judge.names.name != base_model_id:
        caveat = f"It was taught drawings and renders of the pocket model's world, not pictures of {base_model_id!r}."
    about = {
        "name": judge.names.name,
        "what": f"The name that fits best of {len(judge.names.concepts)}, by the project's own judge of CLIP's kind.",
        "caveat": caveat,
        "chance": round(judge.names.chance, 4),
        "sha256": judge.names.sha256,
    }
    return shares | {"judge": about}


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


def _figures(found: Retention, second: Mapping[str, Any] | None, not_judged: int) -> Figures:
    low, high = found.interval or ("undefined", "undefined")
    by_text = second["retention"] if second else None
    return {
        "retention": "undefined" if found.retention is None else found.retention,
        "retention_low": low,
        "retention_high": high,
        "retention_by_text": "undefined" if by_text is None else by_text,
        "base_recognised": found.base_recognised,
        "tuned_recognised": found.tuned_recognised,
        "tuned_fungal": found.tuned_fungal,
        "pairs": found.pairs,
        "not_judged": not_judged,
    }
