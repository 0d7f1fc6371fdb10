"""Checks of forms: was the guide the tuned one, is each a solid body, is it its species.

`check_recognition` trusts the clusters' extractor, EfficientNet-Lite0 by default, which was trained on photographs of
other things and sees small renders here; it is an independent judge, not a botanist. Belongs here: verdicts about
complete folders.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fungal_assets.verdicts import Verdict, judged

COVERAGE = (0.02, 0.70)
MOST_ENTROPY_BITS = 0.15
LEAST_R_PRECISION = 0.6


def check_guide(forms_3d: Path, pruned_weights: Path) -> Verdict:
    """Every form was guided by the tuned weights, not by the base model or by older weights."""

    def judge() -> Verdict:
        record = json.loads((pruned_weights / "weights.json").read_text())
        expected, base = record["pipeline_sha256"], record["base_model"]["sha256"]
        guides = {form["common_name"]: form["guide_sha256"] for form in _forms(forms_3d)}
        wrong = [
            f"{name} was guided by {'the untuned base model' if guide == base else f'other weights ({guide[:12]})'}"
            for name, guide in guides.items()
            if guide != expected
        ]
        if expected == base:
            wrong = ["the tuned weights are the base model's own"]
        finding = (
            "; ".join(wrong) + ". Grow the forms again."
            if wrong
            else "all forms were guided by the tuned weights"
        )
        return Verdict(
            not wrong, finding, {"forms": len(guides), "wrong": len(wrong), "guide_sha256": expected[:12]}
        )

    return judged(judge)


def check_meshes(forms_3d: Path) -> Verdict:
    """Every mesh has faces, is one body, and is closed and manifold."""

    def judge() -> Verdict:
        faults, faces = [], []
        for form in _forms(forms_3d):
            fault, count = _fault_of_mesh(forms_3d / form["slug"] / "mesh.glb")
            faces.append(count)
            faults += [f"{form['common_name']} {fault}"] if fault else []
        finding = (
            "; ".join(faults) + ". Grow these species again." if faults else "every mesh is one closed body"
        )
        return Verdict(
            not faults, finding, {"meshes": len(faces), "faulty": len(faults), "fewest_faces": min(faces)}
        )

    return judged(judge)


def check_solidity(forms_3d: Path) -> Verdict:
    """Every form covers a sensible part of its pictures and is opaque where it is anything."""

    def judge() -> Verdict:
        from fungal_assets.forms.keeping import load_volume
        from fungal_assets.forms.solid import solidity
        from fungal_assets.forms.views import orbit

        faults, coverages, entropies = [], [], []
        for form in _forms(forms_3d):
            figures = solidity(load_volume(forms_3d / form["slug"] / "form.npz"), orbit(4))
            coverages.append(figures["alpha_coverage"])
            entropies.append(figures["alpha_entropy"])
            if not COVERAGE[0] <= coverages[-1] <= COVERAGE[1]:
                faults.append(f"{form['common_name']} covers {coverages[-1]:.1%} of its pictures")
            if entropies[-1] > MOST_ENTROPY_BITS:
                faults.append(f"{form['common_name']} is glassy ({entropies[-1]:.2f} bits)")
        wanted = f"expected {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%} and at most {MOST_ENTROPY_BITS} bits"
        finding = (
            f"{'; '.join(faults)}; {wanted}. Grow with more iterations." if faults else "every form is solid"
        )
        figures = {
            "least_coverage": min(coverages),
            "most_coverage": max(coverages),
            "most_entropy": max(entropies),
        }
        return Verdict(not faults, finding, {name: round(value, 4) for name, value in figures.items()})

    return judged(judge)


def check_recognition(forms_3d: Path, *, least: float = LEAST_R_PRECISION) -> Verdict:
    """Views of a form are mostly taken for its own species by a judge that did not guide it."""

    def judge() -> Verdict:
        shares = {form["common_name"]: form["recognised"] for form in _forms(forms_3d)}
        mean = sum(shares.values()) / len(shares)
        weak = [f"{name} ({share:.0%})" for name, share in shares.items() if share < 0.5]
        finding = f"{mean:.0%} of the views are nearest to their own species, expected {least:.0%}"
        finding += f"; weak: {', '.join(weak)}" if weak else ""
        return Verdict(
            mean >= least, finding, {"r_precision": round(mean, 4), "forms": len(shares), "weak": len(weak)}
        )

    return judged(judge)


def _forms(forms_3d: Path) -> list[dict]:
    from fungal_assets.forms.keeping import list_forms

    forms = list_forms(forms_3d)
    if not forms:
        raise ValueError("forms.json lists no form")
    return forms


def _fault_of_mesh(path: Path) -> tuple[str, int]:
    """What is wrong with a mesh, or an empty text, and its number of faces."""
    from fungal_assets.forms.gltf import read_glb
    from fungal_assets.forms.meshing import count_bodies, is_closed, signed_volume

    _, arrays = read_glb(path)
    vertices, faces = arrays["POSITION"], arrays["indices"].reshape(-1, 3).astype(np.int64)
    if len(faces) == 0:
        return "has no faces", 0
    if not is_closed(faces):
        return "is not closed and manifold", len(faces)
    bodies = count_bodies(faces, len(vertices))
    if bodies != 1:
        return f"is in {bodies} pieces", len(faces)
    return ("" if signed_volume(vertices, faces) > 0 else "is inside out"), len(faces)
