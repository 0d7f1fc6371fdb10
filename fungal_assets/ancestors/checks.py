"""Checks of evolved forms: are the ancestors reproduced, could the forms live, are they new, are they still fungi.

What can be grown again is grown again from its genome, not read from the notes. `check_still_fungi` trusts the pocket
judge, which knows a hundred things and sixteen fungi. Belongs here: verdicts about complete folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from fungal_assets.verdicts import Verdict, judged, name_some

LEAST_REPRODUCED = 0.99
LEAST_VIABILITY = 0.4
MOST_OVERLAP = 0.9
LEAST_FUNGI = 0.5
LEAST_REPLAYED = 0.995
_GRID = 32


def check_reproduction(cppn_forms: Path) -> Verdict:
    """Every ancestor was reproduced at generation 0."""

    def judge() -> Verdict:
        found = json.loads((cppn_forms / "ancestors.json").read_text())["ancestors"]
        weak = [
            f"{one['name']} ({one['reproduced']:.3f})"
            for one in found
            if one["reproduced"] < LEAST_REPRODUCED
        ]
        least = min(one["reproduced"] for one in found)
        finding = f"the ancestors overlap with what grows from their first genomes by {least:.4f} or more"
        if weak:
            finding = f"not reproduced: {name_some(weak)}; expected {LEAST_REPRODUCED}. Their parts may be too thin."
        return Verdict(not weak, finding, {"least_reproduced": least, "ancestors": len(found)})

    return judged(judge)


def check_meshes(cppn_forms: Path) -> Verdict:
    """Every mesh has faces, is one body, and is closed and manifold."""

    def judge() -> Verdict:
        from fungal_assets.ancestors.keeping import list_evolved
        from fungal_assets.forms.gltf import read_glb
        from fungal_assets.forms.topology import fault_of

        faults, counts = [], []
        for form in list_evolved(cppn_forms):
            _, arrays = read_glb(cppn_forms / form["slug"] / "mesh.glb")
            faces = arrays["indices"].reshape(-1, 3).astype(int)
            fault = fault_of(arrays["POSITION"], faces)
            counts.append(len(faces))
            faults += [f"{form['common_name']} {fault}"] if fault else []
        finding = (
            f"{name_some(faults)}. Evolve with another seed." if faults else "every mesh is one closed body"
        )
        figures = {"meshes": len(counts), "faulty": len(faults), "fewest_faces": min(counts)}
        return Verdict(not faults, finding, figures)

    return judged(judge)


def check_viability(cppn_forms: Path) -> Verdict:
    """Every form that evolution kept, grown again, is one piece, stands, and does not touch the box."""

    def judge() -> Verdict:
        found = {form["common_name"]: _measure(cppn_forms, form)[0] for form in _evolved(cppn_forms)}
        weak = [f"{name} ({value:.2f})" for name, value in found.items() if value < LEAST_VIABILITY]
        finding = f"not viable: {name_some(weak)}" if weak else "every form could live"
        return Verdict(
            not weak, finding, {"forms": len(found), "least_viability": round(min(found.values()), 4)}
        )

    return judged(judge)


def check_difference(cppn_forms: Path) -> Verdict:
    """Every form, grown again, differs from each of its ancestors."""

    def judge() -> Verdict:
        found = {form["common_name"]: _measure(cppn_forms, form)[1] for form in _evolved(cppn_forms)}
        same = [f"{name} ({value:.2f})" for name, value in found.items() if value > MOST_OVERLAP]
        most = max(found.values())
        finding = f"the form that is most like an ancestor overlaps it by {most:.2f}"
        if same:
            finding = (
                f"hardly evolved: {name_some(same)}; expected {MOST_OVERLAP} at most. Breed more generations."
            )
        return Verdict(not same, finding, {"most_overlap": round(most, 4)})

    return judged(judge)


def check_still_fungi(cppn_forms: Path) -> Verdict:
    """The judge calls the forms fungi in at least half of their views."""

    def judge() -> Verdict:
        shares = {form["common_name"]: form["called_fungus"] for form in _evolved(cppn_forms)}
        mean = sum(shares.values()) / len(shares)
        lost = [f"{name} ({share:.0%})" for name, share in shares.items() if share < LEAST_FUNGI]
        finding = f"{mean:.0%} of the views are called fungi, expected {LEAST_FUNGI:.0%}"
        finding += f"; mostly not: {name_some(lost)}" if lost else ""
        return Verdict(mean >= LEAST_FUNGI, finding, {"called_fungi": round(mean, 4), "lost": len(lost)})

    return judged(judge)


def check_replay(cppn_forms: Path) -> Verdict:
    """Every genome that is kept grows the volume that is kept beside it."""

    def judge() -> Verdict:
        from fungal_assets.forms.keeping import load_volume
        from fungal_assets.forms.solid import overlap

        found = {}
        for form in _forms(cppn_forms):
            kept = load_volume(cppn_forms / form["slug"] / "form.npz").cell_alpha() > 0.5
            again = _regrow(cppn_forms, form).cell_alpha() > 0.5
            found[form["common_name"]] = overlap(kept, again)
        wrong = [f"{name} ({value:.3f})" for name, value in found.items() if value < LEAST_REPLAYED]
        finding = (
            f"grows something else: {name_some(wrong)}" if wrong else "every genome grows its form again"
        )
        return Verdict(not wrong, finding, {"least_replayed": round(min(found.values()), 5)})

    return judged(judge)


def _forms(cppn_forms: Path) -> list[dict[str, Any]]:
    from fungal_assets.ancestors.keeping import list_evolved

    forms = list_evolved(cppn_forms)
    if not forms:
        raise ValueError("forms.json lists no form")
    return forms


def _evolved(cppn_forms: Path) -> Iterator[dict[str, Any]]:
    """Those that no person chose."""
    return (form for form in _forms(cppn_forms) if form["bred_by"] == "evolution")


def _regrow(cppn_forms: Path, form: dict[str, Any]) -> Any:
    from fungal_assets.ancestors.expression import grow_form
    from fungal_assets.ancestors.keeping import read_genome

    descendant, names = read_genome(cppn_forms / form["slug"] / "genome.json")
    return grow_form(descendant.genome, _fields(cppn_forms, names), form["grid_size"])


def _fields(cppn_forms: Path, names: list[str]) -> list[Any]:
    paths = [cppn_forms / name for name in names]
    return [_field(path, path.stat().st_mtime_ns) for path in paths]


@lru_cache(maxsize=8)
def _field(path: Path, changed_ns: int) -> Any:
    """The field of a kept ancestor, measured once for all checks; anew where the file has changed."""
    from fungal_assets.ancestors.keeping import load_ancestor

    return load_ancestor(path)


def _measure(cppn_forms: Path, form: dict[str, Any]) -> tuple[float, float]:
    """How far it is one piece, stands and touches nothing, and its greatest overlap with an ancestor, grown again."""
    from fungal_assets.ancestors.expression import express
    from fungal_assets.ancestors.fitness import matter_of
    from fungal_assets.ancestors.keeping import read_genome
    from fungal_assets.ancestors.living import Kin, measure_viability

    descendant, names = read_genome(cppn_forms / form["slug"] / "genome.json")
    fields = _fields(cppn_forms, names)
    matter = express([descendant.genome], fields, _GRID).density > 0
    viability, overlaps, _ = measure_viability(matter, Kin.of(matter_of(fields, _GRID)))
    found = viability[0]
    return found.wholeness * found.standing * found.air, float(overlaps.max())
