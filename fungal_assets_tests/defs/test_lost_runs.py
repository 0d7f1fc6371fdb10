"""Runs whose process was killed: they are ended, their places in pools are free; runs at work stay."""

import os
import subprocess
import sys
import time

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from fungal_assets.defs.running import (
    _GROWTH_TAG,
    _life_sign,
    _was_running,
    end_lost_runs,
    find_job,
    tell_of_other_runs,
)

POOL = "a_pool"


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def start(instance, growth_id=None, *, pid=None):
    """A run that Dagster believes to be at work, with a place in a pool of one."""
    tags = {_GROWTH_TAG: growth_id} if growth_id else {}
    run = instance.create_run_for_job(find_job("collection"), status=dg.DagsterRunStatus.STARTED, tags=tags)
    if pid is not None:
        instance.report_engine_event("at work", run, EngineEventData(metadata={"pid": str(pid)}))
    storage = instance.event_log_storage
    storage.set_concurrency_slots(POOL, 1)
    assert storage.claim_concurrency_slot(POOL, run.run_id, "a_step").is_claimed
    return run


def test_a_lost_run_is_ended_and_its_place_is_free(instance):
    run = start(instance, "lost")
    assert [lost.run_id for lost in end_lost_runs(instance)] == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert instance.event_log_storage.claim_concurrency_slot(POOL, "another", "a_step").is_claimed


def test_a_run_at_work_is_left_alone(instance):
    run = start(instance, "alive")
    with _life_sign(instance, "alive"):
        assert end_lost_runs(instance) == []
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED


def test_a_run_of_the_ui_whose_process_is_gone_is_ended_and_told(instance):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        run, told = start(instance, pid=process.pid), []
        assert end_lost_runs(instance) == []
        process.kill()
    tell_of_other_runs(instance, told.append)
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert told == [f"ended the lost run {run.run_id[:8]} of 'collection': its process is gone"]
    assert instance.event_log_storage.claim_concurrency_slot(POOL, "another", "a_step").is_claimed


def test_who_waits_for_a_run_of_the_ui_is_told_so(instance):
    run, told = start(instance, pid=os.getpid()), []
    tell_of_other_runs(instance, told.append)
    assert len(told) == 1 and run.run_id[:8] in told[0] and "Terminate" in told[0]
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED


def test_a_run_that_the_ui_executes_again_is_left_alone(instance):
    """It has the tags of its first run, whose `fungal grow` has ended long since."""
    run = start(instance, "ended", pid=os.getpid())
    assert end_lost_runs(instance) == []
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED


def test_a_process_id_that_another_process_has_now_or_that_is_a_zombies_is_not_at_work():
    assert _was_running(os.getpid(), time.time())
    assert not _was_running(os.getpid(), 0.0)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not _was_running(process.pid, time.time())
