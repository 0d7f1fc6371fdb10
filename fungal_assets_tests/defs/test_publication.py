"""The publications as Dagster runs them: kept, proven again, refused, rehearsed; no event holds the token."""

# ruff: noqa: F401, F811 - fixtures of another folder
import json
import os
import subprocess
import sys

import dagster as dg
import pytest

from fungal_assets.defs.building import build_definitions
from fungal_assets.store import Store
from fungal_assets_tests.publication.conftest import (
    REPO,
    dataset,
    keep_weights,
    loopback,
    plain_transfers,
    store,
)
from fungal_assets_tests.publication.loopback_hub import TOKEN

PARTITIONS = {"published_dataset": "128", "published_weights": "lora|128"}


@pytest.fixture
def materialise(loopback, dataset, store, monkeypatch):
    """Runs a publication's job; returns its result and all text that Dagster keeps of it."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", loopback.url)
    job = {
        "published_dataset": build_definitions().resolve_job_def("dataset_publication"),
        "published_weights": build_definitions().resolve_job_def("weights_publication"),
    }

    def materialise(asset="published_dataset", **config):
        run_config = {
            "ops": {asset: {"config": {"repo_id": REPO} | config}},
            "resources": {"store": {"config": {"root": store.root}}},
            "execution": {"config": {"max_concurrent": 1}},
        }
        with dg.DagsterInstance.ephemeral() as instance:
            result = job[asset].execute_in_process(
                instance=instance,
                run_config={name: run_config[name] for name in ("ops", "resources")},
                partition_key=PARTITIONS[asset],
                raise_on_error=False,
            )
            run = instance.get_run_by_id(result.run_id)
            kept = str(run) + "".join(str(entry) for entry in instance.all_logs(result.run_id))
        assert TOKEN not in kept
        return result, kept

    return materialise


def metadata_of(result):
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_publication_is_kept_with_its_page_and_its_checks(materialise, store, loopback):
    result, _ = materialise()
    told = metadata_of(result)
    assert result.success and told["commits"] == 1 and told["unchanged"] is False
    assert told["url"].startswith(f"{loopback.url}/datasets/{REPO}/tree/growth-")
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "what_lies_there_is_what_was_sent": True,
        "seen_by_whom_was_asked": True,
    }
    output = store.get("published_dataset", "128")
    record = json.loads((output.path / "publication.json").read_text())
    assert record["revision"] == loopback.repos["dataset", REPO].branches["main"]
    assert output.record.config["repo_id"] == REPO and output.record.licences == ["CC0-1.0"]
    assert not any(TOKEN in path.read_text() for path in output.path.iterdir())


def test_a_publication_that_is_there_is_proven_again_and_skipped(materialise):
    materialise()
    result, kept = materialise()
    assert metadata_of(result)["unchanged"] is True and "no commit is made" in kept


def test_what_was_deleted_on_the_hub_is_published_again(materialise, loopback):
    materialise()
    loopback.repos.clear()
    result, _ = materialise()
    assert result.success and metadata_of(result)["unchanged"] is False
    assert len(loopback.files(REPO)) == 11


def test_of_a_dry_run_nothing_is_kept_and_its_checks_say_so(materialise, store, loopback):
    result, kept = materialise(is_dry_run=True)
    assert result.success and loopback.repos == {} and store.find("published_dataset", "128") is None
    assert result.get_asset_materialization_events() == []
    assert {check.severity.value for check in result.get_asset_check_evaluations()} == {"WARN"}
    assert "what a push would do: 11 files sent" in kept


def test_weights_are_published_with_their_card(materialise, store, loopback):
    keep_weights(store)
    result, _ = materialise("published_weights")
    assert result.success and "model_index.json" in loopback.files(REPO, kind="model")


def test_weights_that_forgot_too_much_are_refused(materialise, store, loopback):
    keep_weights(store, retention=0.3)
    result, kept = materialise("published_weights")
    assert not result.success and "control_knowledge_kept failed" in kept and loopback.asked == []


@pytest.mark.parametrize(
    ("config", "said"),
    [({}, "HF_TOKEN is not set"), ({"repo_id": "fungi"}, "names no account; expected owner/name")],
    ids=["no token", "no account"],
)
def test_a_fault_is_one_sentence(materialise, monkeypatch, config, said):
    if not config:
        monkeypatch.delenv("HF_TOKEN")
    result, kept = materialise(**config)
    failures = [event for event in result.all_node_events if event.is_step_failure]
    assert not result.success and said in failures[0].step_failure_data.user_failure_data.description


@pytest.mark.parametrize("place", ["ops", "resources"])
def test_a_token_in_the_run_config_is_refused(materialise, place):
    job = build_definitions().resolve_job_def("dataset_publication")
    config = {
        "ops": {"ops": {"published_dataset": {"config": {"repo_id": REPO, "token": TOKEN}}}},
        "resources": {"resources": {"hub": {"config": {"token": TOKEN}}}},
    }[place]
    with pytest.raises(dg.DagsterInvalidConfigError, match='unexpected config entry "token"'):
        job.execute_in_process(run_config=config, partition_key="128")


def test_the_command_publishes_and_prints_the_page(loopback, dataset, store, tmp_path):
    environment = os.environ | {
        "HF_TOKEN": TOKEN,
        "HF_ENDPOINT": loopback.url,
        "HF_HUB_DISABLE_XET": "1",
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    command = [
        sys.executable,
        "-c",
        "from fungal_assets.cli import main; main()",
        "publish",
        "dataset",
        "--repo",
        REPO,
    ]
    command += ["--store", store.root]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    publication = json.loads(
        (Store(store.root).get("published_dataset", "128").path / "publication.json").read_text()
    )
    assert done.stdout == f"{publication['url']}\n"
    assert "commit 1 of 1: 11 files" in done.stderr and "read back 11 files" in done.stderr
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept and TOKEN not in done.stdout + done.stderr
