"""What must hold for the collected pictures, each claim as one verdict about a folder."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from fungal_assets.collection.admission import count_reasons
from fungal_assets.collection.decoding import contrast_of
from fungal_assets.collection.nudity import INSTALL, find_model, score_images
from fungal_assets.collection.shapes import SQUARE, size_for
from fungal_assets.shards import count_rows, read_rows, read_table
from fungal_assets.verdicts import Verdict

MIN_CONTRAST = 2
NAMED = 5


def check_nothing_is_lost(raw_images: Path, *, candidates: int) -> Verdict:
    """Every candidate is admitted or rejected with a reason.

    Args:
        raw_images: Output of `admission.admit_images`.
        candidates: How many there were, by the output's figures.
    """
    admitted, rejects = count_rows(raw_images), read_table(raw_images / "rejects.parquet")
    unexplained = sum(not row["reason"] for row in rejects)
    missing = candidates - admitted - len(rejects)
    finding = f"{candidates} candidates: {admitted} admitted, {len(rejects)} rejected, each with a reason."
    if missing or unexplained:
        finding = (
            f"{missing} of {candidates} candidates are neither admitted nor rejected and {unexplained} "
            "rejects have no reason; expected none. Grow raw_images again."
        )
    figures = {"admitted": admitted, "rejected": len(rejects), "missing": missing, **count_reasons(rejects)}
    return Verdict(not missing and not unexplained, finding, figures)


def check_ids_match_bytes(raw_images: Path) -> Verdict:
    """Image ids are unique, and each is the start of the hash of its bytes."""
    ids: set[str] = set()
    repeated, foreign = [], []
    for row in read_rows(raw_images, ["image", "image_id", "sha256"]):
        digest, image_id = hashlib.sha256(row["image"]["bytes"]).hexdigest(), row["image_id"]
        if image_id in ids:
            repeated.append(image_id)
        if row["sha256"] != digest or image_id != digest[:16]:
            foreign.append(image_id)
        ids.add(image_id)
    finding = f"{len(ids)} ids, each unique and the hash of its bytes."
    if repeated or foreign:
        finding = (
            f"ids that occur twice: {_name(repeated)}; ids that are not the hash of their bytes: "
            f"{_name(foreign)}. Grow raw_images again."
        )
    return Verdict(
        not repeated and not foreign, finding, {"repeated": len(repeated), "foreign": len(foreign)}
    )


def check_nudity(raw_images: Path, *, most: float, cache_dir: Path | None = None) -> Verdict:
    """No picture is likely to show a naked body; not looked at where the extra `nudity` is not installed.

    Args:
        raw_images: Output of `admission.admit_images`.
        most: Score over which a picture is named, 0 to 1.
        cache_dir: Where scores are kept; the user's cache folder by default.
    """
    if find_model() is None:
        return Verdict(True, f"not looked: {INSTALL}", {"looked_at": 0})
    scores = score_images(raw_images, cache_dir)
    likely = sorted((one for one in scores if scores[one] > most), key=lambda one: (-scores[one], one))
    figures = {"looked_at": len(scores), "likely": len(likely), "highest": round(max(scores.values()), 3)}
    finding = f"{len(scores)} pictures, none likely to show a naked body (the highest score {figures['highest']:.2f})."
    if likely:
        shown = set(likely[:NAMED])
        rows = read_rows(raw_images, ["image_id", "origin"])
        origins = {row["image_id"]: row["origin"] for row in rows if row["image_id"] in shown}
        named = [f"{origins[one]} ({scores[one]:.2f})" for one in likely[:NAMED]]
        named += ["..."] if len(likely) > NAMED else []
        finding = (
            f"{len(likely)} of {len(scores)} pictures may show a naked body: {', '.join(named)}. Look at them: pale "
            "smooth fungi are mistaken for skin. To leave one out take it out of the source."
        )
    return Verdict(not likely, finding, figures)


def check_prepared(prepared_images: Path, raw_images: Path, *, size_px: int, shape: str) -> Verdict:
    """The prepared images are those admitted, all RGB in the size that each is due, none blank."""
    rows = read_rows(raw_images, ["image_id", "width", "height"])
    expected = {row["image_id"]: size_for((row["width"], row["height"]), size_px, shape) for row in rows}
    found, misshapen, blank = [], [], []
    for row in read_rows(prepared_images, ["image", "image_id"]):
        image = Image.open(io.BytesIO(row["image"]["bytes"]))
        found.append(row["image_id"])
        if image.mode != "RGB" or image.size != expected.get(row["image_id"], image.size):
            misshapen.append(row["image_id"])
        elif contrast_of(image) < MIN_CONTRAST:
            blank.append(row["image_id"])
    faults = {
        "missing": sorted(expected.keys() - set(found)),
        "foreign": sorted(set(found) - expected.keys()),
        "repeated": [image_id for image_id, count in Counter(found).items() if count > 1],
        "misshapen": misshapen,
        "blank": blank,
    }
    what = f"RGB square of {size_px} px" if shape == SQUARE else f"RGB picture of the shapes at {size_px} px"
    finding = f"{len(found)} {what.replace(' of', 's of', 1)}, one for each specimen, none blank."
    if any(faults.values()):
        listed = "; ".join(f"{kind}: {_name(ids)}" for kind, ids in faults.items() if ids)
        finding = f"expected one {what} per specimen; {listed}. Grow prepared_images again."
    return Verdict(not any(faults.values()), finding, {kind: len(ids) for kind, ids in faults.items()})


def _name(ids: Sequence[str]) -> str:
    """A few ids and how many more there are."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return (", ".join(ids[:NAMED]) or "none") + more
