"""Anyone can load it: processes that know nothing of this package read the dataset, and train on it, offline."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fungal_assets.shards import count_rows, read_rows
from fungal_assets_tests.dataset.conftest import ROWS

APART = """
import runpy, sys
sys.modules["fungal_assets"] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script in a process where an import of this package is an error, though it is installed."""
READING = """
import json, sys
from datasets import load_dataset
from datasets.features import Image, Value

folder = sys.argv[1]
told = {}
for name, options in {
    "shards": {"path": folder},
    "stream": {"path": folder, "streaming": True},
    "imagefolder": {"path": "imagefolder", "data_dir": f"{folder}/imagefolder"},
}.items():
    splits = load_dataset(**options)
    told[name] = {split: sorted(row["text"] for row in rows) for split, rows in splits.items()}
    features = splits["train"].features
    assert isinstance(features["image"], Image) and features["text"] == Value("string"), features
    told[f"{name} columns"] = sorted(features)
    told[f"{name} size"] = next(iter(splits["test"]))["image"].size
print(json.dumps(told))
"""


def run_apart(script, *arguments, folder):
    """Run a script without this package and elsewhere, offline; what it prints last, as JSON."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FUNGAL"))}
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-I", "-c", APART, *map(str, (script, *arguments))]
    done = subprocess.run(
        command, env=kept | offline, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def read(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "reading.py").write_text(READING)
    return run_apart(folder / "reading.py", dataset, folder=folder)


def test_these_processes_know_nothing_of_this_package(tmp_path):
    (tmp_path / "script.py").write_text("import fungal_assets")
    with pytest.raises(AssertionError, match="import of fungal_assets halted"):
        run_apart(tmp_path / "script.py", folder=tmp_path)


def texts_of(dataset, split):
    return sorted(row["text"] for row in read_rows(dataset / "data", ["text"], stem=split))


@pytest.mark.parametrize("way", ["shards", "stream", "imagefolder"])
def test_both_splits_are_read_whole_and_with_their_texts(way, read, dataset):
    assert read[way] == {split: texts_of(dataset, split) for split in ("train", "test")}
    assert sum(map(len, read[way].values())) == ROWS
    assert read[f"{way} size"] == [128, 128]


def test_every_column_is_read_and_the_imagefolder_has_the_two_that_trainers_ask_for(read):
    columns = ["creator", "image", "image_id", "licence", "source", "species", "species_id", "text"]
    columns = sorted([*columns, "texts", "class_texts"])
    assert read["shards columns"] == read["stream columns"] == columns
    assert read["imagefolder columns"] == ["image", "text"]


def test_a_plain_diffusers_script_trains_a_lora_on_it(dataset, tmp_path):
    from fungal_assets.pocket.architecture import build_pipeline

    build_pipeline("tiny", seed=0).save_pretrained(tmp_path / "base")
    script = Path(__file__).with_name("plain_lora.py")
    told = run_apart(script, tmp_path / "base", dataset, tmp_path / "lora", 3, folder=tmp_path)
    assert told["rows"] == count_rows(dataset / "data", "train")
    assert len(told["losses"]) == 3 and all(math.isfinite(loss) and loss > 0 for loss in told["losses"])
    from safetensors.numpy import load_file

    weights = load_file(tmp_path / "lora/pytorch_lora_weights.safetensors")
    learnt = {name: values for name, values in weights.items() if "lora_B" in name or "lora.up" in name}
    assert learnt and all(values.any() for values in learnt.values()), "these begin as zeros"
