"""What decoders do with hostile bytes stays in a process of its own once a run was killed."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import get_context

import pytest

from fungal_assets.collection.guarding import ProcessDiedError, guard
from fungal_assets.collection.inspection import DEADLY, look_at_all
from fungal_assets.collection.journal import Journal, open_known
from fungal_assets.collection.looking import Limits, look_at
from fungal_assets.collection.sources import find_source
from fungal_assets.progress import Ticker, stay_silent
from fungal_assets_tests.collection.drawing import LENIENT, write_pictures


def answer(item):
    """The process and the square of a number; kills itself by a signal, leaves, or sleeps on others."""
    if item == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "leave":
        os._exit(3)
    if item == "sleep":
        time.sleep(60)
    return os.getpid(), item * item


@pytest.mark.parametrize(
    ("deadly", "told"),
    [("signal", "by SIGSEGV"), ("leave", "with exit code 3"), ("sleep", "took longer than 5 s")],
)
def test_a_death_is_an_error_and_the_next_call_comes_back(deadly, told):
    with guard(answer, patience_s=5) as guarded:
        (first, nine), (second, sixteen) = guarded(3), guarded(4)
        assert (nine, sixteen) == (9, 16) and first == second != os.getpid()
        with pytest.raises(ProcessDiedError, match=told):
            guarded(deadly)
        third, four = guarded(2)
        assert four == 4 and third != first


def look_or_die(candidate, limits):
    """A look; some pictures kill."""
    if candidate.origin in ("03.png", "07.png"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return look_at(candidate, limits)


def look_by(look, source, folder, known=None):
    """The looks at all pictures of a folder."""
    ticker = Ticker(stay_silent, "", 9)
    return look_at_all(find_source(str(source)), folder, Limits(**LENIENT), ticker, known, look)


def test_pictures_that_kill_are_rejects_after_one_killed_run(tmp_path):
    source, folder = write_pictures(tmp_path / "source", 10), tmp_path / "looks"
    process = get_context("spawn").Process(target=look_by, args=(look_or_die, source, folder))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGSEGV
    looks = list(look_by(look_or_die, source, folder))
    assert [look.origin for look in looks] == [f"{number:02d}.png" for number in range(10)]
    deadly = [look for look in looks if look.fault]
    assert [look.origin for look in deadly] == ["03.png", "07.png"]
    assert {look.fault for look in deadly} == {(DEADLY, "looking at it ended its process by SIGSEGV")}
    assert all(look.sha256 for look in looks) and all(look.marks for look in looks if not look.fault)


def test_a_run_that_failed_by_itself_starts_no_other_process(tmp_path):
    """The pictures are looked at here afterwards: a deadly one would end the tests."""
    source, folder = write_pictures(tmp_path / "source", 3), tmp_path / "looks"

    def fail(*_):
        raise OSError("no space is left")

    with pytest.raises(OSError, match="no space"):
        look_by(fail, source, folder)
    processes = []
    journal = look_by(
        lambda candidate, limits: processes.append(os.getpid()) or look_at(candidate, limits), source, folder
    )
    assert len(journal) == 3 and processes == [os.getpid()] * 3


def test_what_was_deadly_is_looked_at_anew_by_the_next_collection_and_still_guarded(tmp_path):
    source, folder = write_pictures(tmp_path / "source", 8), tmp_path / "first"
    (folder / ".looks").mkdir(parents=True)
    (folder / ".looks" / "at_work").touch()
    look_by(look_or_die, source, folder / ".looks").leave(folder, Limits(**LENIENT))
    for look_here, still in ((look_or_die, ["03.png", "07.png"]), (look_at, [])):
        known = open_known(folder, Limits(**LENIENT))
        looks = list(look_by(look_here, source, tmp_path / look_here.__name__, known))
        assert [look.origin for look in looks if look.fault] == still
        assert sum(look.is_known for look in looks) == 6


def look_or_fail(candidate, limits):
    """A look; one picture finds a fault of this machine."""
    if candidate.origin == "01.png":
        raise OSError("no space is left")
    return look_at(candidate, limits)


def test_a_fault_of_the_machine_is_none_of_the_picture(tmp_path):
    source, folder = write_pictures(tmp_path / "source", 3), tmp_path / "looks"
    folder.mkdir()
    (folder / "at_work").touch()
    with pytest.raises(OSError, match="no space is left"):
        look_by(look_or_fail, source, folder)
    assert not list(Journal(folder))
