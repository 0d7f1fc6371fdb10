"""Checks of forms: was the guide the tuned one, is each a solid body, is it its species.

`check_recognition` and `check_consistency` trust the clusters' extractor, EfficientNet-Lite0 by default, which was
trained on photographs of other things and sees small renders here; it is an independent judge, not a botanist.
Belongs here: verdicts about complete folders.
"""

from __future__ import annotations

import json
from pathlib import Path

from fungal_assets.verdicts import Verdict, judged

COVERAGE = (0.02, 0.70)
MOST_ENTROPY_BITS = 0.15
LEAST_OPAQUE_SHARE = 0.7
LEAST_R_PRECISION = 0.6
MOST_JANUS_SHARE, TWO_FACED = 0.05, 0.25
LEAST_LIKENESS = 0.55
"""Of outlines: each of 192 known forms is like another by 0.57 at least, two caps on two stems by 0.42 to 0.52."""
LEAST_PROPORTIONS = 0.65
"""Of twelve grown forms each keeps 0.82 at least; of two that lost their stems 0.4 was left."""


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


def check_solidity(forms_3d: Path) -> Verdict:
    """Every species became a form, which covers a sensible part of its pictures and is opaque where it is anything."""

    def judge() -> Verdict:
        from fungal_assets.forms.keeping import list_failed, load_volume
        from fungal_assets.forms.solid import solidity
        from fungal_assets.forms.views import orbit

        failed = list_failed(forms_3d)
        faults = [f"{form['common_name']} became no form: {form['fault']}" for form in failed]
        coverages, entropies, opaque = [], [], []
        for form in _forms(forms_3d):
            figures = solidity(load_volume(forms_3d / form["slug"] / "form.npz"), orbit(4))
            coverages.append(figures["alpha_coverage"])
            entropies.append(figures["alpha_entropy"])
            if not COVERAGE[0] <= coverages[-1] <= COVERAGE[1]:
                faults.append(f"{form['common_name']} covers {coverages[-1]:.1%} of its pictures")
            opaque.append(figures["opaque_share"])
            if entropies[-1] > MOST_ENTROPY_BITS:
                faults.append(f"{form['common_name']} is glassy ({entropies[-1]:.2f} bits)")
            elif opaque[-1] < LEAST_OPAQUE_SHARE:
                faults.append(f"{form['common_name']} is a fog ({opaque[-1]:.0%} of it opaque)")
        wanted = (
            f"expected {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%}, at most {MOST_ENTROPY_BITS} bits and "
            f"{LEAST_OPAQUE_SHARE:.0%} opaque"
        )
        finding = (
            f"{'; '.join(faults)}; {wanted}. Grow with more iterations." if faults else "every form is solid"
        )
        figures = {
            "least_coverage": min(coverages),
            "most_coverage": max(coverages),
            "most_entropy": max(entropies),
            "failed": len(failed),
            "least_opaque_share": min(opaque),
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


def check_consistency(forms_3d: Path) -> Verdict:
    """Forms are one fungus from all sides: few views show a second face, and of no form a quarter do."""

    def judge() -> Verdict:
        shares = {form["common_name"]: form["janus_share"] for form in _forms(forms_3d)}
        mean = sum(shares.values()) / len(shares)
        faced = [f"{name} ({share:.0%})" for name, share in shares.items() if share >= TWO_FACED]
        finding = f"{mean:.0%} of the views show a second face, expected at most {MOST_JANUS_SHARE:.0%}"
        if faced:
            finding += f"; two-faced: {', '.join(faced)}. Grow these with another seed"
        figures = {"janus_share": round(mean, 4), "forms": len(shares), "two_faced": len(faced)}
        return Verdict(mean <= MOST_JANUS_SHARE and not faced, finding, figures)

    return judged(judge)


def check_silhouettes(forms_3d: Path) -> Verdict:
    """The outline of every form is one that a fungus has, from every side, and no part of its picture's is lost."""

    def judge() -> Verdict:
        forms = _forms(forms_3d)
        likeness = {form["common_name"]: form["silhouette_likeness"] for form in forms}
        kept = {form["common_name"]: form.get("proportions_kept", 1.0) for form in forms}
        odd = [f"{name} ({value:.2f})" for name, value in likeness.items() if value < LEAST_LIKENESS]
        maimed = [f"{name} ({value:.2f})" for name, value in kept.items() if value < LEAST_PROPORTIONS]
        finding = f"every outline is like a known one by {min(likeness.values()):.2f} or more of 1"
        faults = []
        if odd:
            faults.append(
                f"outlines like no known fungus: {', '.join(odd)}; expected {LEAST_LIKENESS} at least"
            )
        if maimed:
            faults.append(
                f"a part is lost, such as a stem, of: {', '.join(maimed)}; expected {LEAST_PROPORTIONS} of the "
                "proportions of the picture that each began as"
            )
        if faults:
            finding = f"{'; '.join(faults)}. Grow these with another seed."
        figures = {"least_likeness": min(likeness.values()), "odd": len(odd), "maimed": len(maimed)}
        return Verdict(not faults, finding, figures)

    return judged(judge)


def _forms(forms_3d: Path) -> list[dict]:
    from fungal_assets.forms.keeping import list_forms

    forms = list_forms(forms_3d)
    if not forms:
        raise ValueError("forms.json lists no form")
    return forms
