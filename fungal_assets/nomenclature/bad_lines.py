"""Bad lines of tables that a person writes: the good lines are used, the bad ones kept with their reason and told.

Belongs here: what a bad line is, where it is kept, and the one case in which a table is refused. What makes a line bad
is known where the table is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fungal_assets.errors import InputError
from fungal_assets.progress import Tell
from fungal_assets.store import Figures, write_atomically
from fungal_assets.verdicts import Verdict

TABLE_NAME = "bad_lines.json"
_SHOWN = 10


@dataclass(frozen=True)
class BadLine:
    """One line that was not used.

    Args:
        table: File name of the table.
        line: Its number, from 1.
        reason: Everything that is wrong with it.
    """

    table: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.table} line {self.line}: {self.reason}"


def keep_bad_lines(folder: Path, bad: Sequence[BadLine], tell: Tell) -> Figures:
    """Write them to `bad_lines.json`, tell each, and count them."""
    write_atomically(folder / TABLE_NAME, json.dumps([asdict(one) for one in bad], indent=1))
    for one in bad:
        tell(f"left out: {one}")
    return {"bad_lines": len(bad)}


def read_bad_lines(folder: Path) -> list[BadLine]:
    """Those of an output."""
    return [BadLine(**row) for row in json.loads((folder / TABLE_NAME).read_text(encoding="utf-8"))]


def check_every_line_is_used(folder: Path) -> Verdict:
    """No line of a person's own table was left out."""
    bad = read_bad_lines(folder)
    if not bad:
        return Verdict(True, "No line of your tables was left out.", {"bad_lines": 0})
    found = f"{len(bad)} lines of your tables were left out: {list_bad_lines(bad)}"
    return Verdict(False, f"{found}. Mend them and grow again to use them.", {"bad_lines": len(bad)})


def refuse_if_none_is_good(path: Path, good: Sequence[object], bad: Sequence[BadLine]) -> None:
    """Raise an error that names every bad line of a table if it has no good one."""
    if not good:
        raise InputError(
            f"{path} has no line that can be used: {list_bad_lines(bad) or 'it is empty'}. Mend it and run again."
        )


def list_bad_lines(bad: Sequence[BadLine]) -> str:
    """The first of them in one text, and how many there are besides."""
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return "; ".join(map(str, bad[:_SHOWN])) + more
