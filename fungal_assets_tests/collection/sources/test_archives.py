"""Archives: every member comes out once, in bounds, and nothing is written anywhere."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
import zipfile

import pytest

from fungal_assets.collection.sources import archives
from fungal_assets.collection.sources.archives import TarArchive, ZipArchive
from fungal_assets.collection.sources.containers import find_container, read_container
from fungal_assets_tests.collection.drawing import encode, picture

PICTURES = {f"{seed}.png": encode(picture(seed)) for seed in range(3)}


def write_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_tar(path, members):
    mode = {"tgz": "gz", "gz": "gz", "bz2": "bz2", "xz": "xz"}.get(path.suffix[1:], "")
    with tarfile.open(path, f"w:{mode}") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def read(path):
    return list(read_container(find_container(path), path.name))


def reasons(path):
    return {one.origin: one.fault and one.fault.reason for one in read(path)}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "A.ZIP"])
def test_members_come_out_whole_with_what_the_sidecar_says(tmp_path, name):
    write = write_zip if name.lower().endswith("zip") else write_tar
    sidecar = b"file_name,creator,license,label\ndeep/1.png,Ada,cc by 4.0,bolete\ngone.png,Bo,,\n"
    members = {
        "deep/1.png": PICTURES["1.png"],
        "metadata.csv": sidecar,
        ".hidden.png": b"x",
        "__MACOSX/._1.png": b"x",
        "z.png": PICTURES["2.png"],
    }
    path = write(tmp_path / name, members)
    known, plain, lost = read(path)
    assert (known.origin, known.data) == (f"{name}/deep/1.png", PICTURES["1.png"])
    assert (known.creator, known.licence, known.label) == ("Ada", "CC-BY-4.0", "bolete")
    assert (plain.origin, plain.data, plain.creator) == (f"{name}/z.png", PICTURES["2.png"], None)
    assert (lost.origin, lost.creator, lost.fault.reason) == (f"{name}/gone.png", "Bo", "missing")
    assert find_container(path).measure() == (2, len(PICTURES["1.png"]) + len(PICTURES["2.png"]))


@pytest.mark.parametrize("write, name", [(write_zip, "a.zip"), (write_tar, "a.tar")])
def test_a_name_that_would_lead_out_is_only_a_name(tmp_path, write, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    names = ["../escaped.png", "/etc/escaped.png", "C:\\escaped.png"]
    path = write(inner / name, dict(zip(names, PICTURES.values(), strict=True)))
    found = read(path)
    assert [one.fault for one in found] == [None] * 3
    assert {one.data for one in found} == set(PICTURES.values())
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == sorted(["inner", name])


def test_a_bomb_in_a_zip_is_refused_unread_and_its_neighbour_is_read(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"bomb.bmp": bytes(30_000_000), **PICTURES})
    found = {one.origin.split("/")[1]: one for one in read(path)}
    assert "times its size" in found["bomb.bmp"].fault.detail and found["bomb.bmp"].data == b""
    assert [found[name].data for name in PICTURES] == list(PICTURES.values())
    monkeypatch.setattr(archives, "MAX_FILE_MB", 1)
    huge = write_zip(tmp_path / "b.zip", {"huge.bmp": os.urandom(1_100_000)}, zipfile.ZIP_STORED)
    assert "at most 1 MB" in read(huge)[0].fault.detail


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_that_says_that_it_is_small_expands_no_further_than_it_says(tmp_path, method):
    path = write_zip(tmp_path / "a.zip", {"bomb.bmp": bytes(300_000_000), "1.png": PICTURES["1.png"]}, method)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = data.index(b"PK\x01\x02", archive.start_dir)
    for at in (22, entry + 24):
        data[at : at + 4] = (9_000).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    tracemalloc.start()
    found = {one.origin: one for one in read(path)}
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["a.zip/bomb.bmp"].fault.reason == "broken" and found["a.zip/1.png"].data == PICTURES["1.png"]
    assert peak_bytes < 130_000_000


def test_a_sidecar_that_is_a_bomb_is_a_fault_of_the_archive_at_its_top_and_of_itself_below(tmp_path):
    bomb = b"file_name,creator\n" + b" " * 30_000_000
    above = write_zip(tmp_path / "a.zip", {"metadata.csv": bomb, "1.png": PICTURES["1.png"]})
    (one,) = read(above)
    assert one.origin == "a.zip" and "metadata.csv' cannot be read: it unpacks to" in one.fault.detail
    below = write_zip(tmp_path / "b.zip", {"deep/metadata.csv": bomb, "1.png": PICTURES["1.png"]})
    assert reasons(below) == {"b.zip/1.png": None, "b.zip/deep/metadata.csv": "unusable_sidecar"}


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_bomb_in_the_header_of_a_tar_is_left_unread(tmp_path, kind):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        first = tarfile.TarInfo("1.png")
        first.size = len(PICTURES["1.png"])
        archive.addfile(first, io.BytesIO(PICTURES["1.png"]))
        header = tarfile.TarInfo("name")
        header.type, header.size = kind, 100_000_000
        archive.addfile(header, io.BytesIO(bytes(header.size)))
    tracemalloc.start()
    found = read(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found[0].data == PICTURES["1.png"]
    assert [one.fault.reason for one in found[1:]] == ["truncated"] and "header of 100000000" in found[
        1
    ].fault.detail
    assert peak_bytes < 50_000_000


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_each_folder_of_an_archive_may_have_a_sidecar(tmp_path, name):
    write = write_zip if name.endswith("zip") else write_tar
    members = {
        "metadata.csv": b"file_name,creator\ntrain/1.png,Top\n2.png,Top\n",
        "train/metadata.jsonl": b'{"file_name": "1.png", "creator": "Near", "license": "cc0-1.0"}\n',
        "train/1.png": PICTURES["1.png"],
        "2.png": PICTURES["2.png"],
        "other/metadata.csv": b"id,title\n1,no pictures\n",
    }
    path = write(tmp_path / name, members)
    found = {one.origin.removeprefix(f"{name}/"): one for one in read(path)}
    assert (found["train/1.png"].creator, found["train/1.png"].licence) == ("Near", "CC0-1.0")
    assert found["2.png"].creator == "Top"
    assert found["other/metadata.csv"].fault.reason == "unusable_sidecar"
    assert len(found) == 3


def test_a_stream_that_expands_without_end_is_left_and_what_came_before_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_FREE_BYTES", 1_000_000)
    path = write_tar(tmp_path / "a.tar.gz", {**PICTURES, "bomb.bmp": bytes(30_000_000), "after.png": b"x"})
    found = read(path)
    assert [one.data for one in found[:3]] == list(PICTURES.values())
    assert [one.fault.reason for one in found[3:]] == ["too_large"]
    assert "50 times its size" in found[3].fault.detail
    assert TarArchive(path).measure().files == 3


def test_a_password_a_link_and_a_false_checksum_are_faults_of_their_member_alone(tmp_path):
    path = write_zip(tmp_path / "a.zip", PICTURES, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    start = data.index(PICTURES["1.png"])
    data[start + 40] ^= 0xFF
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
    first = data.index(b"PK\x01\x02", directory)
    data[first + 8] |= 1
    third = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02", first + 4) + 4)
    data[third + 38 : third + 42] = (0o120777 << 16).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    assert reasons(path) == {"a.zip/0.png": "encrypted", "a.zip/1.png": "broken", "a.zip/2.png": "unreadable"}


def test_links_and_devices_in_a_tar_are_faults(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in {
            "link.png": tarfile.SYMTYPE,
            "hard.png": tarfile.LNKTYPE,
            "dev": tarfile.CHRTYPE,
        }.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert set(reasons(path).values()) == {"unreadable"} and len(read(path)) == 3


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.xz"])
def test_a_tar_that_breaks_off_gives_what_came_before(tmp_path, name):
    path = write_tar(tmp_path / name, {f"{index}.bin": os.urandom(60_000) for index in range(6)})
    whole = {one.origin: one.data for one in read(path)}
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = read(path)
    good = [one for one in found if one.fault is None]
    assert 1 <= len(good) < 6 and all(whole[one.origin] == one.data for one in good)
    assert {one.fault.reason for one in found if one.fault} == {"truncated"}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.parquet"])
@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x1f\x8b\x08", bytes(5000), os.urandom(5000)])
def test_a_file_that_is_no_archive_is_one_fault(tmp_path, name, data):
    """Of a tar file, zeros are an archive of nothing."""
    path = tmp_path / name
    path.write_bytes(data)
    found = read(path)
    if name.startswith("a.tar") and data == bytes(5000):
        assert found == []
    else:
        assert [one.fault.reason for one in found] == ["broken"]


def test_random_damage_raises_nothing(tmp_path):
    """200 archives of each kind with a few bytes changed: no reader raises, of a zip no picture comes out changed."""
    import random

    chance = random.Random(0)
    for name, write in (("a.zip", write_zip), ("a.tar", write_tar), ("a.tar.gz", write_tar)):
        good = write(tmp_path / name, PICTURES).read_bytes()
        for _ in range(200):
            data = bytearray(good)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            (tmp_path / name).write_bytes(bytes(data))
            found = read(tmp_path / name)
            if name == "a.zip":  # it alone has a checksum of each member
                assert all(one.fault or one.data in PICTURES.values() for one in found)


def test_zip_members_are_read_in_the_order_of_their_names(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"b.png": b"b", "a.png": b"a"})
    assert [one.data for one in ZipArchive(path).candidates()] == [b"a", b"b"]
