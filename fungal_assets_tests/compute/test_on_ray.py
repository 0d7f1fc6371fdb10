"""What holds on Ray alone, on a real cluster of two CPUs."""

import os
import signal
import subprocess
import sys

import pytest

from fungal_assets import compute
from fungal_assets.collection.admission import admit_images
from fungal_assets.errors import FungalError
from fungal_assets.morphology import features
from fungal_assets_tests.collection.drawing import LENIENT
from fungal_assets_tests.compute import jobs
from fungal_assets_tests.morphology.conftest import draw_specimen


def test_an_item_whose_worker_is_lost_is_run_once_more(on_ray, tmp_path):
    assert compute.map(jobs.die_once, [str(tmp_path / "died")], processes=1) == ["done"]


def test_a_worker_that_dies_stops_no_other_item(on_ray):
    told = []
    with pytest.raises(FungalError, match="^2: its worker was lost"):
        compute.map(jobs.die_at_two, [1, 2, 3], processes=1, tell=told.append)
    assert sum("done" in line for line in told) == 2


def test_an_error_keeps_the_traceback_of_its_worker(on_ray):
    with pytest.raises(ZeroDivisionError) as caught:
        compute.map(jobs.divide, [0], processes=1)
    assert "return 1 / number" in caught.value.__notes__[0]


def test_an_item_has_as_many_threads_as_cpus(on_ray):
    assert compute.map(jobs.describe_worker, [0], processes=1, cpus=2)[0][1] == "2"
    assert compute.map(jobs.describe_worker, [0], processes=1)[0][1] == "1"


def test_an_item_that_maps_in_its_turn_stays_on_its_machine(on_ray):
    assert compute.map(jobs.map_inside, [3], processes=1) == [([9], "local")]


def test_without_a_gpu_in_the_cluster_cpus_are_used_and_it_is_told(on_ray):
    told = []
    assert compute.map(jobs.square, [2], processes=1, gpus=1, tell=told.append) == [4]
    assert told[0] == "the Ray cluster has no GPU: its CPUs are used"


def test_a_function_that_the_workers_cannot_import_is_an_error_that_says_so(on_ray, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def double(number):\n    return 2 * number\n")
    monkeypatch.syspath_prepend(tmp_path)
    from only_here import double

    with pytest.raises(
        FungalError,
        match="^1: a worker of the Ray cluster could not run it: .*No module named 'only_here'.*one image",
    ):
        compute.map(double, [1], processes=1)


def test_feature_vectors_are_made_by_the_workers_a_part_each_and_are_those_of_this_machine(
    on_ray, tmp_path, monkeypatch
):
    (tmp_path / "source").mkdir()
    for number in range(7):
        draw_specimen("star", number).save(tmp_path / "source" / f"{number}.png")
    for name in ("raw", "there", "here"):
        (tmp_path / name).mkdir()
    admit_images(tmp_path / "raw", source=str(tmp_path / "source"), **LENIENT)
    monkeypatch.setattr(features, "PART_IMAGES", 3)
    told = []
    making = {"extractor": "efficientnet-lite0", "batch_size": 2}
    features.extract_features(tmp_path / "raw", tmp_path / "there", **making, tell=told.append)
    assert sum("feature vectors from image" in line for line in told) >= 3
    monkeypatch.setenv("FUNGAL_COMPUTE", "local")
    features.extract_features(tmp_path / "raw", tmp_path / "here", **making)
    there, here = ((tmp_path / name / "vectors.parquet").read_bytes() for name in ("there", "here"))
    assert there == here


def test_a_cluster_that_the_caller_joined_stays_joined_and_its_signals_are_left_alone(on_ray):
    before = signal.getsignal(signal.SIGTERM)
    compute.map(jobs.square, [1], processes=1)
    assert on_ray.is_initialized() and signal.getsignal(signal.SIGTERM) is before


def test_a_cluster_of_ones_own_is_gone_after_the_map(own_cluster):
    code = (
        "import signal, psutil; from fungal_assets import compute; "
        "from fungal_assets_tests.compute import jobs; "
        "print([compute.map(jobs.square, [3, 4], processes=1) for _ in range(2)], "
        "psutil.Process().children(recursive=True), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[9, 16], [9, 16]] [] True"


def test_where_no_cluster_runs_it_says_so(own_cluster):
    code = (
        "from fungal_assets import compute; from fungal_assets.errors import InputError\n"
        "try: compute.map(abs, [1], processes=1)\n"
        "except InputError as error: print(error)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["FUNGAL_COMPUTE"] = "auto"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("no Ray cluster could be joined (FUNGAL_COMPUTE is 'auto')")
