"""What is kept of evolved forms: the ancestors they are told of, and each form's genome, mesh, volume and pictures.

    ancestors/<sha256, 12 digits>.npz   one ancestor's mesh: vertices, faces, colours, name
    <slug>/genome.json                  the genome with its lineage, its descent and its ancestors: all that it takes to
                                        grow the form again, at any size
    <slug>/form.npz, mesh.glb, turntable.webp, turntable.mp4
    <slug>/form.json                    figures of the form; written last, so that its presence means complete

Belongs here: reading and writing those. Heavy libraries: import this module inside functions only.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets.ancestors.bodies import Body
from fungal_assets.ancestors.breeding import FORM_NOTES
from fungal_assets.ancestors.expression import grow_form
from fungal_assets.ancestors.fields import Field, measure_field
from fungal_assets.ancestors.genomes import Lineage, from_json, to_json
from fungal_assets.errors import ProvenanceError
from fungal_assets.forms.lighting import shine
from fungal_assets.store import write_atomically

if TYPE_CHECKING:
    import neat


LIST_NAME, GENOME_NAME, NOTES_NAME, ANCESTORS = "forms.json", "genome.json", FORM_NOTES, "ancestors"
FRAMES, FRAME_PX, FRAMES_PER_S = 24, 160, 12


@dataclass(frozen=True)
class Descendant:
    """A genome, where it is from, and all that it descends from, the fitter parent each time, the first one first."""

    genome: neat.DefaultGenome
    lineage: Lineage
    descent: Sequence[Mapping[str, Any]] = ()


def save_ancestor(folder: Path, field: Field) -> str:
    """Keep an ancestor's mesh below a folder of forms; returns its path there."""
    name = f"{ANCESTORS}/{field.sha256[:12]}.npz"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_name(f".{path.name}")
        with temporary.open("wb") as file:
            np.savez_compressed(
                file,
                vertices=field.body.vertices.astype(np.float32),
                faces=field.body.faces.astype(np.int32),
                colours=field.body.colours,
                name=np.array(field.name),
                cells=np.array(field.distance.shape[0]),
            )
        temporary.replace(path)
    return name


def load_ancestor(path: Path) -> Field:
    """The field of a kept ancestor.

    Raises:
        ProvenanceError: It is missing or cannot be read.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            body = Body(kept["vertices"].astype(np.float64), kept["faces"].astype(np.int64), kept["colours"])
            name, cells = str(kept["name"]), int(kept["cells"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ProvenanceError(
            f"{path} is no kept ancestor: {error}. Evolve again: fungal grow --with ancestors"
        ) from error
    return measure_field(name, body, cells=cells)


def keep_genome(
    path: Path, descendant: Descendant, fields: Sequence[Field], ancestors: Sequence[str]
) -> None:
    """Write a genome with what it descends from.

    Args:
        path: The file.
        descendant: Who.
        fields: Of the ancestors.
        ancestors: Their paths as `save_ancestor` gave them.
    """
    told = [
        {"name": field.name, "path": name, "sha256": field.sha256}
        for field, name in zip(fields, ancestors, strict=True)
    ]
    kept = to_json(descendant.genome, descendant.lineage) | {
        "ancestors": told,
        "descent": [dict(each) for each in descendant.descent],
    }
    write_atomically(path, json.dumps(kept, indent=1))


def read_genome(path: Path) -> tuple[Descendant, list[str]]:
    """A kept genome, and the paths of its ancestors.

    Raises:
        ProvenanceError: It is none.
    """
    try:
        kept = json.loads(path.read_text())
        ancestors = [each["path"] for each in kept["ancestors"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProvenanceError(
            f"{path} is no kept genome: {error}. Evolve again: fungal grow --with ancestors"
        ) from error
    genome, lineage = from_json(kept)
    return Descendant(genome, lineage, kept.get("descent", ())), ancestors


def keep_form(
    folder: Path,
    descendant: Descendant,
    fields: Sequence[Field],
    ancestors: Sequence[str],
    notes: Mapping[str, Any],
    *,
    grid_size: int,
    max_faces: int,
) -> dict[str, Any]:
    """Grow a form whole and keep it, unless it is there; returns its notes as written.

    Args:
        folder: The form's own.
        descendant: Whose form.
        fields: Of the ancestors.
        ancestors: Their paths as `save_ancestor` gave them.
        notes: What else is known, `common_name` and `slug` among it.
        grid_size: Samples along a side.
        max_faces: Budget of the mesh.

    Raises:
        InputError: Nothing grows from the genome.
    """
    from fungal_assets.forms.gltf import write_glb
    from fungal_assets.forms.keeping import save_volume
    from fungal_assets.forms.meshing import mesh_volume
    from fungal_assets.forms.shooting import turn
    from fungal_assets.forms.video import write_mp4, write_preview

    if (folder / NOTES_NAME).exists():
        return json.loads((folder / NOTES_NAME).read_text())
    folder.mkdir(parents=True, exist_ok=True)
    keep_genome(folder / GENOME_NAME, descendant, fields, ancestors)
    volume = grow_form(descendant.genome, fields, grid_size)
    mesh = mesh_volume(volume, max_faces=max_faces)
    extras = {
        "name": notes["common_name"],
        "key": descendant.genome.key,
        "generation": descendant.lineage.generation,
        "parents": list(descendant.lineage.parents),
        "ancestors": [field.name for field in fields],
    }
    save_volume(folder / "form.npz", volume, extras)
    write_glb(folder / "mesh.glb", mesh, name=notes["common_name"], extras=extras)
    frames = list(turn(shine(volume), FRAMES, FRAME_PX, FRAME_PX, finer=1))
    write_preview(folder / "turntable.webp", frames, frames_per_s=FRAMES_PER_S)
    write_mp4(folder / "turntable.mp4", frames, frames_per_s=FRAMES_PER_S)
    kept = dict(notes) | {"faces": len(mesh.faces), "grid_size": grid_size}
    write_atomically(folder / NOTES_NAME, json.dumps(kept, indent=1))
    return kept


def list_evolved(cppn_forms: Path) -> list[dict[str, Any]]:
    """The notes of every form, in the order of `forms.json`; raises as `read_list` does."""
    return read_list(cppn_forms / LIST_NAME)["forms"]


def read_list(path: Path) -> dict[str, Any]:
    """What the list of an output says, whose name is that of what it lists.

    Raises:
        ProvenanceError: It is not there.
    """
    if not path.exists():
        raise ProvenanceError(
            f"{path} is missing: the {path.stem} are not complete. Run: fungal grow --with ancestors"
        )
    return json.loads(path.read_text())


def adopt(saved: Path, folder: Path, notes_name: str) -> dict[str, Any]:
    """What a person bred and saved, copied into an output with the ancestors that its genome names; its notes."""
    notes = json.loads((saved / notes_name).read_text())
    shutil.copytree(saved, folder / notes["slug"], dirs_exist_ok=True)
    for name in read_genome(saved / GENOME_NAME)[1]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(saved.parents[1] / name, target)
    return notes
