"""Tuned models beside each other: what each keeps and how well it draws the species, from the reports that there are.

Nothing is sampled or judged again. Two models compare fairly where they were asked the same: the same prompts from the
same noise by the same sampler, of the same base model, judged by the same judges. A hash over all of that, `asked`,
says which were.
Belongs here: reports to rows and sentences. Drawing is in `comparison_sheets`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fungal_assets.errors import InputError
from fungal_assets.galleries.planning import BASE, TUNED
from fungal_assets.galleries.reading import read_about, read_gallery

SHORT = 8
Row = Mapping[str, Any]
OF_SPECIES = ("themselves", "new", "varied", "copies", "pixelated", "species")


@dataclass(frozen=True)
class Compared:
    """One tuned model and what was made of it.

    Args:
        partition: Method and resolution, such as `lora|128`.
        tuned_sha256: Content hash of the tuned weights.
        settings: How it was tuned.
        forgetting_report: Output of that name; the next three likewise, all of this model.
        sample_galleries: With the pictures.
        pruned_weights: With `weights.json`.
        fine_tuned_weights: With `training.json`.
        species_report: Likewise, or None where there is none.
    """

    partition: str
    tuned_sha256: str
    settings: Mapping[str, Any]
    forgetting_report: Path
    sample_galleries: Path
    pruned_weights: Path
    fine_tuned_weights: Path
    species_report: Path | None


def read_row(compared: Compared) -> dict[str, Any]:
    """What is told of one model."""
    report = _read(compared.forgetting_report / "report.json")
    weights = _read(compared.pruned_weights / "weights.json")
    training = _read(compared.fine_tuned_weights / "training.json")
    recognition = _read(compared.sample_galleries / "recognition.json")
    second = report["by_text"] or {}
    species = (
        {name: _read(compared.species_report / "report.json")["figures"][name] for name in OF_SPECIES}
        if compared.species_report
        else dict.fromkeys(OF_SPECIES)
    )
    return {
        "model": TUNED,
        "partition": compared.partition,
        "method": weights["method"],
        "tuned_sha256": compared.tuned_sha256,
        "pipeline_sha256": weights["pipeline_sha256"],
        "base_sha256": weights["base_model"]["sha256"],
        "strength": weights["strength"],
        "step_kept": training["step_kept"],
        "settings": dict(compared.settings),
        "asked": _asked(compared.sample_galleries, report),
        "pairs": report["pairs"],
        "retention": report["retention"],
        "interval": report["interval"],
        "recognised": report["tuned_recognised"],
        "fungal": report["tuned_fungal"],
        "retention_by_text": second.get("retention"),
        "recognised_by_text": second.get("tuned_recognised"),
        "species_recognised": recognition["species_recognised"],
        **species,
    }


def base_row(compared: Compared) -> dict[str, Any]:
    """The base model as a model's own report has it, which keeps all by definition."""
    report, row = _read(compared.forgetting_report / "report.json"), read_row(compared)
    second = report["by_text"] or {}
    unknown = dict.fromkeys(
        ("strength", "step_kept", "species_recognised", "tuned_sha256", "interval", *OF_SPECIES)
    )
    return (
        row
        | unknown
        | {
            "model": BASE,
            "method": BASE,
            "partition": "",
            "pipeline_sha256": row["base_sha256"],
            "settings": {},
            "retention": 1.0 if report["base_recognised"] else None,
            "recognised": report["base_recognised"],
            "fungal": report["base_fungal"],
            "retention_by_text": 1.0 if second.get("base_recognised") else None,
            "recognised_by_text": second.get("base_recognised"),
        }
    )


@dataclass(frozen=True)
class Comparison:
    """Models beside each other.

    Args:
        rows: Those asked alike together, their base model first, then what keeps most.
        asked: The hashes of what was asked, that of most models first.
        alike: The models of which most were asked the same, in the order of their rows.
    """

    rows: Sequence[Row]
    asked: Sequence[str]
    alike: Sequence[Compared]

    @property
    def finding(self) -> str:
        """What it comes to, in a few sentences."""
        return phrase_comparison(self.rows)

    def as_json(self) -> dict[str, Any]:
        """The whole of it."""
        return {"finding": self.finding, "asked": list(self.asked), "rows": list(self.rows)}


