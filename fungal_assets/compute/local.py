"""Items in processes of this machine, which share its cores.

A worker starts fresh (never by fork, which breaks threaded libraries), so the function must be importable by name and
the items picklable. A worker ends with its parent, however the parent ends.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from fungal_assets.compute.outcomes import Listing, attempt, gather
from fungal_assets.compute.workers import cores, end_with_parent, limit_threads
from fungal_assets.errors import FungalError


def run(fn: Callable[[Any], Any], items: Sequence[Any], processes: int, listing: Listing) -> list[Any]:
    """One outcome per item, in the items' order; with one process or one item, all in this process."""
    workers = min(processes, len(items))
    return _run_here(fn, items, listing) if workers <= 1 else _run_workers(fn, items, workers, listing)


def _run_here(fn: Callable[[Any], Any], items: Sequence[Any], listing: Listing) -> list[Any]:
    outcomes: list[Any] = []
    for index, item in enumerate(items):
        outcomes.append(attempt(fn, item))
        listing.tell_of(index, outcomes[-1], index + 1)
    return outcomes


def _run_workers(fn: Callable[[Any], Any], items: Sequence[Any], workers: int, listing: Listing) -> list[Any]:
    context = multiprocessing.get_context("spawn")
    older_children = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _prepare_worker, (max(1, cores() // workers),))
    try:
        return gather([pool.submit(fn, item) for item in items], listing, _explain)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - older_children:
            child.kill()  # SIGTERM is ignored where SIGINT is, as in a background job, once Dagster was there
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker(threads: int) -> None:
    limit_threads(threads)
    end_with_parent()


def _explain(error: Exception) -> Exception:
    """A worker that died takes all items with it that are not done, whichever it was at."""
    if not isinstance(error, BrokenProcessPool):
        return error
    explained = FungalError(
        "not done, since a worker process died, as happens where memory runs out (dmesg says so); type the command "
        "again with fewer processes, such as --set forms_3d.processes=1: what is complete is kept."
    )
    explained.__cause__ = error
    return explained
