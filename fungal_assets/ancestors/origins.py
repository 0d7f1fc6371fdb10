"""Where the object that a form descends from is found: a file, a grown form, or a form of the fungarium.

    mushroom.glb, ~/things/chair.stl     a mesh of your own
    form:royal flame coral               a grown form, by its name; `form:` alone stands for all of them
    fungarium:fly_agaric, fungarium:coral:7    a form of the fungarium, by its morphotype and seed

Belongs here: reading those addresses. What becomes of the meshes does not. Heavy libraries: import this module inside
functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fungal_assets.ancestors.bodies import Body, mend, read_body
from fungal_assets.errors import InputError
from fungal_assets.forms.srgb import to_srgb

FORM, FUNGARIUM = "form:", "fungarium:"
MOST_CHOSEN = 3
DEFAULTS = ("fungarium:fly_agaric", "fungarium:coral", "fungarium:morel")
_CELLS, _FACES = 112, 20_000


def read_origin(address: str, forms_3d: Path | None = None) -> tuple[str, Body]:
    """The object of an address, and its name.

    Args:
        address: As the module says.
        forms_3d: The complete output `forms_3d`, where there is one.

    Raises:
        InputError: There is no such object, or it cannot be mended.
    """
    if address.startswith(FORM):
        return _grown_form(address.removeprefix(FORM).strip(), forms_3d)
    if address.startswith(FUNGARIUM):
        return _fungarium_form(address.removeprefix(FUNGARIUM))
    path = Path(address).expanduser()
    return path.stem, read_body(path)


def is_path(address: str) -> bool:
    """Whether an address is that of a file."""
    return bool(address) and not address.startswith((FORM, FUNGARIUM))


def choose_origins(addresses: Sequence[str], forms_3d: Path | None) -> list[str]:
    """The addresses that forms descend from, each of one object.

    `form:` alone becomes each grown form, and paths absolute, so that a record says which file it was. Where there are
    no addresses the first `MOST_CHOSEN` grown forms are taken, and where there are none of these, `DEFAULTS`.
    """
    settled: list[str] = []
    for address in addresses:
        if address.strip() == FORM:
            settled += [f"{FORM}{name}" for name in form_names(forms_3d)]
        else:
            settled.append(str(Path(address).expanduser().absolute()) if is_path(address) else address)
    grown = [f"{FORM}{name}" for name in form_names(forms_3d)[:MOST_CHOSEN]]
    return list(dict.fromkeys(settled or grown or DEFAULTS))


def form_names(forms_3d: Path | None) -> list[str]:
    """The common names of the grown forms; none without any."""
    if forms_3d is None:
        return []
    from fungal_assets.forms.keeping import list_forms

    return [form["common_name"] for form in list_forms(forms_3d)]


def _grown_form(name: str, forms_3d: Path | None) -> tuple[str, Body]:
    from fungal_assets.forms.keeping import list_forms, load_volume
    from fungal_assets.forms.meshing import mesh_volume

    forms = {} if forms_3d is None else {form["common_name"]: form for form in list_forms(forms_3d)}
    if forms_3d is None or name not in forms:
        there = f"the grown forms are {', '.join(sorted(forms))}" if forms else "there are no grown forms"
        raise InputError(f"{FORM}{name} is not known: {there}. Grow forms with: fungal grow --until forms_3d")
    mesh = mesh_volume(load_volume(forms_3d / forms[name]["slug"] / "form.npz"), max_faces=_FACES)
    body = Body(mesh.vertices.astype(np.float64), mesh.faces, mesh.colours)
    return name, mend(body, name=f"{FORM}{name}")


def _fungarium_form(text: str) -> tuple[str, Body]:
    import torch
    from skimage.measure import marching_cubes

    from fungal_assets.pocket.fungarium import MORPHOTYPES, sample_portrait
    from fungal_assets.pocket.fungarium.bodies import build_body
    from fungal_assets.pocket.fungarium.skins import paint_skin

    morphotype, _, seed = text.partition(":")
    if morphotype not in MORPHOTYPES or not (seed or "0").isdecimal():
        raise InputError(
            f"{FUNGARIUM}{text} is not known; write {FUNGARIUM}MORPHOTYPE or {FUNGARIUM}MORPHOTYPE:SEED with one of "
            f"{', '.join(MORPHOTYPES)}."
        )
    form, skin = build_body(sample_portrait(int(seed or 0), morphotype=morphotype), columns=_CELLS)
    line = torch.linspace(-1.05 * form.reach, 1.05 * form.reach, _CELLS)
    z, y, x = torch.meshgrid(line, line + form.middle, line, indexing="ij")
    points = torch.stack([x, y, z], -1).reshape(-1, 3)
    distance = torch.cat([form.distance(part) for part in points.split(200_000)]) / form.damping
    corners, faces, _, _ = marching_cubes(
        distance.view(_CELLS, _CELLS, _CELLS).numpy(), 0.0, allow_degenerate=False
    )
    step, low = float(line[1] - line[0]), float(line[0])
    vertices = corners[:, ::-1] * step + low
    vertices[:, 1] += form.middle
    colours = to_srgb(paint_skin(skin, form, torch.from_numpy(vertices.astype(np.float32))).numpy())
    body = Body(vertices.astype(np.float64), faces[:, ::-1].astype(np.int64), colours)
    name = morphotype.replace("_", " ") + (f" {seed}" if seed else "")
    return name, mend(body, name=f"{FUNGARIUM}{text}")
