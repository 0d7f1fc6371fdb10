from __future__ import annotations

import functools
import hashlib
import io

import pytest
from PIL import Image, ImageFilter, ImageOps

from fungal_assets.collection import admission, inspection
from fungal_assets.collection.admission import admit_images
from fungal_assets.collection.journal import Journal
from fungal_assets.collection.looking import look_at
from fungal_assets.errors import InputError
from fungal_assets.pocket import SPECIMENS_DIR
from fungal_assets.shards import read_rows, read_table
from fungal_assets_tests.collection.drawing import LENIENT, encode, picture, write_pictures
from fungal_assets_tests.collection.hostile import png_claiming, textured

LIMITS = LENIENT | {"min_side_px": 32}


def _admit(source, out, **limits):
    out.mkdir(exist_ok=True)
    return admit_images(out, source=str(source), **LIMITS | limits)


def reopened(image: Image.Image, **settings) -> Image.Image:
    return Image.open(io.BytesIO(encode(image, "JPEG", **settings)))


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
    "large.png": (png_claiming(3000, 2000), "too_large"),
    "bomb.png": (png_claiming(12_000, 9_000), "too_large"),
    "huge-bomb.png": (png_claiming(60_000, 60_000), "too_large"),
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
    names = sorted(path.name for path in (tmp_path / "one").glob("[!.]*"))
    assert len(names) == 6
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


