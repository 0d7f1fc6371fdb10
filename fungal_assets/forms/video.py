"""Films as files: H.264 that every browser, phone and signage player takes, and a small animated preview.

Colours are BT.709 in television range, in which black decodes to exactly (0, 0, 0). Belongs here: encoding and
decoding of frames. What is on them does not. Heavy library: import this module inside functions only.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import av  # noqa: TID253
import numpy as np
from av.video.reformatter import ColorRange, Colorspace  # noqa: TID253
from PIL import Image

from fungal_assets.errors import InputError

PREVIEW_BYTES = 50_000


def write_mp4(path: Path, frames: Sequence[np.ndarray], *, frames_per_s: int) -> None:
    """Write a film under a temporary name and rename it.

    Args:
        path: The `.mp4` file.
        frames: uint8, each of shape (H, W, 3), sRGB; H and W even.
        frames_per_s: Speed.

    Raises:
        InputError: A side is odd, which H.264 at 4:2:0 cannot hold.
    """
    height, width = frames[0].shape[:2]
    if height % 2 or width % 2:
        raise InputError(f"frames are {width}x{height} px; H.264 needs even sides. Set an even size_px.")
    temporary = path.with_name(f".{path.name}")
    with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as film:
        stream = film.add_stream("libx264", rate=frames_per_s)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18", "preset": "medium", "profile": "high"}
        context = stream.codec_context
        context.color_range = 1
        context.colorspace = context.color_primaries = context.color_trc = 1
        for pixels in frames:
            film.mux(stream.encode(_to_yuv(pixels)))
        film.mux(stream.encode())
    temporary.replace(path)


def _to_yuv(pixels: np.ndarray) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return frame.reformat(
        format="yuv420p",
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )


def read_mp4(path: Path) -> list[np.ndarray]:
    """The frames of a film: uint8, each (H, W, 3)."""
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def write_preview(path: Path, frames: Sequence[np.ndarray], *, frames_per_s: int, side_px: int = 160) -> None:
    """Write an animated WebP that loops for ever and has at most `PREVIEW_BYTES`, under a temporary name first.

    Every second frame is shown, in as good a quality and as large as fits.
    """
    shown = [Image.fromarray(frame) for frame in frames[::2]]
    duration_ms = round(2000 / frames_per_s)
    data = b""
    for side, quality in (
        (side_px, 70),
        (side_px, 45),
        (side_px, 20),
        (side_px * 3 // 4, 20),
        (side_px // 2, 10),
    ):
        data = _animate(
            [image.resize((side, side), Image.Resampling.LANCZOS) for image in shown], quality, duration_ms
        )
        if len(data) <= PREVIEW_BYTES:
            break
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _animate(images: Sequence[Image.Image], quality: int, duration_ms: int) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": quality, "method": 4, "duration": duration_ms, "loop": 0}
    images[0].save(buffer, "WEBP", save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()
