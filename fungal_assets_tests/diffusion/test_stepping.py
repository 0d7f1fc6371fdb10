"""How a step is taken: whatever is chosen, the same rows are learnt from and a broken run ends as an unbroken one."""

import copy
import dataclasses
import functools
import importlib.util

import pytest
import torch

from fungal_assets.diffusion import stepping
from fungal_assets.diffusion.batches import Batch
from fungal_assets.diffusion.devices import deterministic, has_bfloat16_units
from fungal_assets.diffusion.encoding import LEAST_CROP, crop, encode_dataset, read_tensors, write_tensors
from fungal_assets.diffusion.stepping import (
    arrange,
    make_optimiser,
    memory_tensors,
    precise,
    refuse_impossible,
    restore_memory,
)
from fungal_assets.errors import InputError, MissingExtraError
from fungal_assets.shards import read_table
from fungal_assets.store import hash_files
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune, write_dataset
from fungal_assets_tests.diffusion.test_batches import batches

CPU = torch.device("cpu")
ALONE = SETTINGS | {
    "max_steps": 4,
    "rehearsal_prompts": 0,
    "rehearsal_share": 0.0,
    "checkpoint_every_s": 1e9,
}
HAS_BITSANDBYTES = importlib.util.find_spec("bitsandbytes") is not None
needs_bitsandbytes = pytest.mark.skipif(not HAS_BITSANDBYTES, reason="bitsandbytes is not installed")
needs_bfloat16 = pytest.mark.skipif(not has_bfloat16_units(), reason="this CPU has no bfloat16 units")
CHOICES = [
    pytest.param({"batch_size": 2, "accumulation_steps": 2}, id="accumulation"),
    pytest.param({"checkpoints_gradients": True}, id="checkpointing"),
    pytest.param({"noise_offset": 0.1}, id="noise offset"),
    pytest.param({"crops": 2}, id="crops"),
    pytest.param({"is_channels_last": True, "method": "full"}, id="channels last"),
    pytest.param({"optimiser": "adafactor"}, id="adafactor"),
    pytest.param({"optimiser": "adamw8bit", "lora_rank": 64}, id="adamw8bit", marks=needs_bitsandbytes),
    pytest.param({"precision": "bfloat16"}, id="bfloat16", marks=needs_bfloat16),
]


@pytest.fixture(scope="module")
def few_dir(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("few"), 8)


def run(dataset, folder, base, settings, **how):
    """One run without rehearsal; what it kept."""
    tune(dataset, folder / "none", folder, base_model=str(base), **ALONE | settings, **how)
    return hash_files(folder)


@pytest.fixture(scope="module")
def unbroken(few_dir, base_dir, tmp_path_factory):
    """The folder of an unbroken run by these settings, made once."""

    @functools.cache
    def made(**settings):
        folder = tmp_path_factory.mktemp("unbroken")
        run(few_dir, folder, base_dir, settings)
        return folder

    return made


def read_weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "lora/pytorch_lora_weights.safetensors")


@pytest.mark.parametrize("settings", CHOICES)
def test_a_run_broken_off_and_gone_on_with_ends_bit_equal_to_an_unbroken_one(
    settings, few_dir, base_dir, unbroken, tmp_path
):
    def interrupt(step, _figures):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(few_dir, tmp_path, base_dir, settings, on_step=interrupt)
    lines = []
    gone_on = run(few_dir, tmp_path, base_dir, settings, tell=lines.append)
    assert gone_on == hash_files(unbroken(**settings))
    assert any(line.startswith("training goes on from step 2") for line in lines)
    if {"noise_offset", "crops", "optimiser", "precision", "method"} & set(settings):
        one, other = (read_table(folder / "loss.parquet")[-1]["loss"] for folder in (tmp_path, unbroken()))
        assert one != other, "it was chosen"


def test_two_times_two_rows_learn_as_four_do(unbroken):
    assert ALONE["batch_size"] == 4
    folders = unbroken(), unbroken(batch_size=2, accumulation_steps=2)
    one, two = (read_table(folder / "loss.parquet") for folder in folders)
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=1e-5)
    one, two = map(read_weights, folders)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=2e-4)
    assert max(value.abs().max() for name, value in one.items() if "lora_B" in name) > 5e-3, "it has learnt"


def test_activations_computed_again_change_nothing(unbroken):
    kept, again = map(read_weights, (unbroken(), unbroken(checkpoints_gradients=True)))
    assert all(torch.equal(kept[name], again[name]) for name in kept)


