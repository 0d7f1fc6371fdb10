"""From an address to its source."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fungal_assets.collection.sources import find_source, make_absolute
from fungal_assets.errors import InputError
from fungal_assets_tests.collection.drawing import write_pictures


def test_the_specimens_are_a_source():
    candidates = list(find_source("specimens").candidates())
    assert len(candidates) == find_source("specimens").measure().files > 100
    assert {one.source for one in candidates} == {"specimens"}


def test_an_archive_is_a_source_of_its_own(tmp_path):
    folder = write_pictures(tmp_path / "in", 2)
    path = tmp_path / "fungi.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(folder.iterdir()):
            archive.write(one, one.name)
    source = find_source(str(path))
    assert [one.origin for one in source.candidates()] == ["fungi.zip/00.png", "fungi.zip/01.png"]
    before = source.fingerprint()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("02.png", b"x")
    assert source.fingerprint() != before and source.measure().files == 3


def test_what_is_not_there_is_refused_with_what_may_be(tmp_path):
    (tmp_path / "file.txt").write_text("x")
    for address, found in (
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path / "file.txt", "is a file, and none of"),
    ):
        with pytest.raises(InputError, match=f"{found}.*expected a folder of pictures, an archive"):
            find_source(str(address))


def test_a_path_is_made_absolute_and_an_address_stays(tmp_path, monkeypatch):
    write_pictures(tmp_path / "fungi", 1)
    monkeypatch.chdir(tmp_path)
    assert Path(make_absolute("fungi")) == tmp_path / "fungi"
    assert (make_absolute("specimens"), make_absolute("hf:ada/fungi")) == ("specimens", "hf:ada/fungi")
    with pytest.raises(InputError, match="does not exist"):
        make_absolute("gone")
