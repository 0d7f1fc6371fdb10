"""What is told of a form in all that is made of it.

Of a form that was grown these are notes of its species and of how it was grown, which each stage chooses. A form that
was evolved, by itself or by a person, has no species and no prompt, but a lineage; it goes on whole.

Belongs here: which of a form's notes go on. Where files have them stands with each format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fungal_assets.errors import ProvenanceError

LINEAGE = ("slug", "common_name", "key", "generation", "parents", "bred_by", "ancestors")
"""What goes on of an evolved form: `key`, `generation` and `parents` (keys) of its genome, `bred_by` "evolution" or "a
person", and the names of its `ancestors`."""


def is_evolved(notes: Mapping[str, Any]) -> bool:
    """Whether notes are of a form that descends from ancestors."""
    return "ancestors" in notes


def choose_notes(notes: Mapping[str, Any], of_grown: Sequence[str]) -> dict[str, Any]:
    """Those of a form's notes that go on.

    Args:
        notes: All that is known of it.
        of_grown: Which of them, unless it was evolved.

    Raises:
        ProvenanceError: Some are missing.
    """
    names, again = (of_grown, "--until forms_3d") if not is_evolved(notes) else (LINEAGE, "--with ancestors")
    missing = [name for name in names if name not in notes]
    if missing:
        raise ProvenanceError(
            f"the form {notes.get('common_name', 'without a name')!r} does not tell {', '.join(missing)}. Grow it "
            f"again: fungal grow {again}"
        )
    return {name: notes[name] for name in names}
