"""Meshes for the guide's own pages, inside scripts: a page opened from the file system may read no other file.

A mesh goes into a script as the GLB that it is, in base64; `templates/solids.js` opens it in the browser and draws it
with WebGL 2. Why that and no library: `docs/log.md`, "A viewer and a walk".
Belongs here: which level of detail a page takes, and the scripts that carry it. Placing species in the walk does not.
"""

from __future__ import annotations

import base64
from pathlib import Path

PAGE_BYTES = 1_200_000
"""The most that the mesh of a species' page may take, as GLB."""
WALK_BYTES = 150_000
"""The most that a mesh seen from near may take in the walk, as GLB."""
SCRIPTS = ("solids.js", "turning.js", "forest.js", "props.js", "walking.js")


def list_levels(folder: Path | None, slug: str) -> list[Path]:
    """The GLB files of a species' levels of detail, the finest first; none where it has no mesh."""
    return sorted(folder.glob(f"{slug}_LOD*.glb")) if folder else []


def pick_level(levels: list[Path], most_bytes: int) -> Path:
    """The finest level of at most that size, or else the coarsest there is."""
    return next((path for path in levels if path.stat().st_size <= most_bytes), levels[-1])


def to_text(path: Path) -> str:
    """A file in base64."""
    return base64.b64encode(path.read_bytes()).decode("ascii")
