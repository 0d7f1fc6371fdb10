"""Items as tasks of a Ray cluster: one that is running, or one of this machine that ends with the map.

Every machine needs the same Python, Ray and `fungal_assets` as the driver (one image, or Ray's `runtime_env`), and the
store at the same path. Ray is imported inside functions: it is an extra.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fungal_assets.compute.outcomes import Failure, Listing, attempt, gather
from fungal_assets.compute.workers import THREAD_SETTINGS, cores, end_with_starter
from fungal_assets.errors import FungalError, InputError, MissingExtraError

_OBJECT_STORE_BYTES = 100_000_000
"""Shared memory of a cluster that is started here; nearly the least that Ray takes, since results are small."""
_RETRIES = 1
"""Further tries of an item whose worker died: a lost machine costs no item, one that crashes does so twice."""


def run(
    fn: Callable[[Any], Any], items: Sequence[Any], listing: Listing, *, address: str, cpus: int, gpus: float
) -> list[Any]:
    """One outcome per item, in the items' order.

    Args:
        fn: A function that the workers can import.
        items: What it is called with.
        listing: The items.
        address: As `ray.init` takes it; `local` for a cluster of this machine.
        cpus: CPUs and threads of an item.
        gpus: GPUs of an item, if the cluster has any.
    """
    with joined(address) as ray:
        task = ray.remote(_run_item).options(
            **_fit(ray, cpus, gpus, listing),
            max_retries=_RETRIES,
            runtime_env={"env_vars": worker_environment(cpus)},
        )
        running: list[Any] = []
        try:
            running += (task.remote(fn, item) for item in items)
            return gather([reference.future() for reference in running], listing, _explain)
        except ImportError as error:  # through ray:// the function is imported on the cluster's head at once
            raise _stranger(error) from error
        except BaseException:
            for reference in running:
                ray.cancel(reference, force=True)
            raise


def worker_environment(threads: int) -> dict[str, str]:
    """Of a worker, set before it starts, since Ray loads numpy first; a map inside an item stays on its machine."""
    return {setting: str(threads) for setting in THREAD_SETTINGS} | {"FUNGAL_COMPUTE": "local"}


def _run_item(fn: Callable[[Any], Any], item: Any) -> Any:
    """Run on a worker: the outcome as a value, since Ray would change the class of an error that is raised."""
    _end_with_raylet()
    outcome = attempt(fn, item)
    if isinstance(outcome, Failure):
        outcome.error.add_note("".join(traceback.format_exception(outcome.error)))
    return outcome


@functools.cache
def _end_with_raylet() -> None:
    """Let this worker end when Ray's own process on its machine does; by itself it would work on for some seconds."""
    end_with_starter()


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """The module `ray`, connected: to the caller's cluster if there is one, else to that address until the end."""
    ray = _import_ray()
    if ray.is_initialized():
        yield ray
        return
    former = signal.getsignal(signal.SIGTERM)
    try:
        _connect(ray, address)
        if callable(former):
            _handle_sigterm(former)
        yield ray
    finally:
        ray.shutdown()
        _handle_sigterm(former)


def _handle_sigterm(handler: Any) -> None:
    """Put back a handler of SIGTERM, which `ray.init` replaced by one that exits, and only in the main thread."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            f"FUNGAL_COMPUTE is {os.environ.get('FUNGAL_COMPUTE')!r}, which needs Ray: pip install 'fungal_assets[ray]'"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    started = {
        "num_cpus": cores(),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }
    try:
        ray.init(
            address,
            ignore_reinit_error=True,
            logging_level="ERROR",
            log_to_driver=False,
            **(started if address == "local" else {}),
        )
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        raise InputError(
            f"no Ray cluster could be joined (FUNGAL_COMPUTE is {os.environ.get('FUNGAL_COMPUTE')!r}): {error}. "
            "On a machine of the cluster `ray status` says whether it runs; its Python and Ray must be those here."
        ) from error


def _fit(ray: Any, cpus: int, gpus: float, listing: Listing) -> dict[str, float]:
    """What each task is to ask for, as Ray calls it; tells where that isn't what the caller asked for or must wait."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpus and not any(machine.get("GPU") for machine in machines):
        listing.tell("the Ray cluster has no GPU: its CPUs are used")
        gpus = 0
    if not any(machine.get("CPU", 0) >= cpus and machine.get("GPU", 0) >= gpus for machine in machines):
        listing.tell(f"no machine of the Ray cluster has {cpus} CPUs and {gpus:g} GPUs; waiting for one")
    return {"num_cpus": cpus, "num_gpus": gpus}


def _explain(error: Exception) -> Exception:
    """An error of Ray's own as one that a user can mend."""
    from ray import exceptions

    if isinstance(error, exceptions.RayTaskError):
        explained = _stranger(error.cause)
        explained.__cause__ = error
        return explained
    if isinstance(error, exceptions.OutOfMemoryError):
        said = "its machine ran out of memory; ask for more CPUs an item, or a larger machine."
    elif isinstance(error, exceptions.RayError):
        said = (
            f"its worker was lost ({type(error).__name__}), as happens where memory runs out or a machine goes; "
            "type the command again: what is complete is kept."
        )
    else:
        return error
    explained = FungalError(said)
    explained.__cause__ = error
    return explained


def _stranger(error: object) -> FungalError:
    """What is wrong with a worker that can't even begin with an item; the last line of Ray's text says it."""
    reason = (str(error).strip() or repr(error)).splitlines()[-1]
    return FungalError(
        f"a worker of the Ray cluster could not run it: {reason}. Every machine of the cluster needs the Python, "
        "Ray and fungal_assets of this one: give them one image, or start the job with a runtime_env that has them."
    )