def compare(models: Sequence[Compared]) -> Comparison:
    """Put models beside each other; of two reports on the same pictures the first counts.

    Raises:
        InputError: There is none.
    """
    if not models:
        raise InputError(
            "the store holds no forgetting_report of this resolution whose gallery and weights are here too, so there "
            "is nothing to compare. Grow one: fungal grow --until forgetting_report"
        )
    groups: dict[str, dict[str, tuple[Row, Compared]]] = {}
    for each in models:
        row = read_row(each)
        groups.setdefault(row["asked"], {}).setdefault(row["pipeline_sha256"], (row, each))
    asked = sorted(groups, key=lambda name: (-len(groups[name]), name))
    ordered = {name: sorted(groups[name].values(), key=lambda pair: _rank(pair[0])) for name in asked}
    rows: list[Row] = []
    for name in asked:
        rows += [base_row(ordered[name][0][1]), *(row for row, _ in ordered[name])]
    differing = _differing([row for row in rows if row["model"] == TUNED])
    named = [{**row, "name": name_row(row), "differs": _some(row["settings"], differing)} for row in rows]
    return Comparison(named, asked, [each for _, each in ordered[asked[0]]])


def _rank(row: Row) -> tuple[float, float, str]:
    return -(row["retention"] or 0.0), -(row["species_recognised"] or 0.0), row["pipeline_sha256"]


def name_row(row: Row) -> str:
    """The method and the first digits of the hash of what was sampled, which no two models share."""
    return f"{row['method']} {row['pipeline_sha256'][:SHORT]}"


def _differing(rows: Sequence[Row]) -> list[str]:
    """The settings that are not the same in all rows."""
    names = sorted({name for row in rows for name in row["settings"]})
    return [name for name in names if len({repr(row["settings"].get(name)) for row in rows}) > 1]


def _some(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: settings[name] for name in names if settings.get(name) is not None}


def _asked(sample_galleries: Path, report: Row) -> str:
    """Hash of all that decides the pictures and their judgement beside the tuned weights."""
    about = read_about(sample_galleries)
    asked = sorted(
        (row["kind"], row["prompt_id"], row["text"], row["seed"])
        for row in read_gallery(sample_galleries)
        if row["model"] == TUNED and row["kind"] in ("control", "species")
    )
    judges = [report["judge"]["sha256"], (report["by_text"] or {"judge": {"sha256": ""}})["judge"]["sha256"]]
    decided = [about["settings"], about["models"][BASE]["sha256"], asked, judges]
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[: 2 * SHORT]


def phrase_comparison(rows: Sequence[Row]) -> str:
    """Which keeps most, which draws the species best, and what cannot be told apart."""
    tuned = [row for row in rows if row["model"] == TUNED]
    alike = [row for row in tuned if row["asked"] == tuned[0]["asked"]]
    said: list[str] = []
    known = [row for row in alike if row["retention"] is not None]
    if known:
        most = max(known, key=lambda row: row["retention"])
        said.append(f"{most['name']} keeps most, a retention of {most['retention']:.0%}.")
        near = [row["name"] for row in known if row is not most and _overlap(row, most)]
        if near:
            said.append(f"Over {most['pairs']} pairs it is not told apart from {', '.join(near)}.")
    best = max(alike, key=lambda row: row["species_recognised"])
    said.append(f"{best['name']} draws the species best, {best['species_recognised']:.0%} recognised.")
    if len(alike) < len(tuned):
        said.append(
            f"{len(tuned) - len(alike)} of {len(tuned)} models were asked otherwise and stand apart: their shares do "
            "not compare with the others'. Grow them again with the same prompts and settings."
        )
    return " ".join(said)


def _overlap(one: Row, other: Row) -> bool:
    return bool(one["interval"][1] >= other["interval"][0] and other["interval"][1] >= one["interval"][0])


def write_table_of(comparison: Comparison) -> str:
    """The rows as a table in Markdown."""
    heads = (
        "weights", "what differs", "step", "strength", "retention", "interval", "by names", "like fungi",
        "species recognised", "themselves", "copies", "asked",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in comparison.rows:
        differs = ", ".join(f"{name} {value}" for name, value in row["differs"].items())
        interval = f"{row['interval'][0]:.0%} to {row['interval'][1]:.0%}" if row["interval"] else ""
        themselves = f"{row['themselves']} of {row['species']}" if row["species"] else ""
        cells = (
            row["name"], differs, _plain(row["step_kept"]), _plain(row["strength"]), _share(row["retention"]),
            interval, _share(row["retention_by_text"]), _share(row["fungal"]), _share(row["species_recognised"]),
            themselves, _plain(row["copies"]), row["asked"][:4],
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
