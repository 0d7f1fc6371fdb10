import os
import signal
import subprocess
import sys
import time

import pytest

from fungal_assets import compute
from fungal_assets.errors import InputError


def _square(number):
    return number * number


def _describe_worker(_):
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def _refuse_odd(number):
    if number % 2:
        raise InputError(f"{number} is odd")
    return number


def _divide(number):
    return 1 / number


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_items(processes):
    assert compute.map(_square, [5, 1, 4], processes=processes) == [25, 1, 16]


def test_no_items_give_no_results():
    assert compute.map(_square, [], processes=2) == []


def test_workers_are_other_processes_that_share_the_cores():
    found = compute.map(_describe_worker, range(4), processes=2)
    assert os.getpid() not in {pid for pid, _ in found}
    assert {int(threads) for _, threads in found} <= set(range(1, max(1, compute.cores() // 2) + 1))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_names_its_item_and_stops_no_other(processes):
    told = []
    with pytest.raises(InputError, match="item 3: 3 is odd"):
        compute.map(_refuse_odd, [2, 3, 4], processes=processes, name=lambda n: f"item {n}", tell=told.append)
    assert sorted(line.split(" (")[0] for line in told) == [
        "item 2 done",
        "item 3 failed: 3 is odd",
        "item 4 done",
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_bug_keeps_its_class_and_gets_a_note(processes):
    with pytest.raises(ZeroDivisionError) as caught:
        compute.map(_divide, [1, 0], processes=processes)
    assert "'0'" in caught.value.__notes__[-1]


def test_fewer_than_one_process_is_refused():
    with pytest.raises(ValueError, match="processes is 0"):
        compute.map(_square, [1], processes=0)


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "sleepers.py"
    script.write_text(
        "import os, pathlib, sys, time\n"
        "from fungal_assets import compute\n"
        "def sleep(place):\n"
        "    pathlib.Path(place).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    compute.map(sleep, sys.argv[1:], processes=2)\n"
    )
    places = [tmp_path / "a", tmp_path / "b"]
    parent = subprocess.Popen([sys.executable, str(script), *map(str, places)])
    _wait_for(lambda: all(place.exists() and place.read_text() for place in places), 20)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _wait_for(lambda: not any(_is_alive(int(place.read_text())) for place in places), 5)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - not a file of the project
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_for(is_so, limit_s):
    until = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)
