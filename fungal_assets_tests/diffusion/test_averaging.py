"""The average over a run's steps: it is what is written, and what learns goes on without it."""

import json

import pytest
import torch

from fungal_assets.diffusion.encoding import read_tensors
from fungal_assets.diffusion.inversion import EMBEDDINGS_FILE
from fungal_assets.diffusion.lora import LORA_FILE
from fungal_assets.diffusion.methods import UNET_FILE
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune

DECAY = 0.3
"""Above the share that the warm-up leaves after the first two steps, below that after the third."""


@pytest.fixture
def steps_of(base_dir, dataset_dir, prompts_dir, tmp_path):
    """The weights after each step of an averaged run, and its folder."""

    def run(method):
        steps = []

        def look(step, _figures):
            state = read_tensors(tmp_path / f".resume/step-{step:08d}/state.safetensors")
            steps.append({name: value for name, value in state.items() if name.startswith("weights.")})

        settings = SETTINGS | {"method": method, "ema_decay": DECAY}
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings, on_step=look)
        return steps, tmp_path

    return run


def average_of(steps):
    """By hand: the first step's weights, then of each the share that diffusers' warm-up leaves."""
    found = steps[0]
    for number, weights in enumerate(steps[1:], 1):
        decay = min(DECAY, (1 + number) / (10 + number))
        found = {name: decay * found[name] + (1 - decay) * weights[name] for name in found}
    return {name.removeprefix("weights."): value for name, value in found.items()}


def written(folder, method):
    """What the output holds, under the names of what learns."""
    if method == "full":
        return read_tensors(folder / UNET_FILE)
    if method == "textual_inversion":
        vectors = read_tensors(folder / EMBEDDINGS_FILE)
        return {"vectors": torch.stack([vectors[name] for name in sorted(vectors)])}
    tensors = read_tensors(folder / LORA_FILE)
    return {
        name.removeprefix("unet.").replace(".weight", ".default.weight"): value
        for name, value in tensors.items()
    }


@pytest.mark.parametrize("method", ["lora", "full", "textual_inversion"])
def test_the_weights_written_are_the_average_and_the_state_goes_on_from_the_last_step(method, steps_of):
    steps, folder = steps_of(method)
    expected, found = average_of(steps), written(folder, method)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)
    last = {name.removeprefix("weights."): value for name, value in steps[-1].items()}
    assert any(not torch.equal(found[name], value) for name, value in last.items())
    state = read_tensors(folder / "resume/state.safetensors")
    assert all(torch.equal(state[name], value) for name, value in steps[-1].items())


def test_the_losses_told_are_those_of_the_weights_written(tuned_by):
    plain, averaged = (
        json.loads((tuned_by("lora", decay) / "training.json").read_text()) for decay in (0.0, 0.9)
    )
    assert (plain["ema_decay"], averaged["ema_decay"]) == (0.0, 0.9)
    for name in ("probe_loss", "held_out_loss"):
        assert plain[f"{name}_before"] == averaged[f"{name}_before"]
        assert plain[f"{name}_after"] != averaged[f"{name}_after"]


def test_averaging_changes_nothing_of_what_is_learnt(tuned_by):
    plain, averaged = (
        read_tensors(tuned_by("lora", decay) / "resume/state.safetensors") for decay in (0.0, 0.9)
    )
    assert plain.keys() < averaged.keys()
    assert all(torch.equal(averaged[name], value) for name, value in plain.items())
    assert not [name for name in plain if name.startswith("average")]
