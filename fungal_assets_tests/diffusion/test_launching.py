"""Two processes train one model: the result is that of one up to rounding, and what happens to one is told for all."""

import json
import os
import shutil
import signal
import threading
import time

import dagster as dg
import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from fungal_assets.defs.diffusion import fine_tuned_weights
from fungal_assets.defs.launched import MODULE
from fungal_assets.defs.launching import is_shared, tune_together
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.errors import InputError, TrainingError
from fungal_assets.shards import read_table
from fungal_assets.store import Store, hash_files
from fungal_assets_tests.compute.conftest import NEEDS_RAY
from fungal_assets_tests.diffusion.conftest import SETTINGS, UNWATCHED, rehearse, tune
from fungal_assets_tests.galleries.conftest import write_clusters

WEIGHTS = "lora/pytorch_lora_weights.safetensors"
WITHIN = 1e-3
"""Of the largest weight: what two processes may differ from one by. They add in another order, and the optimiser
divides a gradient by its own size, also where that is rounding alone."""


def set_environment(patch):
    """What the processes inherit."""
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def train(base_dir, dataset_dir, prompts_dir, monkeypatch):
    """Train by two processes within a step, as the asset does; the run's result and what its log says."""
    set_environment(monkeypatch)

    def run(folder, instance, *, processes=2, heard=None, **changed):
        recipe = SETTINGS | changed
        rehearsal = rehearse(prompts_dir, str(base_dir), recipe.pop("rehearsal_prompts"))
        how = {name: recipe.pop(name) for name in ("method", "checkpoint_every_s")}
        watching = {name: recipe.pop(name, value) for name, value in UNWATCHED.items()}
        places = {"captioned_dataset": dataset_dir, "rehearsal": rehearsal, "folder": folder}
        places |= {"prompts": prompts_dir, "clusters": recipe.pop("clusters", None)}
        order = {"places": places, "recipe": recipe, "watching": watching, "base_model": str(base_dir), **how}
        folder.mkdir(exist_ok=True)

        @dg.asset
        def weights(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            def observe(step, figures):
                metadata = {"step": step, **figures}
                context.log_event(dg.AssetObservation(asset_key="weights", metadata=metadata))
                if heard:
                    heard(step)

            figures = tune_together(context, folder, processes=processes, on_step=observe, order=order)
            return dg.MaterializeResult(metadata=dict(figures))

        return dg.materialize([weights], instance=instance)

    return run


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture(scope="module")
def grown(base_dir, dataset_dir, prompts_dir, tmp_path_factory):
    """The asset itself, unbroken by two processes: its output, its materialization, its observations, its log."""
    root = tmp_path_factory.mktemp("grown")
    store = Store(root / "store")
    config = {name: value for name, value in (SETTINGS | UNWATCHED).items() if name != "method"}
    rehearsal = rehearse(prompts_dir, str(base_dir), config.pop("rehearsal_prompts"))
    for asset, source in (("captioned_dataset", dataset_dir), ("rehearsal", rehearsal)):

        def build(folder, source=source):
            shutil.copytree(source, folder, dirs_exist_ok=True)
            return {}

        store.make(asset, "64", inputs=[], config={}, code_version="1", build=build)
    config |= {"base_model": str(base_dir), "processes": 2, "checkpoint_every_s": 0.5}
    resources = {"store": StoreResource(root=str(root / "store")), "profile": ProfileResource(name="pocket")}
    how = {"run_config": {"ops": {"fine_tuned_weights": {"config": config}}}, "resources": resources}
    with (
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.ephemeral(tempdir=str(root)) as instance,
    ):
        set_environment(patch)
        result = dg.materialize([fine_tuned_weights], partition_key="lora|64", instance=instance, **how)
        assert result.success
        observed = instance.fetch_observations(dg.AssetKey("fine_tuned_weights"), limit=20).records
        lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    (made,) = result.asset_materializations_for_node("fine_tuned_weights")
    return store.get("fine_tuned_weights", "lora|64"), made, observed, lines


def test_two_processes_train_what_one_does(grown, tuned_dir):
    output, made, observed, lines = grown
    alone, both = load_file(tuned_dir / WEIGHTS), load_file(output.path / WEIGHTS)
    largest = max(np.abs(values).max() for values in alone.values())
    assert alone.keys() == both.keys()
    assert max(np.abs(alone[name] - both[name]).max() for name in alone) < WITHIN * largest
    curves = [read_table(folder / "loss.parquet") for folder in (tuned_dir, output.path)]
    for one, other in zip(*curves, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["specimen_loss"] == pytest.approx(other["specimen_loss"], rel=1e-4)
    record = json.loads((output.path / "training.json").read_text())
    assert record["processes"] == 2 and record["rows_trained_on"] == 13
    assert made.metadata["processes"].value == 2

    steps = sorted(record.asset_observation.metadata["step"].value for record in observed)
    assert steps == [1, 2, 3, 4, 5, 6]
    assert any(line.startswith("training: 6 of 6") for line in lines)


def worker(rank):
    """The process of that rank, as soon as there is one."""
    while True:
        for process in psutil.Process().children(recursive=True):
            try:
                if MODULE in process.cmdline() and process.environ().get("RANK") == str(rank):
                    return process
            except psutil.Error:
                continue
        time.sleep(0.05)


def kill_when_a_step_is_kept(rank, folder):
    """Kill the process of that rank from a thread once a state is there."""

    def wait():
        process = worker(rank)
        while not list(folder.glob(".resume/step-*")):
            time.sleep(0.002)
        process.kill()

    threading.Thread(target=wait, daemon=True).start()


def test_a_process_that_is_killed_takes_the_run_down_by_name_and_the_run_ends_bit_equal_to_an_unbroken_one(
    train, instance, grown, tmp_path
):
    folder = tmp_path / "broken"
    kill_when_a_step_is_kept(1, folder)
    with pytest.raises(
        TrainingError, match=r"by 2 processes was broken off: .*process 1 of 2 ended by SIGKILL.*goes on"
    ):
        train(folder, instance)
    kept = sorted((folder / ".resume").glob("step-*"))
    assert 1 <= len(kept) <= 2 and not (folder / "training.json").exists()
    assert not [p for p in psutil.Process().children(recursive=True) if MODULE in p.cmdline()], "none is left"
    result = train(folder, instance)
    lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert f"training goes on from step {int(kept[-1].name[5:])} of 6" in lines
    assert hash_files(folder) == grown[0].record.files


def test_a_terminated_step_leaves_a_checkpoint_of_all_and_no_process(train, instance, tmp_path):
    folder = tmp_path / "out"

    def terminate(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(dg.DagsterExecutionInterruptedError):
        train(folder, instance, max_steps=400, checkpoint_every_s=1e9, heard=terminate)
    (kept,) = (folder / ".resume").glob("step-*")
    assert 2 <= int(kept.name[5:]) < 400
    assert not [p for p in psutil.Process().children(recursive=True) if MODULE in p.cmdline()]


def test_two_processes_end_at_the_same_look_and_keep_its_weights_as_one_does(
    train, instance, base_dir, dataset_dir, prompts_dir, tmp_path
):
    """Only the main one looks. At a rate of nothing no look brings a gain, so patience ends the run."""
    clusters = write_clusters(tmp_path / "clusters")
    still = {"learning_rate": 1e-12, "max_steps": 400, "watch_every_steps": 3, "patience_looks": 2}
    result = train(tmp_path / "both", instance, **still, clusters=clusters)
    assert result.success
    settings = SETTINGS | still | {"clusters": clusters, "base_model": str(base_dir)}
    tune(dataset_dir, prompts_dir, tmp_path / "one", **settings)
    both, one = (json.loads((tmp_path / name / "training.json").read_text()) for name in ("both", "one"))
    for name in ("steps", "step_kept", "stopped_because", "watched_looks", "watched_species_recognised"):
        assert both[name] == one[name], name
    assert both["steps"] < 400 and both["stopped_because"]
    sheets = sorted(path.name for path in (tmp_path / "both/looks").iterdir())
    assert sheets == sorted(path.name for path in (tmp_path / "one/looks").iterdir())
    observed = instance.fetch_observations(dg.AssetKey("weights"), limit=500).records
    told = [record.asset_observation.metadata for record in observed]
    looked_at = {each["step"].value for each in told if "species_recognised" in each}
    assert looked_at == set(range(3, both["steps"] + 1, 3))


def test_what_the_main_process_refuses_is_told_in_its_words(train, instance, tmp_path):
    with pytest.raises(InputError, match=r"batch_size is 1 and 2 processes train: each needs a row"):
        train(tmp_path / "out", instance, batch_size=1, rehearsal_share=0.0, class_share=0.0)
    shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("place", ["local", "auto", "ray://head:10001"])
def test_one_process_is_the_step_and_none_is_left_to_the_gpus_there_are(monkeypatch, place):
    monkeypatch.setenv("FUNGAL_COMPUTE", place)
    import torch

    assert [is_shared(number) for number in (1, 2, 5)] == [False, True, True]
    assert is_shared(0) == (place != "local" or torch.cuda.device_count() > 1)


RAY = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def ray_cluster(monkeypatch, tmp_path):
    """Each run starts a cluster of two CPUs of its own; its token is written to a home of its own."""
    pytest.importorskip("ray", reason=NEEDS_RAY)
    monkeypatch.setenv("FUNGAL_COMPUTE", "ray")
    monkeypatch.setenv("HOME", str(tmp_path))


def trainers():
    """Ray's processes of a training, below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "RayTrainWorker" in process.name() or "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def lines_of(instance, result):
    return [entry.user_message for entry in instance.all_logs(result.run_id)]


@RAY
def test_two_processes_of_a_cluster_train_what_one_does_and_their_steps_are_told(
    train,
    instance,
    tuned_dir,
    tmp_path,
):
    heard = []
    result = train(tmp_path / "out", instance, heard=heard.append)
    assert heard == [1, 2, 3, 4, 5, 6]
    alone, both = load_file(tuned_dir / WEIGHTS), load_file(tmp_path / "out" / WEIGHTS)
    largest = max(np.abs(values).max() for values in alone.values())
    assert max(np.abs(alone[name] - both[name]).max() for name in alone) < WITHIN * largest
    (made,) = result.asset_materializations_for_node("weights")
    assert made.metadata["processes"].value == 2
    assert any(line.startswith("training: 6 of 6") for line in lines_of(instance, result))
    assert not trainers()


@RAY
def test_a_process_that_is_lost_is_started_again_and_all_go_on_to_the_same_weights(
    train,
    instance,
    tmp_path,
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(whole, instance, max_steps=40, checkpoint_every_s=0.2)
    killed = []

    def kill():
        while not list(broken.glob(".resume/step-*")):
            time.sleep(0.01)
        process = trainers()[-1]
        killed.append(process.pid)
        process.kill()

    threading.Thread(target=kill, daemon=True).start()
    result = train(broken, instance, max_steps=40, checkpoint_every_s=0.2)
    assert killed and result.success
    assert any(line.startswith("training goes on from step") for line in lines_of(instance, result))
    assert (broken / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


@RAY
def test_what_a_process_refuses_is_told_in_its_words_and_not_tried_again(train, instance, tmp_path):
    with pytest.raises(InputError, match=r"batch_size is 1 and 2 processes train: each needs a row"):
        train(tmp_path / "out", instance, batch_size=1, rehearsal_share=0.0, class_share=0.0)
    assert not trainers()


@RAY
def test_a_terminated_step_of_a_cluster_leaves_a_checkpoint_of_all_and_no_process(train, instance, tmp_path):
    def terminate(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(dg.DagsterExecutionInterruptedError):
        train(tmp_path / "out", instance, max_steps=4000, checkpoint_every_s=1e9, heard=terminate)
    (kept,) = (tmp_path / "out" / ".resume").glob("step-*")
    assert 2 <= int(kept.name[5:]) < 4000
    assert not trainers()
