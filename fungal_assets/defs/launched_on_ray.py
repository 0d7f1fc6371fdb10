"""Training by processes of a Ray cluster, by Ray Train; `launched` says which of the two starts them.

The launcher, a Pipes subprocess as well, asks the cluster for the processes and hands on what the main one tells
through a queue. A process that is lost with its machine is started again with the others, and all go on from the last
checkpoint; an error that the user has to mend is told at once. To stop, a file in the working folder says so: signals
don't reach other machines. All machines see the store at the same path. Ray is imported inside functions: it is an
extra.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty
from typing import Any

from fungal_assets.compute import end_with_starter
from fungal_assets.compute.on_ray import joined, worker_environment
from fungal_assets.defs.launched import LAUNCHER, LONGEST_WAIT, carry_out, leave_fault
from fungal_assets.errors import FungalError

STOP_NAME = ".stop"
_STORAGE_NAME = ".ray"
RESTARTS = 3
"""How often processes are started again after one was lost."""
_LOOK_EVERY_S = 0.5


def launch_on_ray(order: Path, processes: int, address: str) -> None:
    """Train by so many processes, for 0 one for each GPU of the cluster, and wait for them.

    Args:
        order: As of `launched.launch`, absolute.
        processes: How many.
        address: As `ray.init` takes it.
    """
    from dagster_pipes import open_dagster_pipes

    stop = order.parent / STOP_NAME
    stop.unlink(missing_ok=True)
    os.environ |= {"RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_TRAIN_V2_ENABLED": "1"}
    with open_dagster_pipes() as pipes, joined(address) as ray:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.touch())
        from ray.util.queue import Queue

        heard, failed = Queue(actor_options={"num_cpus": 0}), []
        fit = _prepare(ray, order, processes, heard, pipes.log.info)

        def run() -> None:
            try:
                fit()
            except Exception as error:
                failed.append(error)

        running = threading.Thread(target=run, daemon=True)
        running.start()
        while running.is_alive() or not heard.empty():
            try:
                told = heard.get(timeout=_LOOK_EVERY_S)
            except Empty:
                continue
            if "fault" in told:
                sys.exit(1)
            if "line" in told:
                pipes.log.info(told["line"])
            else:
                pipes.report_custom_message(told)
        if failed:
            leave_fault(order, LAUNCHER, FungalError.__name__, _explain(failed[0]))
            sys.exit(1)


def _prepare(
    ray: Any, order: Path, processes: int, heard: Any, tell: Callable[[str], None]
) -> Callable[[], object]:
    """The function that trains on the cluster."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    has = ray.cluster_resources()
    gpus, cpus = int(has.get("GPU", 0)), int(has.get("CPU", 0))
    count = processes or max(1, gpus)
    own = {"CPU": 1 if gpus else max(1, cpus // count), "GPU": 1 if gpus else 0}
    short = [f"{count * own[name]} {name}s" for name in own if count * own[name] > has.get(name, 0)]
    if short:
        tell(f"the Ray cluster has {cpus} CPUs and {gpus} GPUs; waiting until it has {' and '.join(short)}")
    trainer = TorchTrainer(
        _work,
        train_loop_config={"order": str(order), "heard": heard},
        torch_config=TorchConfig(timeout_s=int(LONGEST_WAIT.total_seconds())),
        scaling_config=ScalingConfig(num_workers=count, use_gpu=bool(gpus), resources_per_worker=own),
        run_config=RunConfig(
            name="training",
            storage_path=str(order.parent / _STORAGE_NAME),
            failure_config=FailureConfig(max_failures=RESTARTS),
            worker_runtime_env={"env_vars": worker_environment(own["CPU"])},
        ),
    )
    return trainer.fit


def _work(how: Mapping[str, Any]) -> None:
    """Train as one of the processes that Ray Train has started and brought together."""
    from fungal_assets.diffusion.team import Together

    end_with_starter()
    order, heard, team = Path(how["order"]), how["heard"], Together()
    done = threading.Event()
    threading.Thread(target=_heed, args=(order.parent / STOP_NAME, team, done), daemon=True).start()
    hears: dict[str, Any] = {}
    if team.is_main:
        hears["tell"] = lambda line: heard.put({"line": line})
        hears["on_step"] = lambda step, figures: heard.put({"step": step, "told": dict(figures)})
    try:
        figures = carry_out(json.loads(order.read_text()), team=team, **hears)
        if team.is_main:
            heard.put({"figures": dict(figures)})
    except KeyboardInterrupt:
        pass  # a checkpoint of all is kept
    except FungalError as error:
        leave_fault(order, str(team.rank), type(error).__name__, str(error))
        heard.put({"fault": team.rank})
        raise
    finally:
        done.set()


def _heed(stop: Path, team: Any, done: threading.Event) -> None:
    """Ask the team to stop once the file is there."""
    while not done.wait(_LOOK_EVERY_S):
        if stop.exists():
            team.ask_to_stop()
            return


def _explain(error: Exception) -> str:
    """What ended a run for good, each process by its rank."""
    lost = getattr(error, "worker_failures", {})
    said = [f"process {rank}: {str(one).strip().splitlines()[-1]}" for rank, one in sorted(lost.items())]
    restarted = f"after {RESTARTS} new starts" if lost else "on the Ray cluster"
    return f"{restarted}: {'; '.join(said) or str(error).strip()}"
