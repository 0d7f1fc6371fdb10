"""What the processes of a training run are: `python -m fungal_assets.defs.launched ORDER PROCESSES`.

The step starts this module as a Pipes subprocess. Where `$FUNGAL_COMPUTE` names a Ray cluster, `launched_on_ray` takes
over. Otherwise it hands itself to `accelerate launch`, which starts it once more for each process, watches them, and
takes all down when one ends; each of these trains its part, and the main one reports through Pipes. What goes wrong is
left in the working folder: the step tells it in plain words. Every process ends with the one that started it.
"""

import json
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from fungal_assets.compute import cores, end_with_starter, ray_address
from fungal_assets.errors import FungalError
from fungal_assets.store import Figures, write_atomically

FAULTS_NAME = ".faults"
LAUNCHER = "launcher"
MODULE = "fungal_assets.defs.launched"
LONGEST_WAIT = timedelta(days=7)
"""For each other, as where the main process encodes; one that has died is noticed by `accelerate launch`."""


def launch(order: Path, processes: int) -> None:
    """Start the processes and wait for them; the exit code says whether all came to their end."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    flags = ["--multi_gpu", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    flags += [f"--num_processes={processes}", "--main_process_port=0"]
    flags += [f"--num_cpu_threads_per_process={max(1, cores() // processes)}"]
    arguments = launch_command_parser().parse_args([*flags, "--module", MODULE, str(order)])
    try:
        launch_command(arguments)
    except ChildFailedError as error:
        ends = {rank: failure.exitcode for rank, failure in sorted(error.failures.items())}
        said = [f"process {rank} of {processes} ended by {_how(code)}" for rank, code in ends.items()]
        leave_fault(order, LAUNCHER, FungalError.__name__, "; ".join(said))
        sys.exit(1)


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def work(order: Path) -> None:
    """Train as one of the processes that `accelerate launch` has started."""
    import torch
    from accelerate import PartialState
    from dagster_pipes import open_dagster_pipes

    from fungal_assets.diffusion.team import Together

    is_on_cpu = not torch.cuda.is_available()
    backend = {"cpu": True, "backend": "gloo"} if is_on_cpu else {}
    state = PartialState(timeout=LONGEST_WAIT, **backend)
    team = Together()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, team.stop)
    try:
        told = json.loads(order.read_text())
        if not team.is_main:
            carry_out(told, team=team)
            return
        with open_dagster_pipes() as pipes:

            def report(step: int, figures: Mapping[str, float]) -> None:
                pipes.report_custom_message({"step": step, "told": dict(figures)})

            figures = carry_out(told, tell=pipes.log.info, on_step=report, team=team)
            pipes.report_custom_message({"figures": dict(figures)})
    except Exception as error:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        leave_fault(order, str(team.rank), type(error).__name__, str(error))
        raise
    finally:
        state.destroy_process_group()


def carry_out(order: Mapping[str, Any], **heard: Any) -> Figures:
    """What `tune` does and returns, in this process.

    Args:
        order: Its arguments, those that are paths under `places`; `recipe` and `watching` as plain fields.
        heard: Its callbacks and team.
    """
    from fungal_assets.diffusion.training import Recipe, tune
    from fungal_assets.diffusion.watching import Watching

    how = dict(order)
    places: dict[str, Any] = {
        name: Path(place) if place else None for name, place in how.pop("places").items()
    }
    recipe, watching = Recipe(**how.pop("recipe")), Watching(**how.pop("watching"))
    return tune(**places, **how, recipe=recipe, watching=watching, **heard)


def leave_fault(order: Path, name: str, kind: str, message: str) -> None:
    """Tell the step what went wrong.

    Args:
        order: As of `launch`.
        name: The rank of a process, or `LAUNCHER`.
        kind: Name of the error's class.
        message: What it says.
    """
    folder = order.parent / FAULTS_NAME
    folder.mkdir(exist_ok=True)
    write_atomically(folder / f"{name}.json", json.dumps({"kind": kind, "message": message}))


if __name__ == "__main__":
    end_with_starter()
    if len(sys.argv) == 3 and (address := ray_address()):
        from fungal_assets.defs.launched_on_ray import launch_on_ray

        launch_on_ray(Path(sys.argv[1]), int(sys.argv[2]), address)
    elif len(sys.argv) == 3:
        launch(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        work(Path(sys.argv[1]))
