"""Runs whose process was killed: they are ended, their places in pools are free; runs at work stay."""

import dagster as dg
import pytest

from fungal_assets.defs.running import _GROWTH_TAG, _life_sign, collection_job, end_lost_runs

POOL = "a_pool"


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def start(instance, growth_id):
    """A run that Dagster believes to be at work, with a place in a pool of one."""
    run = instance.create_run_for_job(
        collection_job(), status=dg.DagsterRunStatus.STARTED, tags={_GROWTH_TAG: growth_id}
    )
    storage = instance.event_log_storage
    storage.set_concurrency_slots(POOL, 1)
    assert storage.claim_concurrency_slot(POOL, run.run_id, "a_step").is_claimed
    return run


def test_a_lost_run_is_ended_and_its_place_is_free(instance):
    run = start(instance, "lost")
    assert end_lost_runs(instance) == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert instance.event_log_storage.claim_concurrency_slot(POOL, "another", "a_step").is_claimed


def test_a_run_at_work_is_left_alone(instance):
    run = start(instance, "alive")
    with _life_sign(instance, "alive"):
        assert end_lost_runs(instance) == []
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED
