from __future__ import annotations

import json
import os

import pytest

from fungal_assets.collection.sources import hash_source, measure_source, open_source
from fungal_assets.errors import InputError
from fungal_assets_tests.collection.drawing import write_pictures


def _origins(folder):
    return [candidate.origin for candidate in open_source(str(folder))]


def test_files_come_in_the_order_of_their_paths_through_all_folders(tmp_path):
    for name in ("b/2.png", "a/10.png", "c.png", "a/deep/er/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert _origins(tmp_path) == ["a/10.png", "a/deep/er/1.png", "b/2.png", "c.png"]
    assert [candidate.data for candidate in open_source(str(tmp_path))][0] == b"a/10.png"


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
        candidate.origin: candidate.fault and candidate.fault.reason for candidate in open_source(str(inside))
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
    faults = [candidate.fault for candidate in open_source(str(tmp_path)) if candidate.fault]
    assert [fault.reason for fault in faults] == ["unreadable"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_sidecar_says_who_made_a_picture(tmp_path, name):
    write_pictures(tmp_path, 2)
    row = {"file_name": "01.png", "creator": "Ada", "licence": "cc by 4.0", "label": "bolete"}
    as_csv, as_json = ",".join(row) + "\n" + ",".join(row.values()) + "\n", json.dumps(row) + "\n\n"
    text = as_csv if name.endswith("csv") else as_json
    (tmp_path / name).write_text(text, encoding="utf-8-sig" if name.endswith("csv") else "utf-8")
    plain, known = open_source(str(tmp_path))
    assert (plain.creator, plain.licence, plain.label) == (None, None, None)
    assert (known.creator, known.licence, known.label) == ("Ada", "CC-BY-4.0", "bolete")


def test_a_sidecar_row_without_its_file_is_a_fault(tmp_path):
    write_pictures(tmp_path, 1)
    (tmp_path / "metadata.csv").write_text("file_name,creator\n00.png,Ada\ngone.png,Bo\n")
    lost = list(open_source(str(tmp_path)))[-1]
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
        list(open_source(str(tmp_path)))


def test_a_missing_or_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_source(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="holds no file"):
        open_source(str(tmp_path))
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        open_source(str(tmp_path / "file"))


def test_the_hash_changes_with_names_bytes_and_sidecar_alone(tmp_path):
    write_pictures(tmp_path, 3)
    first = hash_source(str(tmp_path))
    os.utime(tmp_path / "00.png", (0, 0))
    assert hash_source(str(tmp_path)) == first
    (tmp_path / "00.png").rename(tmp_path / "renamed.png")
    second = hash_source(str(tmp_path))
    (tmp_path / "metadata.csv").write_text("file_name\n01.png\n")
    third = hash_source(str(tmp_path))
    (tmp_path / "01.png").write_bytes(b"other")
    assert len({first, second, third, hash_source(str(tmp_path))}) == 4


def test_the_size_of_a_source_counts_its_files_and_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    assert measure_source(str(tmp_path)) == (2, 8)
