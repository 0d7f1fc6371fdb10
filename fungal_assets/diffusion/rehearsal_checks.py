"""Checks on a rehearsal, and on weights that were tuned with one: it is the base model's own, of the right prompts."""

from __future__ import annotations

import json
import re
from pathlib import Path

from PIL import Image

from fungal_assets.diffusion.base_models import load_pipeline, read_json, resolve_base_model
from fungal_assets.galleries.flaws import MIN_CONTRAST, find_flaws
from fungal_assets.nomenclature.species import slug_of
from fungal_assets.store import hash_file
from fungal_assets.verdicts import Verdict

ASKED_POINTS = 4
MOST_DIFFERENCE = 0.05
"""Of predictions, by root mean square: bfloat16 on a GPU differs by less, another model by more."""


def check_said_by_the_base(rehearsal: Path, *, base_model: str) -> Verdict:
    """The base model that the settings name has the hash that is kept, and says again what is kept of it.

    It is asked at `ASKED_POINTS` points, evenly over all.
    """
    import torch

    from fungal_assets.diffusion.families import family_of
    from fungal_assets.diffusion.rehearsal import read_points

    base = resolve_base_model(base_model)
    kept = read_points(rehearsal, base)
    points = torch.linspace(0, kept.row_count - 1, min(ASKED_POINTS, kept.row_count)).long()
    pipeline = load_pipeline(base.path, device="cpu", dtype=torch.float32)
    with torch.no_grad():
        asked = (kept.x_t[points], kept.timesteps[points], kept.texts[kept.prompt_ids[points]])
        said = family_of(pipeline).predict(pipeline.unet, *asked)
    expected = kept.prompted[points]
    difference = float((said - expected).square().mean().sqrt() / expected.square().mean().sqrt())
    figures: dict[str, float | int | str] = {
        "asked_points": len(points),
        "difference": difference,
        "base_model_sha256": base.sha256,
    }
    finding = (
        f"asked again at {len(points)} of {kept.row_count} points, {base.id!r} (sha256 {base.sha256[:12]}…) differs by "
        f"{difference:.2g} of its predictions; at most {MOST_DIFFERENCE:g} was expected."
    )
    passed = difference <= MOST_DIFFERENCE
    return Verdict(passed, finding if passed else f"{finding} Grow rehearsal again.", figures)


def check_pictures_not_blank(rehearsal: Path) -> Verdict:
    """Where the walks end there is something to see."""
    shown = {}
    for row in read_json(rehearsal / "rehearsal.json")["prompts"]:
        with Image.open(rehearsal / row["picture"]) as image:
            shown[row["text"]] = find_flaws(image)
    blank = [text for text, found in shown.items() if found.is_blank]
    least = min(found.contrast for found in shown.values())
    figures = {"pictures": len(shown), "blank": len(blank), "least_contrast": round(least, 2)}
    finding = f"the palest of {len(shown)} pictures has a contrast of {least:.1f} grey levels."
    if not blank:
        return Verdict(True, finding, figures)
    return Verdict(
        False,
        f"{finding} Blank (under {MIN_CONTRAST:g}) are {blank!r}: the base model does not know them at this size. "
        "Leave them out of the control table, or choose another resolution or base model.",
        figures,
    )


def check_prompts_are_knowledge(rehearsal: Path, prompts: Path) -> Verdict:
    """What is rehearsed are the first rehearsal prompts; none is measured, and none says a species."""
    rows = json.loads((prompts / "prompts.json").read_text(encoding="utf-8"))["prompts"]
    texts = [row["text"] for row in read_json(rehearsal / "rehearsal.json")["prompts"]]
    given = [row["text"] for row in rows if row["kind"] == "rehearsal"]
    measured = {row["text"].casefold() for row in rows if row["kind"] == "control"}
    names = [row["prompt_id"].removeprefix("species-") for row in rows if row["kind"] == "species"]
    faults = [] if texts == given[: len(texts)] else [f"{texts[:3]!r}… are not the first of {given[:3]!r}…"]
    faults += [f"{text!r} is measured too" for text in texts if text.casefold() in measured]
    faults += [
        f"{text!r} says the species {name.replace('-', ' ')!r}"
        for text in texts
        for name in names
        if re.search(rf"\b{re.escape(name)}\b", slug_of(text))
    ]
    figures = {"prompts": len(texts), "faults": len(faults)}
    if faults:
        return Verdict(
            False, f"{'; '.join(faults[:5])}. Mend the control table and grow prompts again.", figures
        )
    return Verdict(
        True, f"{len(texts)} prompts, none of them measured and none with one of {len(names)} names.", figures
    )


def check_rehearsed_by_its_base(fine_tuned_weights: Path, rehearsal: Path | None) -> Verdict:
    """The weights were held to what their own base model said, or they rehearsed nothing."""
    training = read_json(fine_tuned_weights / "training.json")
    if training["rehearsal_sha256"] is None:
        return Verdict(True, "nothing was rehearsed.", {"rehearsed_prompts": 0})
    if rehearsal is None:
        return Verdict(False, "the rehearsal is not there any more. Grow rehearsal and tune again.")
    about = read_json(rehearsal / "rehearsal.json")
    claims = {
        "base model": (training["base_model"]["sha256"], about["base_model"]["sha256"]),
        "points": (training["rehearsal_sha256"], hash_file(rehearsal / "rehearsal.safetensors")),
    }
    faults = [
        f"the {name} of the weights is {one[:12]}… and of the rehearsal {other[:12]}…"
        for name, (one, other) in claims.items()
        if one != other
    ]
    figures = {"rehearsed_prompts": len(about["prompts"]), "differing": len(faults)}
    if faults:
        return Verdict(False, f"{'; '.join(faults)}. Tune again.", figures)
    return Verdict(
        True, f"{len(about['prompts'])} prompts were rehearsed as their own base model said them.", figures
    )
