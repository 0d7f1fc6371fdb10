from __future__ import annotations

import hashlib
import struct
import zlib

import pytest
from PIL import Image

from fungal_assets.collection.admission import admit_images
from fungal_assets.errors import InputError
from fungal_assets.shards import read_rows, read_table
from fungal_assets_tests.collection.drawing import encode, picture, write_pictures

LIMITS = {"min_side_px": 32, "max_megapixels": 4.0}


def _admit(source, out, **limits):
    out.mkdir(exist_ok=True)
    return admit_images(out, source=str(source), **LIMITS | limits)


def _png_claiming(width_px: int, height_px: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


JPEG = encode(picture(40, 300, 300), "JPEG")
FAULTY = {
    "empty.jpg": (b"", "empty"),
    "page.jpg": (b"<html>not found</html>", "not_an_image"),
    "notes.txt": (b"where we walked", "not_an_image"),
    "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "unsupported_format"),
    "drawing.svg": (b"<?xml version='1.0'?><svg/>", "unsupported_format"),
    "layers.psd": (b"8BPS\0\1", "unsupported_format"),
    "cut.jpg": (JPEG[: len(JPEG) // 2], "truncated"),
    "beheaded.png": (b"\x89PNG\r\n\x1a\n garbage", "broken"),
    "small.png": (encode(picture(41, 31, 300)), "too_small"),
    "large.png": (_png_claiming(3000, 2000), "too_large"),
    "bomb.png": (_png_claiming(12_000, 9_000), "too_large"),
    "huge-bomb.png": (_png_claiming(60_000, 60_000), "too_large"),
    "black.png": (encode(Image.new("RGB", (64, 64))), "blank"),
    "zz-same.png": (encode(picture(0)), "duplicate"),
    "zz-again.webp": (encode(picture(0).resize((80, 80)), "WEBP", quality=80), "near_duplicate"),
}


@pytest.fixture
def mixed(tmp_path):
    """A folder of four good pictures and one file of every fault."""
    folder = write_pictures(tmp_path / "source", 4)
    for name, (data, _) in FAULTY.items():
        (folder / name).write_bytes(data)
    return folder


def test_every_fault_is_a_reject_with_its_reason_and_the_good_pictures_go_through(mixed, tmp_path):
    figures = _admit(mixed, tmp_path / "out")
    rejects = {row["origin"]: row for row in read_table(tmp_path / "out" / "rejects.parquet")}
    assert {name: row["reason"] for name, row in rejects.items()} == {
        name: reason for name, (_, reason) in FAULTY.items()
    }
    assert all(row["detail"] for row in rejects.values())
    admitted = sorted(row["origin"] for row in read_rows(tmp_path / "out"))
    assert admitted == ["00.png", "01.png", "02.png", "03.png"]
    assert (figures["candidates"], figures["admitted"], figures["rejected"]) == (
        len(FAULTY) + 4,
        4,
        len(FAULTY),
    )
    assert figures["rejected_too_large"] == 3


def test_specimens_keep_their_bytes_and_are_named_by_their_hash(tmp_path):
    source = write_pictures(tmp_path / "source", 5)
    _admit(source, tmp_path / "out")
    rows = list(read_rows(tmp_path / "out"))
    for row in rows:
        data = (source / row["origin"]).read_bytes()
        assert row["image"]["bytes"] == data
        assert row["sha256"] == hashlib.sha256(data).hexdigest() and row["image_id"] == row["sha256"][:16]
        assert (row["width"], row["height"], row["format"], row["source"]) == (96, 96, "PNG", "folder")
    assert len(rows) == 5 and (tmp_path / "out" / "contact_sheet.webp").exists()


def test_the_size_is_that_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "turned.jpg").write_bytes(encode(picture(1, 90, 60), "JPEG", exif=exif))
    _admit(tmp_path / "source", tmp_path / "out")
    (row,) = read_rows(tmp_path / "out")
    assert (row["width"], row["height"]) == (60, 90)


def test_the_same_source_gives_the_same_files(mixed, tmp_path):
    for name in ("one", "two"):
        _admit(mixed, tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "one").iterdir() if path.is_file())
    assert len(names) == 4
    assert all(
        (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names
    )


def test_what_a_killed_run_left_is_replaced(tmp_path):
    source, out = write_pictures(tmp_path / "source", 3), tmp_path / "out"
    (out / ".images").mkdir(parents=True)
    (out / ".images" / "images-00000-of-00002.parquet").write_bytes(b"half a file")
    (out / "images-00000-of-00009.parquet").write_bytes(b"of another run")
    _admit(source, out)
    assert len(list(read_rows(out))) == 3


def test_no_picture_at_all_is_refused_with_the_reasons_counted(tmp_path):
    source = write_pictures(tmp_path / "source", 3)
    (source / "notes.txt").write_text("none")
    with pytest.raises(InputError, match=r"4 files and not one picture .* 3 too_small, 1 not_an_image"):
        _admit(source, tmp_path / "out", min_side_px=500)


def test_labels_and_licences_are_kept_and_counted(tmp_path):
    source = write_pictures(tmp_path / "source", 2)
    (source / "metadata.csv").write_text("file_name,license,label\n00.png,CC0,bolete\n")
    figures = _admit(source, tmp_path / "out")
    assert {row["origin"]: row["label"] for row in read_rows(tmp_path / "out")} == {
        "00.png": "bolete",
        "01.png": None,
    }
    assert (figures["labelled"], figures["licences"]) == (1, "CC0-1.0 (1), unknown (1)")


def test_progress_is_told(tmp_path):
    lines = []
    source = write_pictures(tmp_path / "source", 3)
    (tmp_path / "out").mkdir()
    admit_images(tmp_path / "out", source=str(source), **LIMITS, tell=lines.append)
    assert lines[-1].startswith("admission: 3 of 3")
