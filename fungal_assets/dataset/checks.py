"""Verdicts about a captioned dataset.

Belongs here: findings about the shards, the texts and the pictures. Nothing is made or mended.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.collection.shapes import SQUARE, sizes_at
from fungal_assets.dataset import card, croissant
from fungal_assets.dataset.contents import DATA
from fungal_assets.dataset.splitting import SPLITS, TEST, TRAIN
from fungal_assets.errors import ProvenanceError
from fungal_assets.morphology.twins import read_groups
from fungal_assets.shards import count_rows, has_shards, read_rows, shard_paths
from fungal_assets.store import hash_file
from fungal_assets.verdicts import Verdict

_SHOWN = 5


def check_every_image_is_found(captioned_dataset: Path, raw_images: Path) -> Verdict:
    """Every admitted image is found again in the shards of one split, once, and nothing else is there."""
    try:
        by_split = {split: _ids(captioned_dataset / DATA, split) for split in _splits(captioned_dataset)}
    except ProvenanceError as error:
        return Verdict(False, str(error), {"rows": 0})
    found = [image_id for ids in by_split.values() for image_id in ids]
    admitted = {row["image_id"] for row in read_rows(raw_images, ["image_id"])}
    missing, foreign = sorted(admitted - set(found)), sorted(set(found) - admitted)
    doubles = len(found) - len(set(found))
    told = " + ".join(f"{len(ids)} {split}" for split, ids in by_split.items())
    finding = f"{len(found)} rows ({told}) for {len(admitted)} admitted images"
    for ids, what in ((missing, "missing"), (foreign, "foreign")):
        finding += f"; {len(ids)} {what}: {ids[:_SHOWN]!r}" if ids else ""
    finding += f"; {doubles} rows are there twice" if doubles else ""
    figures = {"rows": len(found), "missing": len(missing), "foreign": len(foreign), "doubles": doubles}
    figures |= {f"{split}_rows": len(ids) for split, ids in by_split.items()}
    return Verdict(not (missing or foreign or doubles), f"{finding}.", figures)


def _splits(captioned_dataset: Path) -> list[str]:
    """The splits that have shards; there is always a training split, and its loss is an error when it is read."""
    return [split for split in SPLITS if split == TRAIN or has_shards(captioned_dataset / DATA, split)]


def _ids(data: Path, split: str) -> list[str]:
    return [row["image_id"] for row in read_rows(data, ["image_id"], stem=split)]


def check_no_group_is_parted(captioned_dataset: Path, feature_vectors: Path) -> Verdict:
    """No near duplicate of a held-out picture is trained on, and no species is held out whole."""
    groups = read_groups(feature_vectors)
    rows = {
        split: list(read_rows(captioned_dataset / DATA, ["image_id", "species_id"], stem=split))
        for split in _splits(captioned_dataset)
    }
    sides = {split: {groups[row["image_id"]] for row in found} for split, found in rows.items()}
    species = {split: {row["species_id"] for row in found} for split, found in rows.items()}
    parted = sorted(sides[TRAIN] & sides.get(TEST, set()))
    untaught = sorted(species.get(TEST, set()) - species[TRAIN])
    held_out = len(rows.get(TEST, ()))
    finding = f"{held_out} pictures of {len(sides.get(TEST, ()))} groups are held out"
    finding += f"; {len(parted)} groups are on both sides: {parted[:_SHOWN]!r}" if parted else ""
    finding += (
        f"; {len(untaught)} species have no training picture: {untaught[:_SHOWN]!r}" if untaught else ""
    )
    figures = {"held_out": held_out, "groups_on_both_sides": len(parted), "species_untaught": len(untaught)}
    return Verdict(not (parted or untaught), f"{finding}.", figures)


def check_described_as_it_is(captioned_dataset: Path) -> Verdict:
    """The card counts the rows that each split has, and the Croissant metadata names every shard by its hash."""
    data = captioned_dataset / DATA
    rows = {split: count_rows(data, split) for split in _splits(captioned_dataset)}
    told = _told_rows(card.read_front_matter(captioned_dataset / card.NAME))
    faults = [] if told == rows else [f"the card tells of {told!r}, the shards hold {rows!r}"]
    hashes = {path.relative_to(captioned_dataset).as_posix(): hash_file(path) for path in shard_paths(data)}
    named = croissant.read_file_hashes(captioned_dataset)
    differing = sorted(name for name in hashes | named if hashes.get(name) != named.get(name))
    faults += [f"{croissant.NAME} is wrong about {differing!r}"] if differing else []
    finding = "; ".join(faults) or f"card and {croissant.NAME} tell of {sum(rows.values())} rows as they are"
    return Verdict(not faults, f"{finding}.", {"faults": len(faults)})


def _told_rows(front: dict[str, Any]) -> dict[str, int]:
    """Rows by split as the card tells them, of the splits whose files it names."""
    named = {one["split"] for config in front["configs"] for one in config["data_files"]}
    told = {one["name"]: int(one["num_examples"]) for one in front["dataset_info"]["splits"]}
    return {split: count for split, count in told.items() if split in named}


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


def check_images_decode(captioned_dataset: Path, *, size_px: int, shape: str = SQUARE) -> Verdict:
    """Every picture decodes, in RGB, in one of the sizes of this shape at `size_px`."""
    faults, sizes = [], sizes_at(size_px, shape)
    for row in read_rows(captioned_dataset / DATA, ["image", "image_id"]):
        fault = _fault(row["image"]["bytes"], sizes)
        faults += [f"{row['image_id']} {fault}"] if fault else []
    finding = (
        f"{len(faults)} pictures are wrong: {'; '.join(faults[:_SHOWN])}"
        if faults
        else "every picture decodes"
    )
    expected = " or ".join(f"{width} by {height}" for width, height in sizes)
    return Verdict(not faults, f"{finding}; {expected} px RGB was expected.", {"faults": len(faults)})


def check_shards_are_several(captioned_dataset: Path) -> Verdict:
    """There are two shards of training pictures or more, all that their names promise."""
    try:
        count = len(shard_paths(captioned_dataset / DATA, TRAIN))
    except ProvenanceError as error:
        return Verdict(False, str(error), {"shards": 0})
    return Verdict(count >= 2, f"{count} shards; two or more were expected.", {"shards": count})


def _fault(data: bytes, sizes: Sequence[tuple[int, int]]) -> str:
    """What is wrong with one picture, or an empty text; not to decode is a finding, not an error."""
    try:
        with Image.open(BytesIO(data)) as image:
            image.load()
            size, mode = image.size, image.mode
    except (OSError, ValueError, SyntaxError) as error:
        return f"does not decode ({error})"
    is_right = size in sizes and mode == "RGB"
    return "" if is_right else f"is {size[0]} by {size[1]} px, mode {mode}"
