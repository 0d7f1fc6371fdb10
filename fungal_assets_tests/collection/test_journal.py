"""Looks are kept and found again as they were; a collection that grew is looked at where it is new alone."""

from __future__ import annotations

import dataclasses
import hashlib
import tracemalloc

import numpy as np
import pytest

from fungal_assets.collection import looking
from fungal_assets.collection.admission import admit_images
from fungal_assets.collection.duplicates import GRID_PX, Marks
from fungal_assets.collection.journal import TABLE_NAME, Journal, KnownLooks, open_known
from fungal_assets.collection.looking import Limits, Look
from fungal_assets.collection.quality import Quality
from fungal_assets.collection.sources import Candidate, Fault
from fungal_assets.shards import read_table
from fungal_assets.store import hash_folder
from fungal_assets_tests.collection.drawing import encode
from fungal_assets_tests.collection.hostile import textured, write_hostile
from fungal_assets_tests.collection.test_admission import LIMITS

SOME = Limits(**LIMITS)


def _look(number: int) -> Look:
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    if number % 7 == 0:
        return Look(f"{number}", None, Fault("unreadable", "no right"))
    if number % 5 == 0:
        return Look(f"{number}", sha256, Fault("broken", f"OSError: {number}"))
    grid = np.random.default_rng(number).integers(0, 256, (GRID_PX, GRID_PX, 3)).astype(np.float32)
    marks = Marks(int(sha256[:16], 16), int(sha256[16:32], 16), grid)
    return Look(
        f"{number}",
        sha256,
        None,
        number,
        9,
        "PNG",
        number % 2 == 0,
        Quality(0.1, 1.5, number),
        marks,
        focus=number / 1050,
    )


def _same(one: Look, other: Look) -> bool:
    rest = dataclasses.replace(one, marks=None) == dataclasses.replace(other, marks=None)
    if one.marks is None or other.marks is None:
        return rest and one.marks is other.marks
    is_same_hash = (one.marks.bits, one.marks.mirrored_bits) == (other.marks.bits, other.marks.mirrored_bits)
    return rest and is_same_hash and np.array_equal(one.marks.grid, other.marks.grid)


@pytest.fixture
def left(tmp_path):
    """A table of 1,050 looks, left by a journal, and the looks."""
    journal, looks = Journal(tmp_path / ".looks", part_looks=64), [_look(number) for number in range(1050)]
    for look in looks:
        journal.add(look)
    journal.flush()
    journal.leave(tmp_path, SOME)
    return tmp_path, looks


@pytest.mark.parametrize("order", ["forward", "backward", "random"])
def test_each_look_is_found_by_its_bytes_in_any_order(left, order):
    folder, looks = left
    known = open_known(folder, SOME)
    with_bytes = [look for look in looks if look.sha256]
    assert known and len(known) == len(with_bytes) == 900
    if order == "backward":
        with_bytes.reverse()
    elif order == "random":
        np.random.default_rng(0).shuffle(with_bytes)
    assert all(_same(known.find(look.sha256), look) for look in with_bytes)
    assert known.find(hashlib.sha256(b"new").hexdigest()) is None


def test_a_digest_that_begins_alike_is_another(left):
    folder, looks = left
    known = open_known(folder, SOME)
    assert known and known.find(looks[1].sha256[:16] + "0" * 48) is None


@pytest.mark.parametrize(
    "limits", [{"min_side_px": 33}, {"min_fungus_probability": 0.1}, {"max_megapixels": 5.0}], ids=str
)
def test_looks_under_other_limits_are_not_used(left, limits):
    assert open_known(left[0], dataclasses.replace(SOME, **limits)) is None


def test_looks_by_other_decoders_are_not_used(left, monkeypatch):
    monkeypatch.setattr("fungal_assets.collection.journal.version", lambda name: "0.1")
    assert open_known(left[0], SOME) is None


def test_an_output_without_a_table_of_looks_is_no_fault(tmp_path):
    assert open_known(tmp_path, SOME) is None and open_known(None, SOME) is None


