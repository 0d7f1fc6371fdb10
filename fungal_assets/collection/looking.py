"""One look at a candidate: what its header says, whether it decodes, how good it is, what its copies would share.

Belongs here: judging a candidate by itself. How looks are kept is in `journal`; what a look means beside all the others
is decided in `admission`.

The size is judged by the header, before anything is decoded; then the picture is decoded once.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from fungal_assets.collection.decoding import (
    CENTRE,
    WHITE,
    contrast_of,
    decode,
    open_image,
    square_box,
    upright_size,
)
from fungal_assets.collection.duplicates import Marks, mark_image
from fungal_assets.collection.focus import find_focus
from fungal_assets.collection.quality import Quality, measure_quality
from fungal_assets.collection.sources import Candidate, Fault

if TYPE_CHECKING:
    from fungal_assets.morphology.extractors import EfficientNetLite0

MIN_CONTRAST = 8
LOOK_PX = 512
"""Shorter side at which a picture is looked at, where it has as much."""
MARK_PX = 128
"""Least side of the square by which copies are known, where it has as much."""
_IN_MEMORY = re.compile(r" <[\w.]+ object at 0x[0-9a-f]+>")
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
    """What a picture must keep to, and how it is looked at.

    Args:
        min_side_px: Least shorter side, pixels.
        max_megapixels: Most pixels, in millions.
        min_sharpness: Least sharpness, as `quality` measures it; 0 admits any.
        max_blockiness: Most blockiness, as well.
        max_pixelation: Most pixelation, as well; 1 admits any.
        min_fungus_probability: Least probability to show a fungus, of a classifier of photographs; 0 admits anything.
        crop: How its square is cut: about its `subject`, as `focus` finds it, or from its `centre`.
        ground: What lies under a picture that is transparent: a colour as Pillow names it.
    """

    min_side_px: int
    max_megapixels: float
    min_sharpness: float
    max_blockiness: float
    max_pixelation: float
    min_fungus_probability: float = 0.0
    crop: str = "centre"
    ground: str = WHITE


@dataclass(frozen=True)
class Look:
    """What was seen of a candidate.

    Args:
        origin: Where it lies in its source.
        sha256: Digest of its bytes, or None where there are none.
        fault: Why it is not admitted whatever else there is, or None.
        width_px: Of the upright picture; 0 with most faults, as the following.
        height_px: As well.
        file_format: As Pillow calls it.
        is_profile_ignored: It carries a colour profile that cannot be used.
        quality: Its measures, or None.
        marks: What copies of it would share, or None.
        focus: Where along the longer side its square is cut, 0 to 1.
        is_known: Taken over from an earlier collection, which looked at the same bytes.
    """

    origin: str
    sha256: str | None
    fault: Fault | None = None
    width_px: int = 0
    height_px: int = 0
    file_format: str = ""
    is_profile_ignored: bool = False
    quality: Quality | None = None
    marks: Marks | None = None
    focus: float = CENTRE
    is_known: bool = False


def look_at(candidate: Candidate, limits: Limits) -> Look:
    """Judge a candidate by itself, header first, then the whole picture; whatever it holds, never raise."""
    if candidate.fault:
        return Look(candidate.origin, None, candidate.fault)
    sha256 = hashlib.sha256(candidate.data).hexdigest()
    try:
        image = open_image(candidate.data)
        fault = _judge_size(image, limits)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        fault = Fault("too_large", str(error))
    except Exception as error:  # hostile bytes make decoders raise anything; every case is kept as a reject
        fault = _name_unopened(candidate.data, error)
    if fault:
        return Look(candidate.origin, sha256, fault)
    return _look_inside(candidate, sha256, image, limits)


def _judge_size(image: Image.Image, limits: Limits) -> Fault | None:
    width_px, height_px = image.size
    size = f"{width_px} x {height_px} px"
    if width_px * height_px > limits.max_megapixels * 1e6:
        return Fault("too_large", f"{size}, at most {limits.max_megapixels:g} megapixels are admitted")
    if min(width_px, height_px) < limits.min_side_px:
        return Fault("too_small", f"{size}, the shorter side must have {limits.min_side_px} px")
    return None


def _look_inside(candidate: Candidate, sha256: str, image: Image.Image, limits: Limits) -> Look:
    try:
        width_px, height_px = upright_size(image)
        file_format = str(image.format)
        picture = decode(image, candidate.data, LOOK_PX, limits.ground)
    except Exception as error:  # as above
        reason = "truncated" if "truncated" in str(error).lower() else "broken"
        return Look(candidate.origin, sha256, Fault(reason, _say(error)))
    if picture.damage:
        return Look(candidate.origin, sha256, Fault("broken", picture.damage))
    upright = picture.upright
    focus = find_focus(upright, _classifier()) if limits.crop == "subject" else CENTRE
    square = _cut(upright, focus)
    quality = measure_quality(square.convert("L"))
    small = _shrink(square)
    marked = small if focus == CENTRE else _shrink(_cut(upright, CENTRE))  # a copy's own focus may be another
    return Look(
        candidate.origin,
        sha256,
        _judge_quality(quality, contrast_of(small), limits) or _judge_subject(square, limits),
        width_px,
        height_px,
        file_format,
        picture.is_profile_ignored,
        quality,
        mark_image(marked),
        focus,
    )


def _cut(image: Image.Image, focus: float) -> Image.Image:
    """The square of a picture, scaled down by a whole number where its side stays `LOOK_PX` or longer."""
    side_px = min(image.size)
    if image.size == (side_px, side_px) and side_px < 2 * LOOK_PX:
        return image
    return image.reduce(max(1, side_px // LOOK_PX), box=square_box(image.size, focus))


def _shrink(square: Image.Image) -> Image.Image:
    """By a whole number, which is twice as fast as to a certain size."""
    return square.reduce(max(1, min(square.size) // MARK_PX))


def _judge_quality(quality: Quality, contrast: int, limits: Limits) -> Fault | None:
    if contrast < MIN_CONTRAST:
        return Fault("blank", f"its square is one colour: {contrast} of 255 levels apart")
    if quality.pixelation > limits.max_pixelation:
        found = f"pixelation {quality.pixelation:.2f}, at most {limits.max_pixelation:g} is admitted"
        return Fault("pixelated", f"a small picture enlarged in squares: {found} (max_pixelation)")
    if quality.blockiness > limits.max_blockiness:
        found = f"blockiness {quality.blockiness:.1f}, at most {limits.max_blockiness:g} is admitted"
        return Fault("blocky", f"saved as JPEG of too low a quality: {found} (max_blockiness)")
    if quality.sharpness < limits.min_sharpness:
        found = f"sharpness {quality.sharpness:.4f}, at least {limits.min_sharpness:g} is admitted"
        return Fault("blurred", f"out of focus, or enlarged: {found} (min_sharpness)")
    return None


def _judge_subject(square: Image.Image, limits: Limits) -> Fault | None:
    if limits.min_fungus_probability == 0:
        return None
    _, (probability,) = _classifier().look([square])
    if probability >= limits.min_fungus_probability:
        return None
    found = f"probability {probability:.4f}, at least {limits.min_fungus_probability:g} is admitted"
    return Fault("no_fungus", f"it may show no fungus: {found} (min_fungus_probability)")


@functools.cache
def _classifier() -> EfficientNetLite0:
    from fungal_assets.morphology.extractors import EfficientNetLite0

    return EfficientNetLite0()


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
    """What an error says, without the place in memory that some name: the same bytes are told the same every time."""
    return f"{type(error).__name__}: {_IN_MEMORY.sub('', str(error))}"[:300]
