"""Headers: what a weights file says of itself, and that the hash in it is that of its tensors."""

import hashlib
import json

import pytest
import torch

from fungal_assets.diffusion.encoding import read_tensors, write_tensors
from fungal_assets.diffusion.headers import (
    Architecture,
    Origin,
    describe,
    fill_hash,
    kohya_network,
    model_spec,
    read_header,
)
from fungal_assets_tests.diffusion.conftest import ORIGIN

TRAINING = {
    "base_model": {"id": "stable-diffusion-1.5", "sha256": "a" * 64},
    "method": "lora",
    "lora_rank": 8,
    "resolution_px": 512,
    "rows": 40,
    "steps": 300,
    "step_kept": 240,
    "learning_rate": 1e-4,
    "seed": 7,
}
SD1 = Architecture("stable-diffusion-v1", "sd_v1", "epsilon")


@pytest.mark.parametrize(
    ("is_stable_diffusion", "is_open_clip", "prediction_type", "expected"),
    [
        (True, False, "epsilon", ("stable-diffusion-v1", "sd_v1", "epsilon")),
        (True, False, "v_prediction", ("stable-diffusion-v1", "sd_v1_v", "v")),
        (True, True, "epsilon", ("stable-diffusion-v2-512", "sd_v2", "epsilon")),
        (True, True, "v_prediction", ("stable-diffusion-v2-768-v", "sd_v2_v", "v")),
        (False, False, "v_prediction", ("pocket", "", "v")),
    ],
)
def test_an_architecture_is_called_as_sd_scripts_calls_it(
    is_stable_diffusion, is_open_clip, prediction_type, expected
):
    found = Architecture.of(
        "pocket",
        is_stable_diffusion=is_stable_diffusion,
        is_open_clip=is_open_clip,
        prediction_type=prediction_type,
    )
    assert (found.id, found.kohya, found.prediction_type) == expected


def test_the_header_says_what_the_weights_are_made_of():
    texts = describe(TRAINING, ORIGIN, strength=0.5)
    assert texts["base_model"] == "stable-diffusion-1.5" and texts["base_model_sha256"] == "a" * 64
    assert texts["dataset_sha256"] == "d" * 64 and texts["licence"] == "Apache-2.0, CC0-1.0"
    assert json.loads(texts["trigger_names"]) == ["ashen cap", "golden bonnet"]
    assert texts["made_by"].startswith("fungal_assets ") and texts["strength"] == "0.5"


def test_the_model_spec_has_all_that_it_demands_and_the_names_as_its_trigger():
    texts = model_spec(TRAINING, ORIGIN, SD1, is_adapter=True)
    demanded = ("sai_model_spec", "architecture", "implementation", "title", "resolution")
    assert all(texts[f"modelspec.{name}"] for name in demanded)
    assert texts["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert texts["modelspec.resolution"] == "512x512" and texts["modelspec.prediction_type"] == "epsilon"
    assert texts["modelspec.trigger_phrase"] == "ashen cap, golden bonnet"
    whole = model_spec(TRAINING, ORIGIN, SD1, is_adapter=False)
    assert whole["modelspec.architecture"] == "stable-diffusion-v1"


def test_a_text_that_is_not_known_is_left_out_rather_than_empty():
    unknown = Origin("d" * 64, (), ())
    own = Architecture("pocket", "", "v")
    texts = model_spec(TRAINING, unknown, own, is_adapter=True) | kohya_network(TRAINING, own)
    assert all(texts.values())
    assert not {"modelspec.trigger_phrase", "modelspec.license", "ss_base_model_version"} & texts.keys()


def test_sd_scripts_finds_network_rank_and_base_model():
    texts = kohya_network(TRAINING, SD1)
    expected = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": "8",
        "ss_network_alpha": "8",
        "ss_base_model_version": "sd_v1",
        "ss_v2": "False",
        "ss_resolution": "(512, 512)",
        "ss_steps": "240",
    }
    assert texts | expected == texts
    assert kohya_network(TRAINING, Architecture("x", "sd_v2_v", "v"))["ss_v2"] == "True"


def test_the_hash_is_that_of_the_bytes_after_the_header_and_nothing_else_changes(tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = {"a": torch.randn(7, 3), "b": torch.arange(5)}
    spec = model_spec(TRAINING, ORIGIN, SD1, is_adapter=True) | kohya_network(TRAINING, SD1)
    write_tensors(path, tensors, spec)
    before = read_header(path)
    fill_hash(path)
    whole = path.read_bytes()
    sha256 = hashlib.sha256(whole[8 + int.from_bytes(whole[:8], "little") :]).hexdigest()
    header = read_header(path)
    assert header["modelspec.hash_sha256"] == f"0x{sha256}" and header["sshs_model_hash"] == sha256
    hashes = {"modelspec.hash_sha256", "sshs_model_hash"}
    assert {k: v for k, v in header.items() if k not in hashes} == {
        k: v for k, v in before.items() if k not in hashes
    }
    assert all(torch.equal(values, tensors[name]) for name, values in read_tensors(path).items())