@pytest.mark.parametrize("is_chosen", [False, True])
def test_a_model_is_arranged_as_chosen_with_the_same_parameters(is_chosen, pipeline):
    unet = copy.deepcopy(pipeline.unet)
    before = dict(unet.named_parameters())
    names = ("checkpoints_gradients", "is_channels_last", "compiles")
    found = arrange(unet, **dict.fromkeys(names, is_chosen))
    assert getattr(found, "_orig_mod", None) is (unet if is_chosen else None), "compiled at its first step"
    assert all(value is before[name] for name, value in unet.named_parameters())
    assert unet.is_gradient_checkpointing == is_chosen
    assert unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last) == is_chosen


@pytest.mark.parametrize(("precision", "is_half"), [("auto", False), ("float32", False), ("bfloat16", True)])
def test_the_precision_is_that_of_the_products_on_a_cpu(precision, is_half):
    with precise(CPU, precision):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if is_half else torch.float32)


def test_parts_are_the_batch_in_order_with_its_specimens_first():
    batch = batches(size=8, share=0.25).at(0)
    parts = batch.parts(4)
    for name in ("x_t", "timesteps", "text", "target", "weight"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))
    assert batch.specimens == 6 and [part.specimens for part in parts] == [2, 2, 2, 0]
    assert all(isinstance(part, Batch) for part in parts)


def test_offset_noise_moves_whole_channels_and_only_those_of_specimens():
    plain = batches(size=8, share=0.25)
    offset = dataclasses.replace(plain, noise_offset=0.5)
    shifts = []
    for step in range(200):
        without, with_offset = plain.at(step), offset.at(step)
        # These models predict the noise, so that the targets differ by what was added to it.
        extra = with_offset.target - without.target
        assert torch.equal(extra[without.specimens :], torch.zeros_like(extra[without.specimens :]))
        torch.testing.assert_close(extra, extra[..., :1, :1].expand_as(extra), rtol=0, atol=1e-6)
        shifts.append(extra[: without.specimens, :, 0, 0])
    assert torch.cat(shifts).std().item() == pytest.approx(0.5, rel=0.03)
    assert torch.cat(shifts).mean().item() == pytest.approx(0, abs=0.02)
    assert torch.equal(plain.probe(0, 4).x_t, offset.probe(0, 4).x_t)


def test_a_crop_is_a_part_of_its_picture_enlarged_and_decided_by_the_id():
    ramp = torch.linspace(-0.9, 0.9, 64).expand(64, 64)
    ramp = torch.stack([ramp, ramp.T, ramp])
    found = {}
    for number in range(20):
        for name in ("a", "b"):
            part = crop(ramp, name, number)
            assert part.shape == ramp.shape and torch.equal(part, crop(ramp, name, number))
            assert (part[0].diff(dim=1) > -1e-3).all() and (part[1].diff(dim=0) > -1e-3).all(), "not turned"
            spread = float(part[0, 0].max() - part[0, 0].min()) / 1.8
            assert LEAST_CROP - 0.03 <= spread <= 1 + 1e-3
            found[name, number] = tuple(part.mean(dim=(1, 2)).mul(1e4).round().tolist()), round(spread, 3)
    assert len(set(found.values())) > 30
    assert torch.allclose(crop(torch.full((3, 64, 64), 0.3), "a", 0), torch.tensor(0.3), atol=1e-5)


def test_crops_are_further_variants_behind_the_picture_and_its_mirror_image(few_dir, pipeline, tmp_path):
    how = {"base_sha256": "0", "tell": lambda _: None, "has_embeddings": False, "cache": tmp_path}
    plain = encode_dataset(few_dir / "data", pipeline, **how)
    cropped = encode_dataset(few_dir / "data", pipeline, **how, crops=2)
    assert plain.latents.shape[1] == 2 and cropped.latents.shape[1] == 6
    assert torch.equal(cropped.latents[:, :2], plain.latents)
    for first in (2, 4):
        assert not torch.equal(cropped.latents[:, first], plain.latents[:, 0])
        assert not torch.equal(cropped.latents[:, first], cropped.latents[:, first + 1])


