"""What holds for any worker process: its share of the cores, and that it ends with its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.process import BaseProcess

THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_LOOK_EVERY_S = 0.2


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(threads: int) -> None:
    """Let this process compute with that many threads at most, or fewer where the environment says so."""
    for setting in THREAD_SETTINGS:
        os.environ[setting] = str(min(threads, int(os.environ.get(setting) or threads)))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def end_with_parent() -> None:
    """Let this process end when the one that started it does, however that ends; a process without one stays.

    A step whose `fungal grow` was killed would otherwise work on unseen, and the same command would wait for it.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_and_end, args=(parent,), daemon=True).start()


def _wait_and_end(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def end_with_starter() -> None:
    """As `end_with_parent`, of a process that something else than `multiprocessing` has started."""
    threading.Thread(target=_look_and_end, args=(os.getppid(),), daemon=True).start()


def _look_and_end(starter: int) -> None:
    while os.getppid() == starter:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGKILL)
