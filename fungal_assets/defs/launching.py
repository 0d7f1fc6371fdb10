"""Training by several processes, of this machine or of a Ray cluster, one for each GPU.

They are a Pipes subprocess, whose progress and figures are the step's own.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError

from fungal_assets.compute import ray_address
from fungal_assets.defs.launched import FAULTS_NAME, LAUNCHER, MODULE
from fungal_assets.errors import FungalError, TrainingError
from fungal_assets.progress import OnStep
from fungal_assets.store import Figures, write_atomically

ORDER_NAME = ".order.json"
GRACE_S = 40.0
"""For the children to end by themselves when the step is terminated: `accelerate launch` gives them 30 s."""


def is_shared(processes: int) -> bool:
    """Whether other processes than the step's are to train.

    Args:
        processes: How many, or 0 for one for each GPU of this machine, or of the Ray cluster where there is one.
    """
    return processes > 1 or (processes == 0 and (ray_address() is not None or _gpus() > 1))


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def tune_together(
    context: dg.AssetExecutionContext,
    folder: Path,
    *,
    processes: int,
    on_step: OnStep,
    order: Mapping[str, Any],
) -> Figures:
    """What `tune` does, by several processes; called again on the folder of a broken run, it goes on.

    Args:
        context: The running step, whose log hears of progress.
        folder: Filled.
        processes: How many; 0 as of `is_shared`.
        on_step: Hears the number and figures of every step done.
        order: As of `carry_out`.

    Raises:
        FungalError: What the main process raised.
        TrainingError: A process died.
    """
    shutil.rmtree(folder / FAULTS_NAME, ignore_errors=True)
    write_atomically(folder / ORDER_NAME, json.dumps(order, default=str))
    client = dg.PipesSubprocessClient(
        message_reader=_StepReader(on_step), termination_timeout_seconds=GRACE_S
    )
    count = processes if processes or ray_address() else _gpus()
    command = [sys.executable, "-m", MODULE, str(folder.absolute() / ORDER_NAME), str(count)]
    try:
        done = client.run(context=context, command=command)
    except DagsterPipesExecutionError as error:
        raise _fault(folder, count, error) from error
    return next(message["figures"] for message in done.get_custom_messages() if "figures" in message)


def _fault(folder: Path, processes: int, error: DagsterPipesExecutionError) -> Exception:
    """What went wrong, from what the processes have left."""
    left = {path.stem: json.loads(path.read_text()) for path in (folder / FAULTS_NAME).glob("*.json")}
    if not left:
        return error
    plain = {kind.__name__: kind for kind in FungalError.__subclasses__()}
    for fault in left.values():
        if fault["kind"] in plain:
            return plain[fault["kind"]](fault["message"])
    ends = left.pop(LAUNCHER, {"message": str(error)})["message"]
    said = [f"process {rank}: {fault['kind']}: {fault['message']}" for rank, fault in sorted(left.items())]
    by = f"{processes} processes" if processes else "the processes of the Ray cluster"
    return TrainingError(
        f"training by {by} was broken off: {'; '.join([ends, *said])}. What was learnt until the last "
        "checkpoint is kept: type the same command again, and it goes on from there. Where memory ran out, lower "
        "fine_tuned_weights.batch_size or processes."
    )


class _Heard:
    """A handler of messages that takes the steps for itself."""

    def __init__(self, handler: dg.PipesMessageHandler, on_step: OnStep):
        self._handler, self._on_step = handler, on_step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def handle_message(self, message: Mapping[str, Any]) -> None:
        payload = (message.get("params") or {}).get("payload") or {}
        if message["method"] == "report_custom_message" and "step" in payload:
            self._on_step(payload["step"], payload["told"])
        else:
            self._handler.handle_message(message)


class _StepReader(dg.PipesTempFileMessageReader):
    """Reads messages as they come, and passes steps on at once: Pipes keeps custom messages until the end."""

    def __init__(self, on_step: OnStep):
        super().__init__()
        self._on_step = on_step

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[Any]:
        with super().read_messages(_Heard(handler, self._on_step)) as params:
            yield params
