"""What is kept of an evolved picture.

    <slug>/genome.json     the genome with its lineage and its descent: all that it takes to draw it at any size
    <slug>/picture.png     the picture
    <slug>/picture.json    figures of it; written last, so that its presence means complete

Belongs here: reading and writing those. Heavy libraries: import this module inside functions only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fungal_assets.ancestors.breeding import PICTURE_NOTES
from fungal_assets.ancestors.keeping import GENOME_NAME, Descendant, keep_genome, read_list
from fungal_assets.ancestors.picture_drawing import draw
from fungal_assets.store import write_atomically

LIST_NAME, NOTES_NAME, PICTURE_NAME = "pictures.json", PICTURE_NOTES, "picture.png"


def keep_picture(
    folder: Path, descendant: Descendant, notes: Mapping[str, Any], *, size_px: int
) -> dict[str, Any]:
    """Draw a picture and keep it, unless it is there; returns its notes as written.

    Args:
        folder: The picture's own.
        descendant: Whose picture.
        notes: What else is known, `common_name` and `slug` among it.
        size_px: Its side.
    """
    if (folder / NOTES_NAME).exists():
        return json.loads((folder / NOTES_NAME).read_text())
    folder.mkdir(parents=True, exist_ok=True)
    keep_genome(folder / GENOME_NAME, descendant, [], [])
    draw(descendant.genome, size_px).save(folder / PICTURE_NAME)
    kept = dict(notes) | {"size_px": size_px}
    write_atomically(folder / NOTES_NAME, json.dumps(kept, indent=1))
    return kept


def list_pictures(cppn_pictures: Path) -> list[dict[str, Any]]:
    """The notes of every picture, in the order of `pictures.json`; raises as `keeping.read_list` does."""
    return read_list(cppn_pictures / LIST_NAME)["pictures"]
