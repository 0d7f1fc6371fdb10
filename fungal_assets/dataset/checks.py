"""Verdicts about a captioned dataset.

Belongs here: findings about the shards, the texts and the pictures. Nothing is made or mended.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

from fungal_assets.dataset.building import DATA
from fungal_assets.errors import ProvenanceError
from fungal_assets.shards import read_rows, shard_paths
from fungal_assets.verdicts import Verdict

_SHOWN = 5


def check_every_image_is_found(captioned_dataset: Path, raw_images: Path) -> Verdict:
    """Every admitted image is found again in the shards, once, and nothing else is there."""
    try:
        found = [row["image_id"] for row in read_rows(captioned_dataset / DATA, ["image_id"])]
    except ProvenanceError as error:
        return Verdict(False, str(error), {"rows": 0})
    admitted = {row["image_id"] for row in read_rows(raw_images, ["image_id"])}
    missing, foreign = sorted(admitted - set(found)), sorted(set(found) - admitted)
    doubles = len(found) - len(set(found))
    finding = f"{len(found)} rows for {len(admitted)} admitted images"
    for ids, what in ((missing, "missing"), (foreign, "foreign")):
        finding += f"; {len(ids)} {what}: {ids[:_SHOWN]!r}" if ids else ""
    finding += f"; {doubles} rows are there twice" if doubles else ""
    figures = {"rows": len(found), "missing": len(missing), "foreign": len(foreign), "doubles": doubles}
    return Verdict(not (missing or foreign or doubles), f"{finding}.", figures)


def check_texts_are_told(captioned_dataset: Path) -> Verdict:
    """Every row has a text and a species."""
    rows = read_rows(captioned_dataset / DATA, ["image_id", "text", "species"])
    empty = [
        row["image_id"]
        for row in rows
        if not (row["text"] or "").strip() or not (row["species"] or "").strip()
    ]
    finding = (
        f"{len(empty)} rows have no text or no species: {empty[:_SHOWN]!r}"
        if empty
        else "every row has its text"
    )
    return Verdict(not empty, f"{finding}.", {"empty": len(empty)})


def check_images_decode(captioned_dataset: Path, *, size_px: int) -> Verdict:
    """Every picture decodes, in RGB, as a square of `size_px`."""
    faults = []
    for row in read_rows(captioned_dataset / DATA, ["image", "image_id"]):
        fault = _fault(row["image"]["bytes"], size_px)
        faults += [f"{row['image_id']} {fault}"] if fault else []
    finding = (
        f"{len(faults)} pictures are wrong: {'; '.join(faults[:_SHOWN])}"
        if faults
        else "every picture decodes"
    )
    return Verdict(
        not faults, f"{finding}; {size_px} by {size_px} px RGB was expected.", {"faults": len(faults)}
    )


def check_shards_are_several(captioned_dataset: Path) -> Verdict:
    """There are two shards or more, all that their names promise."""
    try:
        count = len(shard_paths(captioned_dataset / DATA))
    except ProvenanceError as error:
        return Verdict(False, str(error), {"shards": 0})
    return Verdict(count >= 2, f"{count} shards; two or more were expected.", {"shards": count})


def _fault(data: bytes, size_px: int) -> str:
    """What is wrong with one picture, or an empty text; not to decode is a finding, not an error."""
    try:
        with Image.open(BytesIO(data)) as image:
            image.load()
            size, mode = image.size, image.mode
    except (OSError, ValueError, SyntaxError) as error:
        return f"does not decode ({error})"
    is_right = size == (size_px, size_px) and mode == "RGB"
    return "" if is_right else f"is {size[0]} by {size[1]} px, mode {mode}"
