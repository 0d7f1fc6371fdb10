"""What both backends promise, and how one is chosen."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fungal_assets import compute
from fungal_assets.errors import FungalError, InputError, MissingExtraError
from fungal_assets_tests.compute import jobs


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_items(backend, processes):
    assert compute.map(jobs.square, [5, 1, 4], processes=processes) == [25, 1, 16]


def test_results_keep_the_order_of_the_items_though_the_first_is_done_last(backend):
    told = []
    assert compute.map(jobs.wait, [1.0, 0.0], processes=2, tell=told.append) == [1.0, 0.0]
    assert [line.split()[0] for line in told] == ["0.0", "1.0"]


def test_no_items_give_no_results(backend):
    assert compute.map(jobs.square, [], processes=2) == []


def test_workers_are_other_processes_that_share_the_cores(backend):
    found = compute.map(jobs.describe_worker, range(4), processes=2)
    assert os.getpid() not in {pid for pid, _ in found}
    assert {int(threads) for _, threads in found} <= set(range(1, max(1, compute.cores() // 2) + 1))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_names_its_item_and_stops_no_other(backend, processes):
    told = []
    with pytest.raises(InputError, match="^item 3: 3 is odd$"):
        compute.map(
            jobs.refuse_odd, [2, 3, 4], processes=processes, name=lambda n: f"item {n}", tell=told.append
        )
    assert sorted(line.split(" (")[0] for line in told) == [
        "item 2 done",
        "item 3 failed: 3 is odd",
        "item 4 done",
    ]
    assert [line.split(" (")[1] for line in told] == ["1 of 3)", "2 of 3)", "3 of 3)"]


def test_of_several_failures_the_first_item_is_named(backend):
    with pytest.raises(InputError, match="^7: 7 is odd$"):
        compute.map(jobs.refuse_odd, [2, 7, 3], processes=2)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_bug_keeps_its_class_and_gets_a_note(backend, processes):
    with pytest.raises(ZeroDivisionError) as caught:
        compute.map(jobs.divide, [1, 0], processes=processes)
    assert "'0'" in caught.value.__notes__[-1]


def test_a_worker_that_dies_is_an_error_that_says_what_to_type(backend):
    with pytest.raises(
        FungalError, match="^2: .*(worker process died|worker was lost).*type the command again"
    ):
        compute.map(jobs.die_at_two, [2, 2], processes=2)


def test_fewer_than_one_process_is_refused():
    with pytest.raises(ValueError, match="processes is 0"):
        compute.map(jobs.square, [1], processes=0)


@pytest.mark.parametrize("chosen", ["spark", "ray://", "10.0.0.1:6379"])
def test_an_unknown_backend_is_refused_with_what_there_is(monkeypatch, chosen):
    monkeypatch.setenv("FUNGAL_COMPUTE", chosen)
    with pytest.raises(InputError, match=f"'{chosen}'.*'local'.*'ray'.*'auto'.*'ray://HOST:10001'"):
        compute.map(jobs.square, [1], processes=1)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setenv("FUNGAL_COMPUTE", "auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"'auto'.*pip install 'fungal_assets\[ray\]'"):
        compute.map(jobs.square, [1], processes=1)


def test_maps_of_this_machine_do_not_import_ray():
    code = (
        "import sys; from fungal_assets import compute; compute.map(abs, [1], processes=1); "
        "sys.exit('ray' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "FUNGAL_COMPUTE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path, ending):
    check_nothing_is_left(tmp_path, ending)


def test_workers_that_ignore_sigterm_end_with_an_interruption(tmp_path):
    """As those of a step that Dagster runs for a background job of a shell."""
    check_nothing_is_left(tmp_path, signal.SIGINT, also="signal.signal(signal.SIGTERM, signal.SIG_IGN)")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_cluster_of_ones_own_ends_with_its_parent(own_cluster, tmp_path, ending):
    check_nothing_is_left(tmp_path, ending)


def check_nothing_is_left(folder, ending, *, also="pass"):
    """End a map of sleepers by that signal: no worker is left, nor anything else where it could clear up.

    After SIGKILL two idle agents of Ray stay for a minute.
    """
    script = folder / "sleepers.py"
    script.write_text(
        "import os, pathlib, signal, sys, time\n"
        "from fungal_assets import compute\n"
        f"signal.signal(signal.SIGINT, signal.default_int_handler)\n{also}\n"
        "def sleep(place):\n"
        "    pathlib.Path(place).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    compute.map(sleep, sys.argv[1:], processes=2)\n"
    )
    places = [folder / "a", folder / "b"]
    parent = subprocess.Popen([sys.executable, str(script), *map(str, places)], stderr=subprocess.DEVNULL)
    try:
        _check_end(parent, places, ending)
    finally:  # what hangs must not work on beside the tests that follow
        family = psutil.Process(parent.pid).children(recursive=True) if parent.poll() is None else []
        parent.kill()
        for process in family:
            process.kill()


def _check_end(parent, places, ending):
    _wait_for(lambda: all(place.exists() and place.read_text() for place in places), 60)
    started = psutil.Process(parent.pid).children(recursive=True)
    workers = [process for process in started if str(process.pid) in {place.read_text() for place in places}]
    assert len(workers) == 2
    parent.send_signal(ending)
    assert parent.wait(30) != 0
    to_end = workers if ending == signal.SIGKILL else started
    _wait_for(lambda: not any(_is_alive(process) for process in to_end), 20)


def _is_alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for(is_so, limit_s):
    until = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)
