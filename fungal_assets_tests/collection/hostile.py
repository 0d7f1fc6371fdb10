"""A folder of everything that may go wrong, each file with what is to become of it."""

from __future__ import annotations

import io
import os
import random
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets_tests.collection.drawing import encode, picture

ADMITTED = "admitted"


def textured(seed: int, side_px: int = 160) -> Image.Image:
    """A picture of its own with detail everywhere."""
    noise = np.random.default_rng(seed).normal(0, 14, (side_px, side_px, 3))
    soft = np.asarray(picture(seed, side_px, side_px), np.float32)
    return Image.fromarray(np.clip(soft + noise, 0, 255).astype(np.uint8))


def png_claiming(width_px: int, height_px: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_bomb(side_px: int) -> bytes:
    """A real PNG of one colour: every row is there, in a few hundred kilobytes."""
    buffer = io.BytesIO()
    Image.new("L", (side_px, side_px)).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def gif_of(frames: int) -> bytes:
    """A GIF that shows one picture so many times."""
    one = encode(textured(1).quantize(64), "GIF")
    start = 13 + 3 * (2 << (one[10] & 7))  # header and palette
    return one[:start] + one[start:-1] * frames + b";"


def tiff_of(pages: int, *, is_round: bool = False, side_px: int = 160) -> bytes:
    """A TIFF of so many pages that share their pixels; the last is followed by the first again where it is round."""
    pixels = textured(2, side_px).tobytes()
    bits = struct.pack("<HHH", 8, 8, 8)
    first = 8 + len(pixels) + len(bits)
    tags = [(256, 3, 1, side_px), (257, 3, 1, side_px), (258, 3, 3, 8 + len(pixels)), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, 3), (278, 3, 1, side_px), (279, 4, 1, len(pixels))]
    entries = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    places = [first + number * (len(entries) + 4) for number in range(pages)]
    nexts = [*places[1:], first if is_round else 0]
    chain = b"".join(entries + struct.pack("<I", place) for place in nexts)
    return b"II*\0" + struct.pack("<I", first) + pixels + bits + chain


def write_hostile(folder: Path) -> dict[str, str]:
    """Write the folder; returns `admitted` or the reason of a reject by origin, over 200 of them."""
    folder.mkdir(parents=True)
    files: dict[str, tuple[bytes, str]] = {}
    seeds = iter(range(10_000))

    def good(name: str, data: bytes) -> None:
        files[name] = data, ADMITTED

    for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif"), ("BMP", "bmp")):
        for number in range(4):
            good(f"good/{kind}-{number}.{suffix}", encode(textured(next(seeds)), kind))
    for name in ("wrong.png", "wrong.txt", "wrong", "wrong.JPG.exe", "wrong.parquet.jpg"):
        good(f"names/{name}", encode(textured(next(seeds)), "JPEG"))
    for name in (
        "Fliegenpilz äöü ß.jpg",
        "毒キノコ.jpg",
        "мухомор.jpg",
        "🍄.jpg",
        "x..%2f..%2fescape.jpg",
        "-rf.jpg",
        "a;rm.jpg",
        "$(touch x).jpg",
        "new\nline.jpg",
        "C:\\windows.jpg",
        "a" * 200 + ".jpg",
        "con.jpg",
        "\u202egpj.exe.jpg",
    ):
        good(f"names/{name}", encode(textured(next(seeds)), "JPEG"))
    good(
        "names/deep/" + "/".join("d" * 20 for _ in range(12)) + "/x.jpg",
        encode(textured(next(seeds)), "JPEG"),
    )
    _add_modes(good, seeds)
    _add_harmless(good, seeds)
    _add_damaged(files, seeds)
    _add_foreign(files)
    for number, (width_px, height_px) in enumerate(
        [(12_000, 9_000), (60_000, 60_000), (2**31 - 1, 1), (3000, 2000)]
    ):
        files[f"bombs/claim-{number}.png"] = png_claiming(width_px, height_px), "too_large"
    files["bombs/real.png"] = png_bomb(9000), "too_large"
    for number, size in enumerate([(31, 400), (400, 31), (1, 1), (20, 20)]):
        files[f"small/{number}.png"] = encode(picture(next(seeds), *size)), "too_small"
    for number, colour in enumerate(["black", "white", "#808080"]):
        files[f"blank/{number}.png"] = encode(Image.new("RGB", (200, 200), colour)), "blank"
    first = encode(textured(next(seeds)), "PNG")
    good("twins/a.png", first)
    for number in range(5):
        files[f"twins/b-{number}.png"] = first, "duplicate"
    for number in range(5):
        again = Image.open(io.BytesIO(first)).resize((120 - number, 120 - number))
        files[f"twins/c-{number}.jpg"] = encode(again, "JPEG", quality=60), "near_duplicate"
    for name, (data, _) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {name: fate for name, (_, fate) in files.items()} | _add_specials(folder, next(seeds))