@pytest.mark.parametrize("kind", ["adamw", "adafactor", pytest.param("adamw8bit", marks=needs_bitsandbytes)])
def test_an_optimiser_with_its_memory_put_back_goes_on_to_the_bit(kind, tmp_path):
    def begin():
        torch.manual_seed(0)
        learning = {
            "a": torch.nn.Parameter(torch.randn(96, 64)),
            "c": torch.nn.Parameter(torch.randn(96, 64)),
            "b.a": torch.nn.Parameter(torch.randn(8, 4, 3, 3)),
        }
        learning["b.a"].data = learning["b.a"].data.to(memory_format=torch.channels_last)
        return learning, make_optimiser(kind, list(learning.values()), 1e-2, CPU)

    def descend(learning, optimiser):
        sum((value - 1).square().sum() for value in learning.values()).backward()
        optimiser.step()
        optimiser.zero_grad()

    learning, optimiser = begin()
    for _ in range(2):
        descend(learning, optimiser)
    kept = {name: value.detach().clone() for name, value in learning.items()}
    write_tensors(tmp_path / "memory.safetensors", memory_tensors(optimiser, list(learning)))
    memory = read_tensors(tmp_path / "memory.safetensors")
    others, again = begin()
    for name, value in others.items():
        value.data.copy_(kept[name])
    restore_memory(again, others, memory | {"weights.a": kept["a"], "average.a": kept["a"]})
    for _ in range(2):
        descend(learning, optimiser)
        descend(others, again)
    assert all(torch.equal(learning[name], others[name]) for name in learning)
    assert not torch.equal(learning["a"], kept["a"])


def test_adafactor_remembers_a_matrix_by_its_rows_and_columns():
    sizes = {}
    for kind in ("adamw", "adafactor"):
        matrix = torch.nn.Parameter(torch.ones(64, 96))
        optimiser = make_optimiser(kind, [matrix], 1e-3, CPU)
        matrix.square().sum().backward()
        optimiser.step()
        sizes[kind] = sum(value.numel() for value in memory_tensors(optimiser, ["matrix"]).values())
    assert sizes == {"adamw": 2 * 64 * 96 + 1, "adafactor": 64 + 96 + 2}


def test_memory_is_not_filled_before_use_and_what_was_set_is_put_back():
    filled = torch.utils.deterministic
    assert filled.fill_uninitialized_memory and not torch.are_deterministic_algorithms_enabled()
    with deterministic(CPU):
        assert torch.are_deterministic_algorithms_enabled() and not filled.fill_uninitialized_memory
    assert filled.fill_uninitialized_memory and not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accumulation_steps": 0}, "accumulation_steps is 0, at least 1 expected"),
        ({"crops": -1, "noise_offset": 1.0}, "crops is -1, at least 0.*noise_offset is 1.0, 0 to below 1"),
        ({"optimiser": "sgd"}, "optimiser is 'sgd', one of .*adafactor"),
        ({"precision": "float16"}, "precision is 'float16', one of .*bfloat16"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, message, few_dir, base_dir, tmp_path):
    with pytest.raises(InputError, match=message):
        run(few_dir, tmp_path, base_dir, change)
    assert not list(tmp_path.iterdir()), "refused before anything is made"


def test_what_this_machine_lacks_is_refused_with_what_to_type(monkeypatch):
    can = {"optimiser": "adamw", "precision": "auto", "compiles": False}
    refuse_impossible(CPU, **can)
    monkeypatch.setattr(stepping, "has_bfloat16_units", lambda: False)
    with pytest.raises(InputError, match="cpu has no units for it .*Set fine_tuned_weights.precision=auto"):
        refuse_impossible(CPU, **can | {"precision": "bfloat16"})
    monkeypatch.setattr(stepping.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(stepping.sysconfig, "get_path", lambda name: "/nowhere")
    with pytest.raises(InputError, match="/nowhere/Python.h .of the package python3-dev. was not found"):
        refuse_impossible(CPU, **can | {"compiles": True})
    monkeypatch.undo()
    monkeypatch.setattr(stepping, "has_bfloat16_units", lambda: False)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match="'no-such-compiler' was not found.*compiles=false"):
        refuse_impossible(CPU, **can | {"compiles": True})


@pytest.mark.skipif(HAS_BITSANDBYTES, reason="bitsandbytes is installed")
def test_eight_bits_without_their_library_are_refused_with_the_command_that_installs_it(
    few_dir, base_dir, tmp_path
):
    with pytest.raises(MissingExtraError, match=r"pip install 'fungal_assets\[adamw8bit\]'"):
        run(few_dir, tmp_path, base_dir, {"optimiser": "adamw8bit"})
    assert not list(tmp_path.iterdir())
