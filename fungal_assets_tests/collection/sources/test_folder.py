from __future__ import annotations

import json
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fungal_assets.collection.sources.folder import FolderSource
from fungal_assets.errors import InputError
from fungal_assets_tests.collection.drawing import write_pictures


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def _origins(folder):
    return [candidate.origin for candidate in FolderSource(folder).candidates()]


def test_files_come_in_the_order_of_their_paths_through_all_folders(tmp_path):
    for name in ("b/2.png", "a/10.png", "c.png", "a/deep/er/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert _origins(tmp_path) == ["a/10.png", "a/deep/er/1.png", "b/2.png", "c.png"]
    assert [candidate.data for candidate in FolderSource(tmp_path).candidates()][0] == b"a/10.png"


def test_hidden_names_are_left_alone(tmp_path):
    write_pictures(tmp_path, 1)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "object").write_bytes(b"x")
    assert _origins(tmp_path) == ["00.png"]


def test_links_out_of_the_folder_are_faults_and_links_inside_are_read(tmp_path):
    outside = tmp_path / "outside"
    write_pictures(outside, 1)
    inside = write_pictures(tmp_path / "inside", 1)
    (inside / "away.png").symlink_to(outside / "00.png")
    (inside / "away").symlink_to(outside)
    (inside / "here.png").symlink_to(inside / "00.png")
    (inside / "nowhere.png").symlink_to(inside / "gone.png")
    faults = {
        candidate.origin: candidate.fault and candidate.fault.reason
        for candidate in FolderSource(inside).candidates()
    }
    assert faults == {
        "00.png": None,
        "away": "outside_source",
        "away.png": "outside_source",
        "here.png": None,
        "nowhere.png": "unreadable",
    }


def test_a_link_to_a_parent_folder_does_not_loop(tmp_path):
    write_pictures(tmp_path / "inner", 1)
    (tmp_path / "inner" / "again").symlink_to(tmp_path)
    assert _origins(tmp_path) == ["inner/00.png", "inner/again"]


