"""Films as files: H.264 that every browser, phone and signage player takes, and a small animated preview.

Colours are BT.709 in television range, in which luma 16 is black and what is below it is black too. What is exactly
black in a frame is written with luma 1: what the codec blurs there stays below 16 and is decoded as exactly (0, 0, 0),
and a player that takes the range for the full one shows 1 of 255 there, not 16. Belongs here: encoding and decoding of
frames. What is on them does not. Heavy library: import this module inside functions only.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import av  # noqa: TID253
import numpy as np
from av.video.reformatter import ColorRange, Colorspace  # noqa: TID253
from PIL import Image

from fungal_assets.errors import InputError

PREVIEW_BYTES = 50_000
FOOTROOM_LUMA = 1
_SHOWN = 30


def write_mp4(path: Path, frames: Iterable[np.ndarray], *, frames_per_s: int) -> int:
    """Write a film under a temporary name and rename it.

    Args:
        path: The `.mp4` file.
        frames: uint8, each of shape (H, W, 3), sRGB; H and W even.
        frames_per_s: Speed.

    Returns:
        How many frames it has.

    Raises:
        InputError: There is no frame, or a side is odd, which H.264 at 4:2:0 cannot hold.
    """
    waiting = iter(frames)
    first = next(waiting, None)
    if first is None:
        raise InputError(f"{path.name} would have no frame; expected one at least.")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise InputError(f"frames are {width}x{height} px; H.264 needs even sides. Set an even size_px.")
    temporary = path.with_name(f".{path.name}")
    count = 0
    with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as film:
        stream = film.add_stream("libx264", rate=frames_per_s)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18", "preset": "medium", "profile": "high"}
        context = stream.codec_context
        context.color_range = 1
        context.colorspace = context.color_primaries = context.color_trc = 1
        for pixels in chain([first], waiting):
            film.mux(stream.encode(_to_yuv(pixels)))
            count += 1
        film.mux(stream.encode())
    temporary.replace(path)
    return count


def _to_yuv(pixels: np.ndarray) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(
        format="yuv420p",
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )
    plane = frame.planes[0]
    luma = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size).copy()
    luma[:, : plane.width][~pixels.any(2)] = FOOTROOM_LUMA
    plane.update(luma.tobytes())
    return frame


def decode(path: Path) -> Iterator[np.ndarray]:
    """The frames of a film, one after the other: uint8, each (H, W, 3)."""
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def read_mp4(path: Path) -> list[np.ndarray]:
    """The frames of a film: uint8, each (H, W, 3)."""
    return list(decode(path))


def write_preview(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    frames_per_s: float,
    side_px: int = 160,
    most_bytes: int = PREVIEW_BYTES,
) -> None:
    """Write an animated WebP that loops for ever and has at most `most_bytes`, under a temporary name first.

    Up to 30 of the frames are shown, evenly, the longer side `side_px` at most, in as good a quality as fits.
    """
    every = -(-len(frames) // _SHOWN)
    shown = [Image.fromarray(frame) for frame in frames[::every]]
    duration_ms = round(1000 * every / frames_per_s)
    data = b""
    for side, quality in (
        (side_px, 70),
        (side_px, 45),
        (side_px, 30),
        (side_px, 20),
        (side_px * 3 // 4, 20),
        (side_px // 2, 10),
        (side_px // 3, 5),
    ):
        data = _animate([_within(image, side) for image in shown], quality, duration_ms)
        if len(data) <= most_bytes:
            break
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _within(image: Image.Image, side_px: int) -> Image.Image:
    scale = side_px / max(image.size)
    return image.resize([max(1, round(scale * side)) for side in image.size], Image.Resampling.LANCZOS)  # type: ignore[arg-type]


def _animate(images: Sequence[Image.Image], quality: int, duration_ms: int) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": quality, "method": 4, "duration": duration_ms, "loop": 0}
    images[0].save(buffer, "WEBP", save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()
