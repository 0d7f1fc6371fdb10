"""Checking a whole growth again as it lies in the store: every asset's checks, and every file against its record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fungal_assets.reporting import outputs_of, read_growth
from fungal_assets.store import Store, mismatches


@dataclass(frozen=True)
class AuditFinding:
    """One check of one output: its name, the check's, whether it passed, and what it says."""

    output: str
    check: str
    passed: bool
    text: str


def audit_growth(store: Store) -> Iterator[AuditFinding]:
    """Every check of every output of the last growth, nothing made again."""
    from fungal_assets.defs.building import CHECKS

    outputs = {output.record.asset: output for output in outputs_of(store, read_growth(store))}
    for asset, output in outputs.items():
        faults = mismatches(output)
        text = "; ".join(faults) or f"all {len(output.record.files)} files are as recorded"
        yield AuditFinding(output.name, "files_as_recorded", not faults, text)
        for check in CHECKS[asset]:
            verdict = check.verdict(output, outputs)
            yield AuditFinding(output.name, check.name, verdict.passed, verdict.finding)
