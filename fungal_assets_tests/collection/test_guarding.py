"""What decoders do with hostile bytes stays in a process of its own once a run was killed."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import get_context

import pytest

from fungal_assets.collection.admission import look_at_all
from fungal_assets.collection.guarding import ProcessDiedError, guard
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


def _look_at_all(source, folder):
    return look_at_all(
        find_source(str(source)), folder, Limits(**LENIENT), Ticker(stay_silent, "", 9), None, look_or_die
    )


def test_pictures_that_kill_are_rejects_after_one_killed_run(tmp_path):
    source, folder = write_pictures(tmp_path / "source", 10), tmp_path / "looks"
    process = get_context("spawn").Process(target=_look_at_all, args=(source, folder))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGSEGV
    looks = list(_look_at_all(source, folder))
    assert [look.origin for look in looks] == [f"{number:02d}.png" for number in range(10)]
    deadly = [look for look in looks if look.fault]
    assert [look.origin for look in deadly] == ["03.png", "07.png"]
    assert {look.fault for look in deadly} == {("broken", "looking at it ended its process by SIGSEGV")}
    assert all(look.sha256 for look in looks) and all(look.marks for look in looks if not look.fault)


def test_a_run_that_ended_by_itself_starts_no_other_process(tmp_path):
    """The pictures are looked at here, after an interruption as well: a deadly one would end the tests."""
    source, folder = write_pictures(tmp_path / "source", 3), tmp_path / "looks"

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_at_all(
            find_source(str(source)), folder, Limits(**LENIENT), Ticker(stay_silent, "", 3), None, interrupt
        )
    processes = []
    journal = look_at_all(
        find_source(str(source)),
        folder,
        Limits(**LENIENT),
        Ticker(stay_silent, "", 3),
        None,
        lambda candidate, limits: processes.append(os.getpid()) or look_at(candidate, limits),
    )
    assert len(journal) == 3 and processes == [os.getpid()] * 3
