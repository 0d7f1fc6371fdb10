"""The gate: every candidate becomes a specimen, kept as it is, or a reject with a reason.

Belongs here: what is admitted and why not, and the tables that say so. Reading the source and the pixels does
not.

The size is judged by the header, before anything is decoded; then the whole picture is decoded once, which
finds truncated files. What Pillow itself calls a decompression bomb (over 89 megapixels) is refused whatever
the setting.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from fungal_assets.collection.decoding import Square, contrast_of, open_image, read_square, upright_size
from fungal_assets.collection.duplicates import Marks, SeenImages, mark_image
from fungal_assets.collection.parallel import map_in_order
from fungal_assets.collection.sources import Candidate, Fault, Source, find_source
from fungal_assets.errors import InputError
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, Ticker, stay_silent
from fungal_assets.shards import ShardWriter, image_schema, shard_count, write_table
from fungal_assets.store import Figures

TILE_PX = 96
SHEET_TILES = 100
MIN_CONTRAST = 8
_TEXTS = ("origin", "source", "creator", "licence", "page")
SPECIMENS = image_schema(
    {"image_id": pa.string(), "sha256": pa.string()}
    | {name: pa.string() for name in _TEXTS}
    | {"width": pa.int64(), "height": pa.int64(), "format": pa.string(), "label": pa.string()}
)
REJECTS = pa.schema([(name, pa.string()) for name in ("origin", "sha256", "reason", "detail")])
# First bytes of what people put into picture folders, and what to call it.
_ALLOWED_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"II*\0", b"MM\0*", b"GIF8", b"BM")
_OTHER_STARTS = (
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"<svg", "an SVG"),
)


@dataclass(frozen=True)
class Limits:
    """What a picture must keep to: least shorter side in pixels, and most megapixels."""

    min_side_px: int
    max_megapixels: float


@dataclass(frozen=True)
class Look:
    """What the gate saw of a candidate: a fault, or the picture's size, format, marks and a small square."""

    candidate: Candidate
    sha256: str | None
    fault: Fault | None = None
    width_px: int = 0
    height_px: int = 0
    file_format: str = ""
    square: Square | None = None
    marks: Marks | None = None


@dataclass
class Tally:
    """What has been decided so far.

    Args:
        rejects: Rows of the reject table.
        licences: How many specimens each licence has.
        tiles: Small pictures for the contact sheet, those of the lowest ids: (negated id, picture).
    """

    rejects: list[dict[str, str | None]] = field(default_factory=list)
    licences: Counter[str] = field(default_factory=Counter)
    tiles: list[tuple[int, Image.Image]] = field(default_factory=list)
    admitted: int = 0
    admitted_bytes: int = 0
    ignored_profiles: int = 0
    labelled: int = 0


def admit_images(
    folder: Path, *, source: str, min_side_px: int, max_megapixels: float, tell: Tell = stay_silent
) -> Figures:
    """Write the specimens and the rejects of a source.

    Args:
        folder: Where `images-*.parquet`, `rejects.parquet` and `contact_sheet.webp` go.
        source: An address that `sources.find_source` knows.
        min_side_px: Least shorter side of a specimen.
        max_megapixels: Most pixels of a specimen, in millions.
        tell: Told how far it is.

    Returns:
        `candidates`, `admitted`, `rejected`, one `rejected_<reason>` for each reason, and what the specimens
        are like.

    Raises:
        InputError: The source cannot be read, or not one picture is admitted; the message counts the reasons.
    """
    origin = find_source(source)
    size = origin.measure()
    tally, ticker = Tally(), Ticker(tell, "admission", size.files)
    for stale in folder.glob("images-*.parquet"):
        stale.unlink()
    shards = shard_count(size.total_bytes)
    with ShardWriter(folder / ".images", SPECIMENS, shards=shards, stem="images") as writer:
        for row in _admit(origin, Limits(min_side_px, max_megapixels), tally, ticker):
            writer.write(row)
    if not tally.admitted:
        raise InputError(_explain_nothing(source, tally))
    write_table(folder / "rejects.parquet", tally.rejects, REJECTS)
    tiles = [tile for _, tile in sorted(tally.tiles, key=lambda entry: -entry[0])]
    contact_sheet(tiles, columns=min(10, len(tiles)), tile_px=TILE_PX).save(
        folder / "contact_sheet.webp", quality=80
    )
    for path in (folder / ".images").glob("*.parquet"):
        path.replace(folder / path.name)
    return _figures(tally)


def _admit(source: Source, limits: Limits, tally: Tally, ticker: Ticker) -> Iterator[dict[str, Any]]:
    """Yield the row of each specimen; the tally takes in everything else."""
    seen = SeenImages()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        looks = map_in_order(functools.partial(look_at, limits=limits), source.candidates())
        for done, look in enumerate(looks, 1):
            fault = look.fault or _find_copy(look, seen)
            if fault:
                tally.rejects.append(
                    {"origin": look.candidate.origin, "sha256": look.sha256, **fault._asdict()}
                )
            else:
                yield _take_in(look, seen, tally)
            ticker.tick(done, {"admitted": tally.admitted})


