"""Checks on a DCGAN: it trained, it did not collapse, and what it draws is there and its own.

Belongs here: verdicts on what lies in the folders. Nothing is drawn or measured again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.ancestors.dcgan_gallery import DCGAN, FILM_NAME, REPORT_NAME
from fungal_assets.ancestors.dcgan_presets import MIN_VARIETY
from fungal_assets.shards import read_table
from fungal_assets.verdicts import Verdict, name_some

MAX_COPIED_SHARE = 0.02
_REMEDY = "Set dcgan_weights.preset=small-data, lower learning_rate (try half), or train on more pictures of one kind."


def check_losses(dcgan_weights: Path) -> Verdict:
    """Every loss that was read is finite."""
    rows = read_table(dcgan_weights / "loss.parquet")
    faults = [
        f"{name} is {value} at step {row['step']}"
        for row in rows
        for name, value in row.items()
        if value is None or not math.isfinite(value)
    ]
    if rows and not faults:
        return Verdict(True, f"All losses of {len(rows)} steps are finite.", {"rows": len(rows)})
    return Verdict(False, f"{len(rows)} steps were read: {name_some(faults)}. {_REMEDY}", {"rows": len(rows)})


def check_comes_nearer(dcgan_weights: Path) -> Verdict:
    """The pictures kept are nearer to the real ones held out than those of the first look."""
    looks, about = read_table(dcgan_weights / "looks.parquet"), _read(dcgan_weights / "dcgan.json")
    first, kept = looks[0]["kid"], about["kid"]
    figures = {"first_kid": first, "kid": kept, "kid_of_real": about["kid_of_real"]}
    finding = (
        f"The kernel distance to the pictures held out is {kept:.3f} at step {about['step']} and was {first:.3f} at "
        f"step {looks[0]['step']}; other real pictures have {about['kid_of_real']:.3f}."
    )
    if kept < first:
        return Verdict(True, finding, figures)
    return Verdict(False, f"{finding} Raise dcgan_weights.max_steps (try double). {_REMEDY}", figures)


def check_not_collapsed(dcgan_weights: Path) -> Verdict:
    """The generator draws more than a few things."""
    about = _read(dcgan_weights / "dcgan.json")
    found = about["variety"]
    finding = (
        f"Drawn pictures have {found:.0%} of the variety of real ones; at least {MIN_VARIETY:.0%} expected."
    )
    if found >= MIN_VARIETY:
        return Verdict(True, finding, {"variety": found})
    is_young = about["step"] == about["steps"]
    why = "It was still coming nearer: raise dcgan_weights.max_steps (try double)." if is_young else _REMEDY
    return Verdict(False, f"{finding} {why}", {"variety": found})


def check_loads(dcgan_weights: Path) -> Verdict:
    """The weights are those that were written, finite, and draw a picture of their size."""
    import torch

    from fungal_assets.ancestors.dcgan_drawing import draw_pictures, latents_of, load_generator

    generator = load_generator(dcgan_weights)
    is_finite = all(bool(torch.isfinite(tensor).all()) for tensor in generator.state_dict().values())
    picture = next(draw_pictures(generator, latents_of(1, generator.latent_size, 0)))
    passed = is_finite and picture.size == (generator.size_px, generator.size_px)
    finding = f"The weights are {'finite' if is_finite else 'not finite'} and draw {picture.width} px."
    return Verdict(passed, finding if passed else f"{finding} {_REMEDY}", {"size_px": picture.width})


def check_pictures(dcgan_gallery: Path) -> Verdict:
    """Every picture of the table is there, of one size, and none is of one colour."""
    rows, size_px = (
        read_table(dcgan_gallery / "gallery.parquet"),
        _read(dcgan_gallery / REPORT_NAME)["size_px"],
    )
    faults = [fault for row in rows if (fault := _fault_of(dcgan_gallery / row["path"], size_px))]
    figures = {"pictures": len(rows), "faults": len(faults)}
    if rows and not faults:
        return Verdict(True, f"All {len(rows)} pictures are there.", figures)
    return Verdict(False, f"{len(faults)} faults: {name_some(faults)}. {_REMEDY}", figures)


def _fault_of(path: Path, size_px: int) -> str:
    if not path.is_file():
        return f"{path.name} is missing"
    with Image.open(path) as image:
        if image.size != (size_px, size_px):
            return f"{path.name} has {image.width}x{image.height} px"
        colours = image.convert("RGB").getcolors(maxcolors=1)
    return f"{path.name} is of one colour" if colours is not None else ""


def check_drawn_by(dcgan_gallery: Path, dcgan_weights: Path) -> Verdict:
    """The pictures name, by hash, the weights that drew them."""
    named, is_now = (
        _read(dcgan_gallery / REPORT_NAME)["weights_sha256"],
        _read(dcgan_weights / "dcgan.json")["sha256"],
    )
    if named == is_now:
        return Verdict(True, "The pictures were drawn by these weights.", {"sha256": named[:16]})
    return Verdict(
        False,
        f"The pictures were drawn by weights {named[:16]}, these are {is_now[:16]}. Draw them again.",
        {"sha256": named[:16]},
    )


def check_no_copies(dcgan_gallery: Path) -> Verdict:
    """Hardly any picture is a copy of a real one."""
    rows = sorted(read_table(dcgan_gallery / "gallery.parquet"), key=lambda row: -row["correlation"])
    copied = [f"{row['path']} of {row['nearest_id']}" for row in rows if row["is_copied"]]
    share = len(copied) / max(len(rows), 1)
    figures = {"copies": len(copied), "most_alike": round(rows[0]["correlation"], 4)}
    finding = (
        f"{len(copied)} of {len(rows)} pictures are copies of real ones, at most {MAX_COPIED_SHARE:.0%} expected; the "
        f"most alike correlates {rows[0]['correlation']:.2f}."
    )
    if share <= MAX_COPIED_SHARE:
        return Verdict(True, finding, figures)
    return Verdict(
        False,
        f"{finding} {name_some(copied)}. Lower dcgan_weights.max_steps, or train on more pictures.",
        figures,
    )


def check_varied(dcgan_gallery: Path) -> Verdict:
    """The pictures are not all alike."""
    found = _read(dcgan_gallery / REPORT_NAME)["models"][DCGAN]["variety"]
    finding = (
        f"The pictures have {found:.0%} of the variety of real ones; at least {MIN_VARIETY:.0%} expected."
    )
    passed = found >= MIN_VARIETY
    return Verdict(passed, finding if passed else f"{finding} {_REMEDY}", {"variety": found})


def check_walk(dcgan_gallery: Path) -> Verdict:
    """The film decodes, has all of its frames, and moves."""
    import numpy as np

    from fungal_assets.forms.video import read_mp4

    frames, wanted = read_mp4(dcgan_gallery / FILM_NAME), _read(dcgan_gallery / REPORT_NAME)["walk"]["frames"]
    moved = float(np.abs(frames[0].astype(float) - frames[len(frames) // 2]).mean()) if frames else 0.0
    figures = {"frames": len(frames), "moved": round(moved, 3)}
    passed = len(frames) == wanted and moved > 1
    finding = f"The film has {len(frames)} frames of {wanted}; its middle is {moved:.1f} grey levels from its start."
    return Verdict(passed, finding if passed else f"{finding} Draw the gallery again. {_REMEDY}", figures)


def _read(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_text())
