"""What a check says: one shape for every test of the art.

Pure stages return verdicts about folders that they read; the Dagster layer turns each into an asset check result.
A verdict never raises: a failed check is a finding, not an accident.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fungal_assets.errors import FungalError


@dataclass(frozen=True)
class Verdict:
    """One finding about an artefact.

    Args:
        passed: Whether the claim that the check is named for holds.
        finding: One sentence: what was found, what was expected, and if it failed what to do.
        figures: The numbers behind it, JSON-able.
    """

    passed: bool
    finding: str
    figures: Mapping[str, float | int | str] = field(default_factory=dict)


def judged(judge: Callable[[], Verdict]) -> Verdict:
    """The verdict, or a failed one where what is judged cannot be read."""
    try:
        return judge()
    except (OSError, ValueError, KeyError, IndexError, TypeError, FungalError) as error:
        return Verdict(False, f"cannot be read: {type(error).__name__}: {error}. Grow it again.")


def name_some(faults: Sequence[str], most: int = 5) -> str:
    """The first few of what a finding tells of, and how many more there are."""
    more = f" and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(faults[:most]) + more