def test_thirty_thousand_known_looks_take_little_memory(tmp_path):
    """Sixteen bytes each stay; 768 bytes and more each are on disk."""
    journal = Journal(tmp_path / ".looks", part_looks=10_000)
    one = _look(1)
    for number in range(30_000):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        journal.add(dataclasses.replace(one, sha256=sha256))
    journal.leave(tmp_path, SOME)
    tracemalloc.start()
    known = KnownLooks(tmp_path / TABLE_NAME)
    for number in range(0, 30_000, 500):
        assert known.find(hashlib.sha256(str(number).encode()).hexdigest())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000 * 100


@pytest.fixture
def decoded(monkeypatch):
    """One entry for each picture that a look decodes; it is decoded all the same."""
    found, decode = [], looking.decode
    monkeypatch.setattr(looking, "decode", lambda *given: found.append(1) or decode(*given))
    return found


def _admit(source, out, known=None, **limits):
    out.mkdir()
    return admit_images(out, source=str(source), known=known, **LIMITS | limits)


def test_a_hostile_folder_that_grew_is_looked_at_where_it_is_new_and_comes_out_the_same(tmp_path, decoded):
    """Over two hundred good and bad files, then five more, one renamed and one gone."""
    source = tmp_path / "source"
    write_hostile(source)
    first = _admit(source, tmp_path / "first")
    (source / "good" / "JPEG-0.jpg").rename(source / "aa-renamed.jpg")
    (source / "good" / "PNG-0.png").unlink()
    for number in range(5):
        (source / f"good/new-{number}.png").write_bytes(encode(textured(7000 + number)))
    decoded.clear()
    second = _admit(source, tmp_path / "second", known=tmp_path / "first")
    assert len(decoded) == second["looked_at"] == 5
    without_bytes = first["candidates"] - first["looked_at"]
    assert first["known"] == 0 and second["known"] == second["candidates"] - 5 - without_bytes
    decoded.clear()
    fresh = _admit(source, tmp_path / "fresh")
    assert len(decoded) > 100
    for name in ("second", "fresh"):
        for hidden in (tmp_path / name).glob(".[!.]*"):
            assert hidden.name in (".looks", ".marks", ".images")
    assert hash_folder(tmp_path / "second") == hash_folder(tmp_path / "fresh")
    told = [dict(figures) for figures in (second, fresh)]
    for figures in told:
        del figures["looked_at"], figures["known"]
    assert told[0] == told[1]


def test_a_copy_that_is_better_than_a_known_picture_takes_its_place(tmp_path, decoded):
    """What is known is how a picture looks by itself; which of its copies is kept is decided anew."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "small.png").write_bytes(encode(textured(1, 200).resize((100, 100))))
    _admit(source, tmp_path / "first")
    (source / "zz-large.png").write_bytes(encode(textured(1, 200)))
    _admit(source, tmp_path / "second", known=tmp_path / "first")
    [reject] = read_table(tmp_path / "second" / "rejects.parquet")
    assert (reject["origin"], reject["reason"]) == ("small.png", "near_duplicate")


def test_a_stopped_run_still_knows_which_looks_were_taken_over(tmp_path, monkeypatch):
    from fungal_assets.collection import admission

    source = tmp_path / "source"
    source.mkdir()
    for number in range(6):
        (source / f"{number}.png").write_bytes(encode(textured(number)))
    _admit(source, tmp_path / "first")
    (source / "zz-new.png").write_bytes(encode(textured(99)))
    monkeypatch.setattr(admission, "find_best", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        _admit(source, tmp_path / "second", known=tmp_path / "first")
    monkeypatch.undo()
    figures = admit_images(tmp_path / "second", source=str(source), **LIMITS)
    assert (figures["known"], figures["looked_at"]) == (6, 1)


def test_what_a_broken_picture_is_told_names_no_place_in_memory():
    look = looking.look_at(Candidate(b"\xff\xd8\xff garbage", "x"), SOME)
    assert look.fault == Fault("broken", "UnidentifiedImageError: cannot identify image file")
