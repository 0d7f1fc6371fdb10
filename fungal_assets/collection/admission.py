"""The gate: every candidate becomes a specimen, kept as it is, or a reject with a reason.

Belongs here: what is admitted and why not, and the tables that say so. Reading the source and the pixels does not.

The source is read twice. First every candidate is looked at, and the look kept on disk: that is the work, and a stopped
run goes on with it. Then, since of several copies the best is kept, all looks together decide, and the source is read
again for the bytes of what is admitted. Nothing but a few numbers a candidate stays in memory. What an earlier run has
looked at is read and hashed, and not looked at again.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageColor

from fungal_assets.collection.decoding import read_square
from fungal_assets.collection.duplicates import Match, SeenImages
from fungal_assets.collection.inspection import look_at_all
from fungal_assets.collection.journal import Journal, open_known
from fungal_assets.collection.looking import Limits, Look
from fungal_assets.collection.sources import Candidate, Fault, Source, find_source
from fungal_assets.errors import InputError
from fungal_assets.previews import contact_sheet, save_sheet
from fungal_assets.progress import Tell, Ticker, stay_silent
from fungal_assets.shards import ShardWriter, image_schema, shard_count, write_table
from fungal_assets.store import Figures

TILE_PX = 96
SHEET_TILES = 100
_TEXTS = ("origin", "source", "creator", "licence", "page")
SPECIMENS = image_schema(
    {"image_id": pa.string(), "sha256": pa.string()}
    | {name: pa.string() for name in _TEXTS}
    | {"width": pa.int64(), "height": pa.int64(), "format": pa.string()}
    | {name: pa.string() for name in ("label", "habitat", "substrate")}
    | {name: pa.float64() for name in ("sharpness", "blockiness", "pixelation", "focus")}
    | {"ground": pa.string()}
)
REJECTS = pa.schema([(name, pa.string()) for name in ("origin", "sha256", "reason", "detail")])
_FAULT, _ADMITTED = -1, -2


@dataclass
class Tally:
    """What has been decided so far.

    Args:
        rejects: Rows of the reject table.
        licences: How many specimens each licence has.
        tiles: Small pictures of the first specimens, for the contact sheet.
        rejected_tiles: Of rejects that are pictures, with their reasons.
        looked_at: How many candidates with bytes were looked at now.
        known: How many an earlier run had looked at.
    """

    rejects: list[dict[str, str | None]] = field(default_factory=list)
    licences: Counter[str] = field(default_factory=Counter)
    tiles: list[Image.Image] = field(default_factory=list)
    rejected_tiles: list[tuple[Image.Image, str]] = field(default_factory=list)
    admitted: int = 0
    admitted_bytes: int = 0
    ignored_profiles: int = 0
    labelled: int = 0
    looked_at: int = 0
    known: int = 0


def admit_images(
    folder: Path,
    *,
    source: str,
    min_side_px: int,
    max_megapixels: float,
    min_sharpness: float,
    max_blockiness: float,
    max_pixelation: float,
    min_fungus_probability: float,
    crop: str,
    ground: str,
    known: Path | None = None,
    tell: Tell = stay_silent,
) -> Figures:
    """Write the specimens and the rejects of a source.

    Args:
        folder: Where `images-*.parquet`, `rejects.parquet`, `looks.parquet`, `contact_sheet.webp` and `rejects.webp`
            go; it may hold what a stopped run left.
        source: An address that `sources.find_source` knows.
        min_side_px: Least shorter side of a specimen.
        max_megapixels: Most pixels of a specimen, in millions.
        min_sharpness: Least sharpness, as `quality` measures it; 0 admits any.
        max_blockiness: Most blockiness, as well.
        max_pixelation: Most pixelation, as well; 1 admits any.
        min_fungus_probability: Least probability to show a fungus, of a classifier of photographs; 0 admits anything.
        crop: How the square of a picture is cut, by all that follows: about its `subject`, as `focus` finds it, or from
            its `centre`.
        ground: What lies under a picture that is transparent, here and in all that follows: a colour, as `#202020`.
        known: An earlier output of this function by the same code, or None; bytes that it looked at under the same
            limits are not looked at again, and nothing that is written hangs on it.
        tell: Told how far it is.

    Returns:
        `candidates`, how many of them were `looked_at` and how many `known` before, `admitted`, `rejected`, one
        `rejected_<reason>` for each reason, and what the specimens are like.

    Raises:
        InputError: There is no such crop or ground; the source cannot be read, or changed while it was read, or not
            one picture is admitted; the message counts the reasons.
    """
    if crop not in ("subject", "centre"):
        raise InputError(f"raw_images.crop is {crop!r}; expected 'subject' or 'centre'.")
    if not _is_colour(ground):
        raise InputError(
            f"raw_images.ground is {ground!r}; expected an opaque colour, as 'white' or '#202020'."
        )
    limits = Limits(
        min_side_px,
        max_megapixels,
        min_sharpness,
        max_blockiness,
        max_pixelation,
        min_fungus_probability,
        crop,
        ground,
    )
    origin = find_source(source)
    size = origin.measure()
    ticker = Ticker(tell, "admission", size.files)
    journal = look_at_all(origin, folder / ".looks", limits, ticker, open_known(known, limits))
    best = find_best(journal, folder / ".marks")
    tally = Tally()
    for stale in folder.glob("images-*.parquet"):
        stale.unlink()
    with ShardWriter(
        folder / ".images", SPECIMENS, shards=shard_count(size.total_bytes), stem="images"
    ) as writer:
        for row in _admit(origin, journal, best, tally, ground):
            writer.write(row)
    if not tally.admitted:
        raise InputError(_explain_nothing(source, tally))
    write_table(folder / "rejects.parquet", tally.rejects, REJECTS)
    journal.leave(folder, limits)
    _write_sheets(folder, tally)
    for path in (folder / ".images").glob("*.parquet"):
        path.replace(folder / path.name)
    return _figures(tally)


@dataclass(frozen=True)
class Best:
    """Which of the looks are admitted, and whose copies the others are.

    Args:
        verdicts: One for each look, int64 (N,): `_ADMITTED`, `_FAULT`, or the number of the look that it is a copy of.
        is_mirrored: Whether it is a mirrored copy, bool (N,).
        originals: Origin and digest of the looks that have copies, by number.
    """

    verdicts: np.ndarray
    is_mirrored: np.ndarray
    originals: Mapping[int, tuple[str, str | None]]


def find_best(journal: Journal, marks_path: Path) -> Best:
    """Group the copies of a picture, and of each group find the largest, the sharpest among these, else the first.

    Args:
        journal: The looks.
        marks_path: A file for what does not fit in memory.
    """
    groups = np.full(len(journal), _FAULT, np.int64)
    turned = np.zeros(len(journal), bool)  # about the first of its group
    # Of each group; lists would take seven times the memory.
    best, pixels, sharpness = array("q"), array("q"), array("d")
    seen = SeenImages(marks_path)
    for number, look in enumerate(journal):
        if look.fault or look.marks is None or look.quality is None:
            continue
        rank = (look.width_px * look.height_px, look.quality.sharpness)
        match = seen.find_same_picture(look.marks)
        if match is None:
            match = Match(seen.add(look.marks), is_mirrored=False)
            best.append(number)
            pixels.append(rank[0])
            sharpness.append(rank[1])
        elif rank > (pixels[match.place], sharpness[match.place]):
            best[match.place], pixels[match.place], sharpness[match.place] = number, *rank
        groups[number], turned[number] = match
    seen.close()
    is_good = groups >= 0
    verdicts = np.where(is_good, np.array([*best, 0])[groups], _FAULT)
    is_mirrored = is_good & (turned != turned[verdicts])
    copied = set(verdicts[is_good & (verdicts != np.arange(len(verdicts)))].tolist())
    verdicts[best] = _ADMITTED
    looks = enumerate(journal) if copied else ()
    originals = {number: (look.origin, look.sha256) for number, look in looks if number in copied}
    return Best(verdicts, is_mirrored, originals)


def _is_colour(name: str) -> bool:
    """Whether Pillow knows an opaque colour by this name."""
    try:
        return len(ImageColor.getrgb(name)) == 3
    except ValueError:
        return False


def _admit(
    source: Source, journal: Journal, best: Best, tally: Tally, ground: str
) -> Iterator[dict[str, Any]]:
    """Yield the row of each specimen; the tally takes in everything else."""
    for number, (candidate, look) in enumerate(itertools.zip_longest(source.candidates(), journal)):
        if candidate is None or look is None or candidate.origin != look.origin:
            raise InputError(_explain_change(candidate or look))
        tally.known += look.is_known
        tally.looked_at += look.sha256 is not None and not look.is_known
        verdict = int(best.verdicts[number])
        if verdict == _ADMITTED:
            if hashlib.sha256(candidate.data).hexdigest() != look.sha256:
                raise InputError(_explain_change(candidate))
            yield _take_in(candidate, look, tally, ground)
        else:
            fault = look.fault or _copy_fault(look, best.originals[verdict], best.is_mirrored[number])
            _turn_away(candidate, look, fault, tally, ground)


def _explain_change(changed: Candidate | Look) -> str:
    return (
        f"the source changed while it was read: {changed.origin!r} is not what it was. "
        "Let it rest, and grow again."
    )


def _copy_fault(look: Look, original: tuple[str, str | None], is_mirrored: bool) -> Fault:
    origin, sha256 = original
    if look.sha256 == sha256:
        return Fault("duplicate", f"the same bytes as {origin}")
    how = "the mirror image of" if is_mirrored else "the same picture as"
    return Fault("near_duplicate", f"{how} {origin}, which is as large or larger")


def _turn_away(candidate: Candidate, look: Look, fault: Fault, tally: Tally, ground: str) -> None:
    tally.rejects.append({"origin": look.origin, "sha256": look.sha256, **fault._asdict()})
    if look.marks is not None and len(tally.rejected_tiles) < SHEET_TILES:
        tile = read_square(candidate.data, TILE_PX, focus=look.focus, ground=ground).image
        tally.rejected_tiles.append((tile, fault.reason))


def _take_in(candidate: Candidate, look: Look, tally: Tally, ground: str) -> dict[str, Any]:
    assert look.sha256 and look.quality, look.origin
    tally.admitted += 1
    tally.admitted_bytes += len(candidate.data)
    tally.ignored_profiles += look.is_profile_ignored
    tally.labelled += candidate.label is not None
    tally.licences[candidate.licence or "unknown"] += 1
    if len(tally.tiles) < SHEET_TILES:
        tally.tiles.append(read_square(candidate.data, TILE_PX, focus=look.focus, ground=ground).image)
    image_id = look.sha256[:16]
    return {
        "image": {"bytes": candidate.data, "path": f"{image_id}.{look.file_format.lower()}"},
        "image_id": image_id,
        "sha256": look.sha256,
        **{name: getattr(candidate, name) for name in _TEXTS},
        "width": look.width_px,
        "height": look.height_px,
        "format": look.file_format,
        "label": candidate.label,
        "habitat": candidate.habitat,
        "substrate": candidate.substrate,
        "sharpness": look.quality.sharpness,
        "blockiness": look.quality.blockiness,
        "pixelation": look.quality.pixelation,
        "focus": look.focus,
        "ground": ground,
    }


def _write_sheets(folder: Path, tally: Tally) -> None:
    admitted = contact_sheet(tally.tiles, columns=min(10, len(tally.tiles)), tile_px=TILE_PX)
    save_sheet(admitted, folder / "contact_sheet.webp")
    if tally.rejected_tiles:
        tiles, reasons = zip(*tally.rejected_tiles, strict=True)
        rejected = contact_sheet(tiles, columns=min(10, len(tiles)), labels=reasons, tile_px=TILE_PX)
        save_sheet(rejected, folder / "rejects.webp")


def count_reasons(rejects: list[dict[str, str | None]]) -> Mapping[str, int]:
    """How many rejects each reason has, most frequent first."""
    return dict(Counter(str(row["reason"]) for row in rejects).most_common())


def _explain_nothing(source: str, tally: Tally) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in count_reasons(tally.rejects).items())
    first = tally.rejects[0]
    return (
        f"source {source!r} holds {len(tally.rejects)} files and not one picture that can be used: {counts}. "
        f"The first is {first['origin']!r}: {first['detail']}. Give JPEG, PNG, WebP or TIFF pictures, or change "
        "the limit that it names (fungal grow --set raw_images.min_side_px=64)."
    )


def _figures(tally: Tally) -> Figures:
    licences = ", ".join(f"{name} ({count})" for name, count in sorted(tally.licences.items()))
    return {
        "candidates": tally.admitted + len(tally.rejects),
        "looked_at": tally.looked_at,
        "known": tally.known,
        "admitted": tally.admitted,
        "rejected": len(tally.rejects),
        **{f"rejected_{reason}": count for reason, count in count_reasons(tally.rejects).items()},
        "megabytes": round(tally.admitted_bytes / 1e6, 3),
        "labelled": tally.labelled,
        "ignored_profiles": tally.ignored_profiles,
        "licences": licences,
    }
