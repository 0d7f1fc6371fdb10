"""A run that is killed at any moment goes on as if nothing had been: the whole output is that of an unbroken one."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from fungal_assets.errors import TrainingError
from fungal_assets.store import RECORD_NAME, Store, hash_folder, mismatches
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune
from fungal_assets_tests.diffusion.killing import STEPS, STEPS_NAME, TERMINATED

KILLS = 20


def lives(folder, places, method, seed):
    """How each life of a run ended: [what decided it, at what, by which signal, exit code]."""
    command = [sys.executable, "-m", "fungal_assets_tests.diffusion.killing", str(folder)]
    command += [*map(str, places), method, str(seed)]
    alone = os.environ | {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }  # a pool of threads doesn't outlive a fork
    done = subprocess.run(command, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_run_killed_twenty_times_at_random_moments_ends_bit_equal_to_an_unbroken_one(
    base_dir, dataset_dir, prompts_dir, tmp_path
):
    told = lives(tmp_path, (dataset_dir, prompts_dir, base_dir), "lora", seed=1)
    assert [code for *_, by, code in told if by == signal.SIGKILL] == [-signal.SIGKILL] * KILLS
    assert {code for *_, by, code in told if by == signal.SIGTERM} <= {TERMINATED, -signal.SIGKILL}
    assert [code for kind, *_, code in told if kind == "none"] == [0, 0], "the last life and the unbroken run"
    steps = [
        len((tmp_path / name / "weights/64" / STEPS_NAME).read_text()) for name in ("broken", "unbroken")
    ]
    assert steps[1] == STEPS
    assert abs(steps[0] - STEPS) <= len(told), (
        "a life takes a step again at most or dies before it tells of one"
    )
    broken, unbroken = (Store(tmp_path / name).get("weights", "64") for name in ("broken", "unbroken"))
    assert broken.record.files == unbroken.record.files
    assert {
        "training.json",
        "loss.parquet",
        "curves.png",
        "resume/state.safetensors",
        "resume/state.json",
    } < set(broken.record.files)
    left = {str(path.relative_to(broken.path)) for path in broken.path.rglob("*") if path.is_file()}
    assert left == {*broken.record.files, RECORD_NAME}, "no life has left anything behind"
    assert not mismatches(broken)


@pytest.fixture
def limit():
    """Sets how large a file may grow; less is as a full disk."""

    def file_size(bytes_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield file_size
    file_size(before[0])


def test_a_state_that_the_disk_has_no_room_for_is_told_and_those_before_it_are_gone_on_from(
    base_dir, dataset_dir, prompts_dir, tuned_dir, tmp_path, limit
):
    def fill(step, _figures):
        if step == 3:
            limit(4096)

    told = r"state of step 4 .*\.resume: .*too large.* MB are free; kept are \['step-00000002', 'step-00000003'\]"
    with pytest.raises(TrainingError, match=told):
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **SETTINGS, on_step=fill)
    assert sorted(path.name for path in (tmp_path / ".resume").iterdir()) == [
        "step-00000002",
        "step-00000003",
    ]
    limit(resource.RLIM_INFINITY)
    lines = []
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **SETTINGS, tell=lines.append)
    assert "training goes on from step 3 of 6" in lines
    assert hash_folder(tmp_path) == hash_folder(tuned_dir)