def _add_modes(good, seeds) -> None:
    rng = np.random.default_rng(5)
    for mode in ("L", "CMYK", "1"):
        kind = "PNG" if mode == "1" else "JPEG"
        good(f"modes/{mode}.{kind.lower()}", encode(textured(next(seeds)).convert(mode), kind))
    for mode in ("P", "LA", "RGBA", "PA"):
        image = textured(next(seeds))
        image.putalpha(Image.effect_noise(image.size, 60))
        good(f"modes/{mode}.png", encode(image.convert(mode) if mode != "PA" else image.quantize(60), "PNG"))
    ramp = np.add.outer(np.arange(128), np.arange(128)) * 250 + rng.integers(0, 4000, (128, 128))
    good("modes/16-bit.png", encode(Image.fromarray(ramp.astype(np.uint16)), "PNG"))
    good("modes/float.tif", encode(Image.fromarray((ramp / 65535).astype(np.float32).T[::-1].copy()), "TIFF"))
    good("modes/lab.tif", encode(textured(next(seeds)).convert("LAB"), "TIFF"))
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        frames = [textured(next(seeds)) for _ in range(3)]
        suffix = kind.lower()
        good(f"modes/animated.{suffix}", encode(frames[0], kind, save_all=True, append_images=frames[1:]))
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        good(f"modes/turned-{turn}.jpg", encode(textured(next(seeds)), "JPEG", exif=exif))
    exif = Image.Exif()
    exif[0x0112] = 99
    good("modes/turned-99.jpg", encode(textured(next(seeds)), "JPEG", exif=exif))
    good("modes/progressive.jpg", encode(textured(next(seeds)), "JPEG", progressive=True))
    good("modes/profile.jpg", encode(textured(next(seeds)), "JPEG", icc_profile=b"no profile at all"))
    good("modes/lossless.webp", encode(textured(next(seeds)), "WEBP", lossless=True))


