"""Map a function over items on every core of this machine.

Belongs here: starting processes, sharing the cores among them, and carrying results and errors back. What is computed
does not. A worker starts fresh (never by fork, which breaks threaded libraries), so the function must be importable by
name and the items picklable. A worker ends with its parent, however the parent ends.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing.process import BaseProcess
from typing import TypeVar

from fungal_assets.errors import FungalError
from fungal_assets.progress import Tell, stay_silent

Item = TypeVar("Item")
Result = TypeVar("Result")
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def map(  # noqa: A001 - compute.map is what it is called everywhere
    fn: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    processes: int,
    name: Callable[[Item], str] = str,
    tell: Tell = stay_silent,
) -> list[Result]:
    """`[fn(item) for item in items]`, several items at once.

    An item that fails stops no other: all are tried, then the first failure in the items' order is raised.

    Args:
        fn: A function at the top level of a module.
        items: What it is called with, one by one.
        processes: Worker processes at most; with 1, or a single item, everything runs in this process.
        name: What an item is called in messages.
        tell: Told of each item that is done.

    Returns:
        One result per item, in the items' order.

    Raises:
        FungalError: An item failed so; the message begins with the item's name, the class is the item's.
        Exception: Any other failure, as it was, with a note that names the item.
    """
    if processes < 1:
        raise ValueError(f"processes is {processes}; it must be 1 or more")
    workers = min(processes, len(items))
    outcomes = (
        _run_here(fn, items, name, tell) if workers <= 1 else _run_workers(fn, items, workers, name, tell)
    )
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, _Failure):
            raise _named(outcome.error, name(item))
    return outcomes  # type: ignore[return-value]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Failure:
    def __init__(self, error: Exception):
        self.error = error


def _named(error: Exception, item: str) -> Exception:
    if isinstance(error, FungalError):
        named = type(error)(f"{item}: {error}")
        named.__cause__ = error
        return named
    error.add_note(f"this was at the item {item!r}")
    return error


def _run_here(
    fn: Callable[[Item], Result], items: Sequence[Item], name: Callable[[Item], str], tell: Tell
) -> list[Result | _Failure]:
    outcomes: list[Result | _Failure] = []
    for item in items:
        try:
            outcomes.append(fn(item))
        except Exception as error:
            outcomes.append(_Failure(error))
        _tell_of(outcomes[-1], name(item), len(outcomes), len(items), tell)
    return outcomes


def _run_workers(
    fn: Callable[[Item], Result], items: Sequence[Item], workers: int, name: Callable[[Item], str], tell: Tell
) -> list[Result | _Failure]:
    context = multiprocessing.get_context("spawn")
    threads = max(1, cores() // workers)
    older_children = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _prepare_worker, (threads,))
    try:
        futures = [pool.submit(fn, item) for item in items]
        places = {future: index for index, future in enumerate(futures)}
        for done, future in enumerate(as_completed(futures), 1):
            _tell_of(_outcome(future), name(items[places[future]]), done, len(items), tell)
        return [_outcome(future) for future in futures]  # type: ignore[misc]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - older_children:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(future: Future) -> object:
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return future.result() if error is None else _Failure(error)


def _tell_of(outcome: object, item: str, done: int, total: int, tell: Tell) -> None:
    ending = f"failed: {outcome.error}" if isinstance(outcome, _Failure) else "done"
    tell(f"{item} {ending} ({done} of {total})")


def _prepare_worker(threads: int) -> None:
    """Give this worker its share of the cores, and end it when its parent ends."""
    for setting in _THREAD_SETTINGS:
        os.environ[setting] = str(min(threads, int(os.environ.get(setting) or threads)))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    end_with_parent()


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