def look_at(candidate: Candidate, limits: Limits) -> Look:
    """Judge a candidate by itself, header first, then the whole picture; whatever it holds, never raise."""
    if candidate.fault:
        return Look(candidate, None, candidate.fault)
    sha256 = hashlib.sha256(candidate.data).hexdigest()
    try:
        image = open_image(candidate.data)
        fault = _judge_size(image, limits)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        fault = Fault("too_large", str(error))
    except Exception as error:  # hostile bytes make decoders raise anything; every case is kept as a reject
        fault = _name_unopened(candidate.data, error)
    if fault:
        return Look(candidate, sha256, fault)
    return _look_inside(candidate, sha256, image)


def _judge_size(image: Image.Image, limits: Limits) -> Fault | None:
    width_px, height_px = image.size
    size = f"{width_px} x {height_px} px"
    if width_px * height_px > limits.max_megapixels * 1e6:
        return Fault("too_large", f"{size}, at most {limits.max_megapixels:g} megapixels are admitted")
    if min(width_px, height_px) < limits.min_side_px:
        return Fault("too_small", f"{size}, the shorter side must have {limits.min_side_px} px")
    return None


def _look_inside(candidate: Candidate, sha256: str, image: Image.Image) -> Look:
    try:
        width_px, height_px = upright_size(image)
        square = read_square(candidate.data, TILE_PX)
    except Exception as error:  # as above
        reason = "truncated" if "truncated" in str(error).lower() else "broken"
        return Look(candidate, sha256, Fault(reason, _say(error)))
    contrast = contrast_of(square.image)
    if contrast < MIN_CONTRAST:
        return Look(
            candidate, sha256, Fault("blank", f"its centre is one colour: {contrast} of 255 levels apart")
        )
    marks = mark_image(sha256, square.image)
    return Look(candidate, sha256, None, width_px, height_px, str(image.format), square, marks)


def _name_unopened(data: bytes, error: Exception) -> Fault:
    """Tell broken pictures, pictures of other formats and other files apart."""
    if not data:
        return Fault("empty", "the file holds no bytes")
    if data[4:8] == b"ftyp":
        return Fault("unsupported_format", "HEIC, AVIF or a video; save it as JPEG, PNG, WebP or TIFF")
    for start, name in _OTHER_STARTS:
        if start in data[:512].lower() or data.startswith(start):
            return Fault("unsupported_format", f"{name}; save it as JPEG, PNG, WebP or TIFF")
    if data.startswith(_ALLOWED_STARTS):
        return Fault("broken", _say(error))
    return Fault("not_an_image", f"it starts with {data[:12]!r}")


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _find_copy(look: Look, seen: SeenImages) -> Fault | None:
    assert look.sha256 and look.marks, look.candidate.origin
    if origin := seen.find_same_bytes(look.sha256):
        return Fault("duplicate", f"the same bytes as {origin}")
    if origin := seen.find_same_picture(look.marks):
        return Fault("near_duplicate", f"the same picture as {origin}, rescaled or saved anew")
    return None


def _take_in(look: Look, seen: SeenImages, tally: Tally) -> dict[str, Any]:
    assert look.sha256 and look.marks and look.square, look.candidate.origin
    candidate, image_id = look.candidate, look.sha256[:16]
    seen.add(look.marks, candidate.origin)
    tally.admitted += 1
    tally.admitted_bytes += len(candidate.data)
    tally.ignored_profiles += look.square.is_profile_ignored
    tally.labelled += candidate.label is not None
    tally.licences[candidate.licence or "unknown"] += 1
    entry = (-int(image_id, 16), look.square.image)
    if len(tally.tiles) < SHEET_TILES:
        heapq.heappush(tally.tiles, entry)
    else:
        heapq.heappushpop(tally.tiles, entry)
    return {
        "image": {"bytes": candidate.data, "path": f"{image_id}.{look.file_format.lower()}"},
        "image_id": image_id,
        "sha256": look.sha256,
        **{name: getattr(candidate, name) for name in _TEXTS},
        "width": look.width_px,
        "height": look.height_px,
        "format": look.file_format,
        "label": candidate.label,
    }


def count_reasons(rejects: list[dict[str, str | None]]) -> Mapping[str, int]:
    """How many rejects each reason has, most frequent first."""
    return dict(Counter(str(row["reason"]) for row in rejects).most_common())


def _explain_nothing(source: str, tally: Tally) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in count_reasons(tally.rejects).items())
    first = tally.rejects[0]
    return (
        f"source {source!r} holds {len(tally.rejects)} files and not one picture that can be used: {counts}. "
        f"The first is {first['origin']!r}: {first['detail']}. Give JPEG, PNG, WebP or TIFF "
        "pictures, or lower min_side_px."
    )


def _figures(tally: Tally) -> Figures:
    licences = ", ".join(f"{name} ({count})" for name, count in sorted(tally.licences.items()))
    return {
        "candidates": tally.admitted + len(tally.rejects),
        "admitted": tally.admitted,
        "rejected": len(tally.rejects),
        **{f"rejected_{reason}": count for reason, count in count_reasons(tally.rejects).items()},
        "megabytes": round(tally.admitted_bytes / 1e6, 3),
        "labelled": tally.labelled,
        "ignored_profiles": tally.ignored_profiles,
        "licences": licences,
    }
