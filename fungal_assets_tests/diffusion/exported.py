"""Exported weights: made without training, and drawn with by plain diffusers where nobody can import this package."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.inversion import Words
from fungal_assets.diffusion.methods import get_method
from fungal_assets.diffusion.training import SETTINGS_OF_METHODS
from fungal_assets.store import hash_folder
from fungal_assets_tests.diffusion.conftest import SETTINGS

WORKER = """
import json
import os
import sys
import traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.modules["fungal_assets"] = None

for line in sys.stdin:
    script, *sys.argv[1:] = json.loads(line)
    fault = None
    try:
        exec(compile(script, "plain", "exec"), {})
        assert not [name for name in sys.modules if name.startswith("fungal_assets.")]
    except Exception:
        fault = traceback.format_exc()
    print(json.dumps(fault), file=answers, flush=True)
"""
BY_FORMAT = """
import json
import sys
from pathlib import Path
import numpy as np
import torch
import diffusers

base, pruned, out = sys.argv[1:4]
Pipeline = getattr(diffusers, json.loads(Path(base, "model_index.json").read_text())["_class_name"])

def load(folder):
    return Pipeline.from_pretrained(folder, dtype=torch.float32)

def draw(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    settings = {"num_inference_steps": 5, "guidance_scale": 2.0, "output_type": "np"}
    return pipeline("a photo", generator=noise, **settings).images[0]

pictures = {"base": draw(load(base)), "fused": draw(load(pruned + "/pipeline"))}
for folder in sys.argv[4:]:
    pictures[Path(folder).name] = draw(load(folder))
for file in sorted(Path(pruned, "lora").glob("*.safetensors")):
    pipeline = load(base)
    pipeline.load_lora_weights(pruned + "/lora", weight_name=file.name)
    pictures[file.name.split("_")[0]] = draw(pipeline)
for file in Path(pruned, "single_file").glob("*.safetensors"):
    settings = {"config": base, "local_files_only": True, "dtype": torch.float32}
    pictures["single"] = draw(Pipeline.from_single_file(str(file), **settings))
np.savez(out, **pictures)
"""
# Half precision keeps 11 bits: after 5 steps of a model at random weights less than a grey level of 255.
TOLERANCE = 1 / 255


@functools.cache
def _worker():
    """A Python that cannot import this package and runs one script after the other, so that one start serves all."""
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=tempfile.gettempdir(), env=settings, **pipes
    )
    atexit.register(worker.communicate)
    return worker


def run_plainly(script, *arguments):
    """Run a script with these arguments where nobody can import this package."""
    worker = _worker()
    print(json.dumps([script, *map(str, arguments)]), file=worker.stdin, flush=True)
    fault = json.loads(worker.stdout.readline())
    assert fault is None, fault


def draw_plainly(base, pruned, place, *others):
    """Pictures by all formats there are, drawn by plain diffusers; float, 0 to 1, by name."""
    run_plainly(BY_FORMAT, base, pruned, place / "pictures.npz", *others)
    return dict(np.load(place / "pictures.npz"))


def assert_formats_agree(pictures, *, singles=("single",)):
    """What a LoRA's pipeline and each of its files draw is far from the base model's, and alike as far as each can be.

    `singles` is empty of a model that has no single file.
    """
    assert set(pictures) == {"base", "fused", "pytorch", "kohya", *singles}
    assert differ(pictures["fused"], pictures["base"]) > 20 * TOLERANCE
    assert differ(pictures["fused"], pictures["pytorch"]) < TOLERANCE
    assert differ(pictures["kohya"], pictures["pytorch"]) < 1e-5
    for single in singles:
        assert differ(pictures[single], pictures["fused"]) == 0


def differ(one, other):
    return float(np.abs(one - other).max())


def write_tuned(base, folder, *, method, **changed):
    """Tuned weights of a base model as training leaves them, far enough from it for all to see."""
    pipeline = load_pipeline(base, device="cpu", dtype=torch.float32)
    settings = {name: SETTINGS[name] for name in SETTINGS_OF_METHODS} | changed
    chosen = get_method(method, **settings)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, values in chosen.attach(pipeline, Words([], "mushroom"), seed=0).items():
            noise = torch.randn(values.shape, generator=generator)
            if method == "full":
                values.add_(noise * values.abs().mean() * 0.04)
            elif "lora_B" in name:
                values.copy_(noise * 0.02)
            elif "magnitude" in name:
                values.mul_(1 + 0.04 * noise)
    chosen.save(pipeline, folder)
    training = {
        "base_model": {"id": base.name, "sha256": hash_folder(base)},
        "method": method,
        "weights_file": chosen.weights_file,
        **{name: settings[name] if owner == method else None for name, owner in SETTINGS_OF_METHODS.items()},
        "prediction_type": "v_prediction",
        "resolution_px": 64,
        "rows": 13,
        "steps": 6,
        "step_kept": 6,
        "learning_rate": 3e-3,
        "seed": 3,
    }
    (folder / "training.json").write_text(json.dumps(training))
    return folder