def test_of_several_copies_the_largest_is_kept_whatever_its_name(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    large = textured(1, 200)
    (source / "a-small.jpg").write_bytes(encode(large.resize((90, 90)), "JPEG"))
    (source / "b-large.png").write_bytes(encode(large))
    (source / "c-middle.webp").write_bytes(encode(large.resize((150, 150)), "WEBP"))
    (source / "d-other.png").write_bytes(encode(textured(2, 80)))
    figures = _admit(source, tmp_path / "out")
    assert {row["origin"] for row in read_rows(tmp_path / "out")} == {"b-large.png", "d-other.png"}
    rejects = {row["origin"]: row for row in read_table(tmp_path / "out" / "rejects.parquet")}
    assert {row["reason"] for row in rejects.values()} == {"near_duplicate"}
    assert all("the same picture as b-large.png" in row["detail"] for row in rejects.values())
    assert (figures["admitted"], figures["rejected_near_duplicate"]) == (2, 2)


def test_of_mirrored_copies_the_largest_is_kept_and_the_table_says_which_are_mirrored(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    whole = textured(1, 200)
    for name, side_px, is_mirrored in (
        ("a", 120, False),
        ("b", 150, True),
        ("c", 200, True),
        ("d", 160, False),
    ):
        image = whole.resize((side_px, side_px))
        (source / f"{name}.png").write_bytes(encode(ImageOps.mirror(image) if is_mirrored else image))
    figures = _admit(source, tmp_path / "out")
    assert [row["origin"] for row in read_rows(tmp_path / "out")] == ["c.png"]
    rejects = {row["origin"]: row["detail"] for row in read_table(tmp_path / "out" / "rejects.parquet")}
    assert figures["rejected_near_duplicate"] == 3 and "the same picture as c.png" in rejects["b.png"]
    assert all("the mirror image of c.png" in rejects[name] for name in ("a.png", "d.png"))


def test_a_picture_on_its_side_is_a_copy_of_the_upright_one(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    (source / "a-turned.jpg").write_bytes(
        encode(textured(1, 200).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    )
    (source / "b-upright.png").write_bytes(encode(textured(1, 200)))
    (source / "c-other.png").write_bytes(encode(textured(2, 200)))
    figures = _admit(source, tmp_path / "out")
    assert (figures["admitted"], figures["rejected_near_duplicate"]) == (2, 1)


@pytest.mark.parametrize(
    "limit, value, change, reason",
    [
        ("min_sharpness", 0.01, lambda image: image.filter(ImageFilter.GaussianBlur(6)), "blurred"),
        ("max_pixelation", 0.9, lambda image: image.resize((40, 40)).resize((200, 200), 0), "pixelated"),
        ("max_blockiness", 3.0, lambda image: reopened(image, quality=3), "blocky"),
        ("min_fungus_probability", 0.2, lambda image: image, "no_fungus"),
    ],
)
def test_a_picture_of_too_low_a_quality_is_refused_with_its_measure_and_the_setting(
    tmp_path, limit, value, change, reason
):
    source = tmp_path / "source"
    source.mkdir()
    (source / "bad.png").write_bytes(encode(change(textured(3, 200))))
    good = SPECIMENS_DIR / "specimen-0012.webp"
    (source / "good.webp").write_bytes(good.read_bytes())
    _admit(source, tmp_path / "out", **{limit: value})
    [row] = read_table(tmp_path / "out" / "rejects.parquet")
    assert (row["origin"], row["reason"]) == ("bad.png", reason)
    assert limit in row["detail"] and f"{value:g} is admitted" in row["detail"]
    assert (tmp_path / "out" / "rejects.webp").exists()
    _admit(source, tmp_path / "all")
    assert len(list(read_rows(tmp_path / "all"))) == 2


def test_a_run_that_was_stopped_looks_at_no_picture_twice(tmp_path, monkeypatch):
    """Stopped in the middle, then gone on with: the same files as of a run that was not."""
    source, looked = write_pictures(tmp_path / "source", 23), []

    def look(candidate, limits, *, stop_at):
        looked.append(candidate.origin)
        if len(looked) == stop_at:
            raise OSError("no space is left")
        return look_at(candidate, limits)

    monkeypatch.setattr(inspection, "Journal", functools.partial(Journal, part_looks=5))
    stopped = functools.partial(admission.look_at_all, look_at=functools.partial(look, stop_at=17))
    monkeypatch.setattr(admission, "look_at_all", stopped)
    with pytest.raises(OSError, match="no space"):
        _admit(source, tmp_path / "out")
    kept = len(Journal(tmp_path / "out" / ".looks"))
    assert kept in (5, 10, 15)
    looked.clear()
    monkeypatch.setattr(
        admission, "look_at_all", functools.partial(stopped, look_at=functools.partial(look, stop_at=-1))
    )
    _admit(source, tmp_path / "out")
    assert sorted(looked) == [f"{number:02d}.png" for number in range(kept, 23)]
    monkeypatch.undo()
    _admit(source, tmp_path / "whole")
    for path in (tmp_path / "whole").glob("[!.]*"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_a_source_that_changes_between_the_looks_and_the_bytes_is_refused(tmp_path, monkeypatch):
    source = write_pictures(tmp_path / "source", 3)

    def find_best(journal, path):
        (source / "01.png").write_bytes(encode(picture(77)))
        return admission_find_best(journal, path)

    admission_find_best = admission.find_best
    monkeypatch.setattr(admission, "find_best", find_best)
    with pytest.raises(InputError, match="changed while it was read: '01.png'"):
        _admit(source, tmp_path / "out")


def test_damage_inside_a_jpeg_is_found_though_it_decodes(tmp_path):
    source = write_pictures(tmp_path / "source", 1)
    data = bytearray(encode(textured(5, 200), "JPEG"))
    data[3000:3050] = bytes(range(50))
    assert Image.open(io.BytesIO(bytes(data))).convert("RGB").size == (200, 200)
    (source / "bad.jpg").write_bytes(bytes(data))
    _admit(source, tmp_path / "out")
    [row] = read_table(tmp_path / "out" / "rejects.parquet")
    assert (row["origin"], row["reason"]) == ("bad.jpg", "broken")
    assert "damaged inside" in row["detail"]


def test_no_picture_at_all_is_refused_with_the_reasons_counted(tmp_path):
    source = write_pictures(tmp_path / "source", 3)
    (source / "notes.txt").write_text("none")
    with pytest.raises(InputError, match=r"4 files and not one picture .* 3 too_small, 1 not_an_image"):
        _admit(source, tmp_path / "out", min_side_px=500)


def test_labels_and_licences_are_kept_and_counted(tmp_path):
    source = write_pictures(tmp_path / "source", 2)
    (source / "metadata.csv").write_text(
        "file_name,license,label,habitat,substrate\n00.png,CC0,bolete,meadow,dung\n"
    )
    figures = _admit(source, tmp_path / "out")
    assert {row["origin"]: row["label"] for row in read_rows(tmp_path / "out")} == {
        "00.png": "bolete",
        "01.png": None,
    }
    told = {(row["habitat"], row["substrate"]) for row in read_rows(tmp_path / "out")}
    assert told == {("meadow", "dung"), (None, None)}
    assert (figures["labelled"], figures["licences"]) == (1, "CC0-1.0 (1), unknown (1)")


def test_progress_is_told(tmp_path):
    lines = []
    source = write_pictures(tmp_path / "source", 3)
    (tmp_path / "out").mkdir()
    admit_images(tmp_path / "out", source=str(source), **LIMITS, tell=lines.append)
    assert lines[-1].startswith("admission: 3 of 3")
