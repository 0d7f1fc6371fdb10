"""A form's folder: the volume as it is kept, and its notes.

    form.npz    density float16 (D, H, W) and colour float16 (3, D, H, W), both before activation; notes as JSON text
    views.webp, and first_guess.webp if it began as one
    form.json   the notes; written last, so that its presence means complete

Belongs here: reading and writing of volumes and notes. Torch kernel.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253

from fungal_assets.errors import ProvenanceError
from fungal_assets.forms.planning import LIST_NAME
from fungal_assets.forms.volume import Volume

_COMMANDS = "fungal grow --until forms_3d, evolved ones: fungal grow --with ancestors"


def save_volume(path: Path, volume: Volume, notes: Mapping[str, Any]) -> None:
    """Write a volume and its notes under a temporary name and rename it."""
    temporary = path.with_name(f".{path.name}")
    text = json.dumps(dict(notes) | {"extent": volume.bounds}, sort_keys=True)
    with temporary.open("wb") as file:
        np.savez_compressed(
            file,
            density=volume.density.numpy().astype(np.float16),
            colour=volume.colour.clamp(-12, 12).numpy().astype(np.float16),
            metadata=np.array(text),
        )
    temporary.replace(path)


def load_volume(path: Path) -> Volume:
    """A kept volume, float32; raises as `load_form` does."""
    return load_form(path)[0]


def load_form(path: Path) -> tuple[Volume, dict[str, Any]]:
    """A kept volume, float32, and the notes that were kept in it.

    Raises:
        ProvenanceError: It is missing or cannot be read.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            notes = json.loads(str(kept["metadata"]))
            extent = notes.pop("extent")
            density, colour = (
                torch.from_numpy(kept[name].astype(np.float32)) for name in ("density", "colour")
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ProvenanceError(f"{path} is no kept form: {error}. Grow it again: {_COMMANDS}") from error
    return Volume(density, colour, (tuple(extent[0]), tuple(extent[1]))), notes


def list_forms(forms_3d: Path) -> list[dict[str, Any]]:
    """The notes of every form that is a body, in the order of `forms.json`.

    Raises:
        ProvenanceError: There is no list, or it cannot be read.
    """
    return _read_list(forms_3d)["forms"]


def list_failed(forms_3d: Path) -> list[dict[str, Any]]:
    """`common_name`, `slug` and `fault` of every form that is none.

    Raises:
        ProvenanceError: There is no list, or it cannot be read.
    """
    return _read_list(forms_3d).get("failed", [])


def _read_list(forms_3d: Path) -> dict[str, list[dict[str, Any]]]:
    path = forms_3d / LIST_NAME
    if not path.exists():
        raise ProvenanceError(f"{path} is missing: the forms are not complete. Run: {_COMMANDS}")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ProvenanceError(f"{path} is no list of forms: {error}. Run: {_COMMANDS}") from error