def test_a_pipe_is_a_fault_and_is_not_opened(tmp_path):
    write_pictures(tmp_path, 1)
    os.mkfifo(tmp_path / "pipe.png")
    faults = [candidate.fault for candidate in FolderSource(tmp_path).candidates() if candidate.fault]
    assert [fault.reason for fault in faults] == ["unreadable"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_sidecar_says_who_made_a_picture(tmp_path, name):
    write_pictures(tmp_path, 2)
    row = {"file_name": "01.png", "creator": "Ada", "licence": "cc by 4.0", "label": "bolete"}
    row |= {"habitat": "meadow", "substrate": "dung"}
    as_csv, as_json = ",".join(row) + "\n" + ",".join(row.values()) + "\n", json.dumps(row) + "\n\n"
    text = as_csv if name.endswith("csv") else as_json
    (tmp_path / name).write_text(text, encoding="utf-8-sig" if name.endswith("csv") else "utf-8")
    plain, known = FolderSource(tmp_path).candidates()
    assert (plain.creator, plain.licence, plain.label) == (None, None, None)
    assert (known.creator, known.licence, known.label) == ("Ada", "CC-BY-4.0", "bolete")
    assert (known.habitat, known.substrate, plain.habitat) == ("meadow", "dung", None)


def test_each_folder_may_have_a_sidecar_and_the_nearest_counts(tmp_path):
    """The layout of an image folder with splits, and a table that is none of ours beside it."""
    for name in ("train", "test", "notes"):
        write_pictures(tmp_path / name, 1)
    (tmp_path / "metadata.csv").write_text("file_name,creator\ntrain/00.png,Top\ntest/00.png,Top\n")
    (tmp_path / "train" / "metadata.jsonl").write_text('{"file_name": "00.png", "creator": "Near"}\n')
    (tmp_path / "notes" / "metadata.csv").write_text("id,title\n1,no pictures\n")
    found = {candidate.origin: candidate for candidate in FolderSource(tmp_path).candidates()}
    assert {name: found[f"{name}/00.png"].creator for name in ("train", "test", "notes")} == {
        "train": "Near",
        "test": "Top",
        "notes": None,
    }
    other = found["notes/metadata.csv"].fault
    assert other.reason == "unusable_sidecar" and "no 'file_name' in row 1" in other.detail
    assert len(found) == 4


def test_a_nested_sidecar_changes_the_hash(tmp_path):
    write_pictures(tmp_path / "deep", 1)
    before = FolderSource(tmp_path).fingerprint()
    (tmp_path / "deep" / "metadata.csv").write_text("file_name,creator\n00.png,Ada\n")
    assert FolderSource(tmp_path).fingerprint() != before and FolderSource(tmp_path).measure().files == 1


def test_a_sidecar_row_without_its_file_is_a_fault(tmp_path):
    write_pictures(tmp_path, 1)
    (tmp_path / "metadata.csv").write_text("file_name,creator\n00.png,Ada\ngone.png,Bo\n")
    lost = list(FolderSource(tmp_path).candidates())[-1]
    assert (lost.origin, lost.creator, lost.fault.reason) == ("gone.png", "Bo", "missing")


@pytest.mark.parametrize(
    "texts, message",
    [
        ({"metadata.csv": "name,creator\n00.png,Ada\n"}, "no 'file_name' in row 1"),
        ({"metadata.jsonl": "{broken\n"}, "cannot be read"),
        ({"metadata.csv": "file_name\n", "metadata.jsonl": ""}, "Remove the other"),
    ],
    ids=["no-file-name", "bad-json", "two-sidecars"],
)
def test_a_faulty_sidecar_is_refused(tmp_path, texts, message):
    write_pictures(tmp_path, 1)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        list(FolderSource(tmp_path).candidates())


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no file"):
        FolderSource(tmp_path).candidates()


def test_links_may_lead_as_far_as_the_bounds_that_are_given(tmp_path):
    blobs, root = write_pictures(tmp_path / "blobs", 1), tmp_path / "snapshot"
    root.mkdir()
    (root / "a.png").symlink_to(blobs / "00.png")
    [refused], [read] = FolderSource(root).candidates(), FolderSource(root, bounds=tmp_path).candidates()
    assert refused.fault.reason == "outside_source"
    assert (read.fault, read.data) == (None, (blobs / "00.png").read_bytes())


def test_archives_and_tables_in_a_folder_are_read_through_beside_its_files(tmp_path):
    write_pictures(tmp_path / "in", 2)
    folder = write_pictures(tmp_path / "out", 1)
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(tmp_path / "in" / "01.png", "deep/01.png")
    rows = [{"image": {"bytes": (tmp_path / "in" / "00.png").read_bytes(), "path": "x.png"}}]
    write_table(folder / "shards" / "train-00000-of-00001.parquet", rows)
    (folder / "broken.tar.gz").write_bytes(b"no archive")
    found = {one.origin: one.fault and one.fault.reason for one in FolderSource(folder).candidates()}
    assert found == {
        "00.png": None,
        "broken.tar.gz": "broken",
        "more.zip/deep/01.png": None,
        "shards/train-00000-of-00001.parquet/0": None,
    }
    assert FolderSource(folder).measure().files == 4


def test_what_says_no_licence_has_that_of_the_source(tmp_path):
    write_pictures(tmp_path, 2)
    (tmp_path / "metadata.csv").write_text("file_name,licence\n00.png,cc0\n")
    licences = [one.licence for one in FolderSource(tmp_path, licence="MIT").candidates()]
    assert licences == ["CC0-1.0", "MIT"]


def test_the_hash_changes_with_names_bytes_and_sidecar_alone(tmp_path):
    write_pictures(tmp_path, 3)
    first = FolderSource(tmp_path).fingerprint()
    os.utime(tmp_path / "00.png", (0, 0))
    assert FolderSource(tmp_path).fingerprint() == first
    (tmp_path / "00.png").rename(tmp_path / "renamed.png")
    second = FolderSource(tmp_path).fingerprint()
    (tmp_path / "metadata.csv").write_text("file_name\n01.png\n")
    third = FolderSource(tmp_path).fingerprint()
    (tmp_path / "01.png").write_bytes(b"other")
    assert len({first, second, third, FolderSource(tmp_path).fingerprint()}) == 4


def test_the_size_of_a_source_counts_its_files_and_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    assert FolderSource(tmp_path).measure() == (2, 8)