def _add_harmless(good, seeds) -> None:
    """Pictures that are whole, with something behind or around them."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("payload.sh", "rm -rf /")
    for number, tail in enumerate([archive.getvalue(), b"<script>alert(1)</script>", bytes(5000)]):
        good(f"polyglot/{number}.jpg", encode(textured(next(seeds)), "JPEG") + tail)
        good(f"polyglot/{number}.png", encode(textured(next(seeds)), "PNG") + tail)
    data = encode(textured(next(seeds)), "JPEG")
    good("harmless/padded.jpg", data[:-2] + bytes(16) + data[-2:])
    data = encode(textured(next(seeds)), "JPEG")
    good("harmless/filled.jpg", data[:-2] + b"\0\xff" * 8 + data[-2:])
    good("harmless/comment.jpg", encode(textured(next(seeds)), "JPEG", comment=b"<?php system($_GET[0]); ?>"))


def _add_damaged(files, seeds) -> None:
    chance = random.Random(1)
    for share in (0.05, 0.2, 0.5, 0.8, 0.95):
        for kind, suffix in (
            ("JPEG", "jpg"),
            ("PNG", "png"),
            ("WEBP", "webp"),
            ("TIFF", "tif"),
            ("BMP", "bmp"),
        ):
            data = encode(textured(next(seeds)), kind)
            files[f"cut/{share}.{suffix}"] = data[: int(share * len(data))], "damaged"
    for number in range(30):
        data = bytearray(encode(textured(next(seeds), 256), "JPEG", quality=90))
        start = chance.randrange(1200, len(data) - 700)
        data[start : start + 512] = chance.randbytes(512)
        files[f"inside/{number}.jpg"] = bytes(data), "damaged"
    for number in range(10):
        data = bytearray(encode(textured(next(seeds)), "PNG"))
        start = chance.randrange(100, len(data) - 100)
        data[start : start + 50] = chance.randbytes(50)
        files[f"inside/{number}.png"] = bytes(data), "damaged"
    for number, head in enumerate(
        [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF"]
    ):
        files[f"beheaded/{number}.jpg"] = head + chance.randbytes(400), "damaged"


def _add_foreign(files) -> None:
    chance = random.Random(2)
    for number in range(15):
        files[f"foreign/noise-{number}.jpg"] = (
            b"N" + chance.randbytes(chance.randrange(1, 3000)),
            "not_an_image",
        )
    for name, data, fate in (
        ("page.jpg", b"<!DOCTYPE html><html>gone</html>", "not_an_image"),
        ("script.png", b"#!/bin/sh\nrm -rf /", "not_an_image"),
        ("words.txt", b"where we walked", "not_an_image"),
        ("table.csv", b"a,b\n1,2\n", "not_an_image"),
        ("program.exe", b"MZ" + bytes(600), "not_an_image"),
        ("phone.heic", b"\0\0\0\x18ftypheic" + bytes(100), "unsupported_format"),
        ("new.avif", b"\0\0\0\x18ftypavif" + bytes(100), "unsupported_format"),
        ("film.mp4", b"\0\0\0\x18ftypmp42" + bytes(100), "unsupported_format"),
        (
            "vector.svg",
            b"<?xml version='1.0'?><svg xmlns='x'><image href='file:///etc/passwd'/></svg>",
            "unsupported_format",
        ),
        ("print.pdf", b"%PDF-1.7 x", "unsupported_format"),
        ("print.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_format"),
        ("layers.psd", b"8BPS\0\1" + bytes(60), "unsupported_format"),
        ("empty.jpg", b"", "empty"),
        ("empty.png", b"", "empty"),
        ("broken.zip", b"PK\x03\x04 no archive", "broken"),
        ("broken.tar.gz", b"\x1f\x8b no archive", "broken"),
        ("broken.parquet", b"PAR1 no table", "broken"),
    ):
        files[f"foreign/{name}"] = data, fate


def _add_specials(folder: Path, seed: int) -> dict[str, str]:
    """What is no plain file: links, a pipe, a folder named like a picture, an archive within."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(encode(textured(seed), "JPEG"))
    (folder / "specials" / "folder.jpg").mkdir(parents=True)
    specials = folder / "specials"
    (specials / "out.jpg").symlink_to(outside / "secret.jpg")
    (specials / "out").symlink_to(outside)
    (specials / "root").symlink_to("/")
    (specials / "gone.jpg").symlink_to(specials / "nowhere.jpg")
    (specials / "round.jpg").symlink_to(specials / "round.jpg")
    (specials / "loop").symlink_to(folder)
    os.mkfifo(specials / "pipe.jpg")
    with zipfile.ZipFile(specials / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escape.jpg", encode(textured(seed + 1), "JPEG"))
        archive.writestr("bomb.bmp", bytes(40_000_000))
        archive.writestr("inner.zip", b"PK\x03\x04")
    return {
        "specials/out.jpg": "outside_source",
        "specials/out": "outside_source",
        "specials/root": "outside_source",
        "specials/gone.jpg": "unreadable",
        "specials/round.jpg": "unreadable",
        "specials/loop": "linked_folder",
        "specials/pipe.jpg": "unreadable",
        "specials/in.zip/../../escape.jpg": ADMITTED,
        "specials/in.zip/bomb.bmp": "too_large",
        "specials/in.zip/inner.zip": "not_an_image",
    }
