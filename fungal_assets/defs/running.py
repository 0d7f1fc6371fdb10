"""Running the jobs from the command line, without a daemon, telling what happens as it happens.

The runs go into the same Dagster instance that the UI shows. Progress is read from the instance's event log: which
asset is at work, what it says about itself, which checks failed.
"""

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from filelock import FileLock, Timeout
from pydantic import ValidationError

from fungal_assets.errors import FungalError, InputError
from fungal_assets.progress import Tell

POLL_S = 0.5
_GROWTH_TAG = "fungal/growth"
_PLAIN = {"FungalError", *(kind.__name__ for kind in FungalError.__subclasses__())}
"""Errors whose message says what to do; what caused them says less."""


def find_job(name: str) -> dg.JobDefinition:
    """The job of that name; the processes of its steps find it anew by this function."""
    from fungal_assets.definitions import defs

    return defs().resolve_job_def(name)


class RunFailedError(FungalError):
    """A job's run failed; the message lists the steps and their reasons."""


def run_job(
    name: str,
    partition: str | None,
    *,
    run_config: Mapping[str, Any],
    assets: Sequence[str],
    tell: Tell,
) -> None:
    """Run one job on one partition and wait for it; on None where none of its assets has partitions.

    Args:
        name: Of one of the jobs in `jobs`.
        partition: Partition key, or None.
        run_config: Config of its assets and resources.
        assets: The assets of the job to materialise.
        tell: Where a line of progress goes.

    Raises:
        RunFailedError: A step failed.
    """
    growth_id = uuid.uuid4().hex
    config = {**run_config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with (
        dg.DagsterInstance.get() as instance,
        _life_sign(instance, growth_id),
        _telling(instance, growth_id, tell) as faults,
    ):
        tell_of_other_runs(instance, tell)
        result = dg.execute_job(
            dg.build_reconstructable_job(__name__, find_job.__name__, (name,)),
            instance=instance,
            run_config=config,
            tags={_GROWTH_TAG: growth_id} | ({"dagster/partition": partition} if partition else {}),
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            raise_on_error=False,
        )
    if not result.success:
        where = f" on {partition!r}" if partition else ""
        raise RunFailedError(
            f"the job {name!r} failed{where}: {'; '.join(faults) or 'see the run in the UI'}. "
            f"What was finished is kept; mend the cause and type the same command again. Look closer with: fungal ui"
        )


def check_settings(settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Find out that a setting has a value which it can't have before anything runs.

    Args:
        settings: Values by asset and field.

    Raises:
        InputError: A value is of the wrong type or out of its bounds; all are named.
    """
    from fungal_assets.definitions import defs
    from fungal_assets.defs.keeping import config_of

    defs()
    faults: list[str] = []
    for asset, fields in settings.items():
        try:
            config_of(asset)(**fields)
        except ValidationError as error:
            faults += [
                f"{asset}.{fault['loc'][0]}: {fault['msg']}, got {fault['input']!r}"
                for fault in error.errors()
            ]
    if faults:
        raise InputError(f"settings that can't be: {'; '.join(faults)}.")


def tell_of_other_runs(instance: dg.DagsterInstance, tell: Tell) -> None:
    """End the runs that were lost, and say which others are at work, since a run waits for their places in pools."""
    for run in end_lost_runs(instance):
        tell(f"ended the lost run {run.run_id[:8]} of {run.job_name!r}: its process is gone")
    for run in _runs_at_work(instance):
        tell(
            f"the run {run.run_id[:8]} of {run.job_name!r} is at work too; where both need the same pool this one "
            "waits for it. To end it: fungal ui, then Runs, Terminate"
        )


def end_lost_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """End the runs whose process was killed and free the places that they hold in pools; returns them.

    Dagster keeps a place for a run that it believes to be at work, so that the same command would wait for ever. Where
    runs are kept in a database that other machines share, nothing is ended: their processes can't be seen from here.
    """
    if "sqlite" not in type(instance.run_storage).__module__:
        return []
    lost = [run for run in _runs_at_work(instance) if not _is_alive(instance, run)]
    for run in lost:
        instance.report_run_failed(run, "its process was killed; what was finished is kept")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return lost


def _runs_at_work(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    at_work = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    return instance.get_runs(filters=dg.RunsFilter(statuses=at_work))


def _is_alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run's process lives, as the id that it has told says, and a lock where it is of a `fungal grow`.

    The UI gives a run that is executed again the tags of its first; so the lock alone doesn't decide.
    """
    is_locked = _GROWTH_TAG in run.tags and _is_locked(instance, run.tags[_GROWTH_TAG])
    events = instance.get_records_for_run(run.run_id, of_type={dg.DagsterEventType.ENGINE_EVENT}).records
    for entry in (record.event_log_entry for record in events):
        pid = entry.dagster_event.event_specific_data.metadata.get("pid") if entry.dagster_event else None
        if pid is not None:
            return is_locked or _was_running(int(pid.value), entry.timestamp)
    return is_locked or _GROWTH_TAG not in run.tags


def _was_running(pid: int, at_s: float) -> bool:
    """Whether the process of that id is at work and had it at that time, seconds since 1970."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= at_s + 1
    except psutil.NoSuchProcess:
        return False


def _lock_of(instance: dg.DagsterInstance, growth_id: str) -> FileLock:
    folder = Path(instance.root_directory) / "growths"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{growth_id}.lock")


@contextmanager
def _life_sign(instance: dg.DagsterInstance, growth_id: str) -> Iterator[None]:
    """Hold a lock as long as this process runs the growth; the system lets go of it however the process ends."""
    lock = _lock_of(instance, growth_id)
    with lock:
        yield
    Path(lock.lock_file).unlink(missing_ok=True)


def _is_locked(instance: dg.DagsterInstance, growth_id: str) -> bool:
    lock = _lock_of(instance, growth_id)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def _telling(instance: dg.DagsterInstance, growth_id: str, tell: Tell) -> Iterator[list[str]]:
    """Follow the run with that tag from a thread; yields the list of faults that it finds."""
    stop, faults = threading.Event(), list[str]()
    thread = threading.Thread(target=_follow, args=(instance, growth_id, tell, faults, stop), daemon=True)
    thread.start()
    try:
        yield faults
    finally:
        stop.set()
        thread.join(timeout=10)


def _follow(
    instance: dg.DagsterInstance, growth_id: str, tell: Tell, faults: list[str], stop: threading.Event
) -> None:
    run_id, cursor = None, None
    while True:
        ending = stop.wait(POLL_S)
        if run_id is None:
            runs = instance.get_runs(filters=dg.RunsFilter(tags={_GROWTH_TAG: growth_id}), limit=1)
            run_id = runs[0].run_id if runs else None
        if run_id is not None:
            page = instance.get_records_for_run(run_id, cursor=cursor)
            cursor = page.cursor
            for record in page.records:
                _tell_event(record.event_log_entry, tell, faults)
            if page.has_more:
                continue
        if ending:
            return


def _tell_event(entry: dg.EventLogEntry, tell: Tell, faults: list[str]) -> None:
    event = entry.dagster_event
    if event is None:
        if entry.level >= 20 and entry.step_key:
            tell(f"  {entry.step_key}: {entry.user_message}")
    elif event.event_type_value == "STEP_FAILURE":
        reason = _first_cause(event.step_failure_data)
        faults.append(f"{event.step_key}: {reason}")
        tell(f"✗ {event.step_key}: {reason}")
    elif event.event_type_value == "ASSET_CHECK_EVALUATION":
        check = event.event_specific_data
        if not check.passed:
            line = f"{check.asset_key.to_user_string()}.{check.check_name}: {check.description}"
            stops = check.blocking and check.severity is dg.AssetCheckSeverity.ERROR
            tell(f"{'✗' if stops else '!'} {line}")
            if stops:
                faults.append(line)


def _first_cause(failure: Any) -> str:
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cls_name not in _PLAIN and error.cause is not None:
        error = error.cause
    if error is None:
        return "unknown reason"
    message = error.message.strip()
    return message.partition(": ")[2] if error.cls_name in _PLAIN else message
