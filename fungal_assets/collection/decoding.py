"""Encoded bytes to upright sRGB pixels, with all that cameras and software do to pictures on the way.

Belongs here: opening, turning, colour. Whether a picture is admitted is decided in `admission`.

Pillow alone opens the bytes, and only in the formats listed: it reads the size from the header before anything is
decoded. A JPEG is decoded at the smallest scale that still holds the wanted size (`draft`), which is several times
cheaper. Plain ones, grey or in colour, are decoded by simplejpeg, to the same pixels as by Pillow: the decoder of
libjpeg-turbo notes damaged data and paints over them, and simplejpeg hands its notes on.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from fungal_assets.collection.scaling import Box, Picture, Size, as_image, scale_by_pillow, size_of
from fungal_assets.collection.shapes import SQUARE, size_for

ALLOWED_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
WHITE = "white"
SPECIMEN_COLUMNS = ("image", "focus", "ground")
"""What `read_specimen` reads of a row."""
CENTRE = 0.5
"""The focus of a picture that is cut from its centre."""
HIGHEST_LIGHT = 8.0
"""A picture of floats up to here counts from 0 to 1, what is brighter is clipped."""
_PLAIN = {"L": "GRAY", "RGB": "RGB"}
_NO_END = "Premature end of JPEG file"
_BEFORE_END = re.compile(r"(\d+) extraneous bytes before marker 0xd9$")
_END = b"\xff\xd9"
Scale = Callable[[Picture, Box, Size], Image.Image]
ORIENTATION_TAG = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Square:
    """A decoded square, or a part of another shape.

    Args:
        image: RGB in sRGB, upright.
        original_side_px: Shorter side of the original; below that of `image` where it was enlarged.
        is_profile_ignored: The picture carries a colour profile that cannot be used and was read as sRGB.
    """

    image: Image.Image
    original_side_px: int
    is_profile_ignored: bool


@dataclass(frozen=True)
class Decoded:
    """A decoded picture as it lies in the file, not turned yet.

    Args:
        picture: RGB in sRGB, an image or uint8 (h, w, 3); its shorter side is that which was asked for or up to twice
            as long, where it has as much.
        turn: What brings it upright, or None.
        is_profile_ignored: As of a `Square`.
        damage: What is wrong inside a plain JPEG, and was painted over; None where all is well or cannot be known.
    """

    picture: Picture
    turn: Image.Transpose | None
    is_profile_ignored: bool
    damage: str | None = None

    @cached_property
    def image(self) -> Image.Image:
        """The picture as an image."""
        return as_image(self.picture)

    @property
    def upright(self) -> Image.Image:
        """The picture turned upright."""
        return self.image if self.turn is None else self.image.transpose(self.turn)


def open_image(data: bytes) -> Image.Image:
    """Open a picture without decoding it; raises whatever Pillow raises on bytes that it cannot use."""
    return Image.open(io.BytesIO(data), formats=ALLOWED_FORMATS)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height in pixels after the EXIF turn, of a picture that is not decoded yet."""
    width_px, height_px = image.size
    is_turned = (
        image.format != "TIFF" and image.getexif().get(ORIENTATION_TAG, 1) >= 5
    )  # Pillow turns TIFF itself
    return (height_px, width_px) if is_turned else (width_px, height_px)


def read_specimen(
    specimen: Mapping[str, Any], size_px: int, scale: Scale = scale_by_pillow, shape: str = SQUARE
) -> Image.Image:
    """A specimen about its subject, upright RGB, from its row in `raw_images`.

    Args:
        specimen: The row, with `SPECIMEN_COLUMNS`; rows of before have no ground, and lie on white.
        size_px: Side of a square, and what other shapes have as many pixels as.
        scale: What scales it.
        shape: One of `SHAPES`.
    """
    data = specimen["image"]["bytes"]
    is_square = shape == SQUARE
    size = (size_px, size_px) if is_square else size_for(upright_size(open_image(data)), size_px, shape)
    return read_part(
        data, size, focus=specimen["focus"], ground=specimen.get("ground") or WHITE, scale=scale
    ).image


def read_square(data: bytes, size_px: int, *, focus: float = CENTRE, ground: str = WHITE) -> Square:
    """Decode a square of a picture once, at `size_px`, as high or as wide as the picture; see `read_part`."""
    return read_part(data, (size_px, size_px), focus=focus, ground=ground)


def read_part(
    data: bytes, size: Size, *, focus: float = CENTRE, ground: str = WHITE, scale: Scale = scale_by_pillow
) -> Square:
    """Decode a part of a picture once, at a size, as high or as wide as the picture.

    The first frame of an animation counts; 16-bit, CMYK, Lab and palette pictures and colour profiles come out as 8-bit
    sRGB, transparent ones on a ground.

    Args:
        data: An encoded picture.
        size: Width and height of the result, pixels; a smaller original is enlarged.
        focus: Where along the longer side of the upright picture its square lies, about whose middle the part is cut: 0
            begins, 0.5 is central, 1 ends with it.
        ground: What lies under a picture that is transparent: a colour as Pillow names it.
        scale: What scales it.

    Raises:
        OSError: The data are truncated or broken; Pillow may raise other exceptions on hostile bytes.
    """
    image = open_image(data)
    side_px, is_square = min(image.size), size[0] == size[1]
    whole = image.size if is_square else upright_size(image)
    needed_px = max(-(-part * side_px // length) for part, length in zip(size, whole, strict=True))
    decoded = decode(image, data, needed_px, ground)
    if decoded.turn is None or (focus == CENTRE and is_square):
        # The centre stays the centre however it is turned, and a small square is turned sooner.
        square = scale(decoded.picture, part_box(size_of(decoded.picture), focus, size), size)
        upright = square if decoded.turn is None else square.transpose(decoded.turn)
    else:
        turned = decoded.upright
        upright = scale(turned, part_box(turned.size, focus, size), size)
    return Square(upright, side_px, decoded.is_profile_ignored)


def decode(image: Image.Image, data: bytes, side_px: int, ground: str = WHITE) -> Decoded:
    """Decode an opened picture, a JPEG at the smallest scale whose shorter side is `side_px` or more.

    Args:
        image: As `open_image` gave it.
        data: The bytes that it was opened from.
        side_px: Wanted shorter side.
        ground: As of `read_part`.

    Raises:
        OSError: As `read_part`.
    """
    width_px, height_px = image.size
    shorter_px = min(width_px, height_px)
    image.draft(None, (max(1, width_px * side_px // shorter_px), max(1, height_px * side_px // shorter_px)))
    is_plain = image.format == "JPEG" and image.mode in _PLAIN
    loaded, damage = _decode_plain(image, data, (width_px, height_px)) if is_plain else (None, None)
    if loaded is None:
        image.load()
    turn = TURNS.get(image.getexif().get(ORIENTATION_TAG, 1))
    profile, is_ignored = _profile(image)
    picture: Picture = image if loaded is None else loaded
    if loaded is None or image.mode != "RGB" or profile:
        picture = _to_rgb(as_image(picture), profile, ground)
    return Decoded(picture, turn, is_ignored, damage)


def _decode_plain(
    image: Image.Image, data: bytes, whole: tuple[int, int]
) -> tuple[np.ndarray | None, str | None]:
    """The pixels of a JPEG at the size that was drafted, uint8, or None where only Pillow can tell; and its damage.

    Where both decoders read another whole size from the header, Pillow's was judged, and no other is decoded.
    """
    import simplejpeg

    (width_px, height_px), colours = image.size, _PLAIN[image.mode]
    try:
        if simplejpeg.decode_jpeg_header(data)[1::-1] != whole:
            return None, None
        pixels = simplejpeg.decode_jpeg(data, colorspace=colours, min_height=height_px, min_width=width_px)
    except ValueError as error:
        return None, _judge_note(str(error), data)
    return pixels.squeeze(2) if image.mode == "L" else pixels, None


def _judge_note(note: str, data: bytes) -> str | None:
    """What the decoder noted, as damage; None where a whole picture but lacks its end mark, or has padding before it.

    Some cameras write such.
    """
    before_end = _BEFORE_END.search(note)
    is_harmless = note == _NO_END or (before_end and _is_padded(data, int(before_end[1])))
    return None if is_harmless else f"damaged inside: {note}"


def _is_padded(data: bytes, count: int) -> bool:
    """Whether an end mark stands behind so many bytes of padding; other bytes there are rows that came out wrong."""
    ends = (match.start() for match in re.finditer(re.escape(_END), data))
    return any(not data[max(0, end - count) : end].strip(b"\0\xff") for end in ends)


def square_box(size: Size, focus: float) -> Box:
    """Left, upper, right and lower edge, pixels, of the greatest square in a picture of that width and height."""
    return part_box(size, focus, (1, 1))


def part_box(size: Size, focus: float, shape: Size) -> Box:
    """The edges of the greatest part of a picture whose sides are to each other as those of `shape`.

    Its middle is that of the picture's square, as far as the picture goes.
    """
    side_px, scale = min(size), min(length / part for length, part in zip(size, shape, strict=True))
    edges = []
    for length_px, part in zip(size, shape, strict=True):
        part_px = min(round(part * scale), length_px)
        first = int((length_px - side_px) * focus) + (side_px - part_px) // 2
        edges.append((min(max(first, 0), length_px - part_px), part_px))
    (left, width_px), (top, height_px) = edges
    return left, top, left + width_px, top + height_px


def _profile(image: Image.Image) -> tuple[ImageCms.ImageCmsProfile | None, bool]:
    """The colour profile of a picture, or None, and whether there is one that cannot be used."""
    data = image.info.get("icc_profile")
    if not data:
        return None, False
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
    except (OSError, ImageCms.PyCMSError):
        return None, True
    spaces = {
        "RGB": "RGB",
        "RGBA": "RGB",
        "P": "RGB",
        "CMYK": "CMYK",
        "L": "GRAY",
        "LA": "GRAY",
        "LAB": "Lab",
    }
    is_fit = spaces.get(image.mode) == space
    return (profile, False) if is_fit else (None, True)


def _to_rgb(image: Image.Image, profile: ImageCms.ImageCmsProfile | None, ground: str) -> Image.Image:
    if image.mode == "LAB":
        return _convert_profile(image, profile or ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        return _on_ground(image.convert("RGBA"), ground, _rgb_only(profile))
    if profile is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    is_plain = image.mode in ("RGB", "CMYK", "L")
    return _convert_profile(image if is_plain else image.convert("RGB"), profile)


def _rgb_only(profile: ImageCms.ImageCmsProfile | None) -> ImageCms.ImageCmsProfile | None:
    is_rgb = profile is not None and profile.profile.xcolor_space.strip() == "RGB"
    return profile if is_rgb else None


def _convert_profile(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
    if profile is None:
        return image
    converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None, "only an in-place conversion returns nothing"
    return converted


def _on_ground(image: Image.Image, ground: str, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
    """A transparent picture on a colour of sRGB, so that its own colours become such before."""
    colours = _convert_profile(image.convert("RGB"), profile)
    return Image.composite(colours, Image.new("RGB", image.size, ground), image.getchannel("A"))


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Grey values of 16 or 32 bits or floats (0 to 1 and lights above it, 0 to 255 or 0 to 65535) as uint8."""
    highest = float(values.max(initial=0))
    if np.issubdtype(values.dtype, np.floating) and highest <= HIGHEST_LIGHT:
        scaled = values * 255.0
    else:
        is_16_bit = values.dtype == np.uint16 or highest > 255
        scaled = values / 257.0 if is_16_bit else values
    return np.clip(np.nan_to_num(scaled), 0, 255).round().astype(np.uint8)


def contrast_of(image: Image.Image) -> int:
    """The widest range of an RGB picture's channels, 0 to 255; a blank picture has none."""
    return int(np.diff(image.getextrema()).max())
