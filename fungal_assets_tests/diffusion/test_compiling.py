"""Compiled models: the same steps, weights and states, from code of the run's own.

What is traced, cut apart and gone on with is tested by the backend that leaves the kernels out. The whole, whose
kernels take minutes of a compiler, is run where FUNGAL_TEST_COMPILES is set.
"""

import functools
import os

import pytest
import torch
from torch._dynamo.utils import counters

from fungal_assets.diffusion import stepping
from fungal_assets.diffusion.encoding import read_tensors
from fungal_assets.shards import read_table
from fungal_assets.store import hash_files
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune

AVERAGED = SETTINGS | {"ema_decay": 0.9, "max_steps": 4}
LORA = "lora/pytorch_lora_weights.safetensors"
KERNELS = pytest.param(
    "inductor",
    marks=pytest.mark.skipif(
        "FUNGAL_TEST_COMPILES" not in os.environ
        or stepping._missing_to_compile(torch.device("cpu")) is not None,
        reason="takes minutes of a C++ compiler: set FUNGAL_TEST_COMPILES=1 where there is one",
    ),
)


@pytest.fixture(scope="module")
def small_dir(pipeline, tmp_path_factory):
    """A base model whose UNet is one block down and one up, as every layer costs seconds here."""
    from diffusers import UNet2DConditionModel

    from fungal_assets.pocket.architecture import assemble

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16,),
            down_block_types=("CrossAttnDownBlock2D",),
            mid_block_type=None,
            up_block_types=("CrossAttnUpBlock2D",),
            layers_per_block=1,
            cross_attention_dim=32,
            attention_head_dim=4,
            norm_num_groups=8,
        )
    folder = tmp_path_factory.mktemp("base") / "small"
    assemble(pipeline.vae, unet, pipeline.text_encoder, pipeline.tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("backend", ["aot_eager", KERNELS])
def test_a_compiled_run_learns_the_same_and_is_gone_on_with_exactly(
    backend, small_dir, dataset_dir, prompts_dir, tmp_path, monkeypatch
):
    """One graph for the steps alone: looks and probes, whose batches are others, are asked of the model as it is."""

    def stop(step, _figures):
        if step == 2:
            raise KeyboardInterrupt

    run = functools.partial(tune, dataset_dir, prompts_dir, base_model=str(small_dir))
    run(folder=tmp_path / "plain", **AVERAGED)
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    torch._dynamo.reset()
    counters.clear()
    run(folder=tmp_path / "compiled", **AVERAGED | {"compiles": True})
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]
    with pytest.raises(KeyboardInterrupt):
        run(folder=tmp_path / "broken", **AVERAGED | {"compiles": True}, on_step=stop)
    run(folder=tmp_path / "broken", **AVERAGED | {"compiles": True})
    assert hash_files(tmp_path / "broken") == hash_files(tmp_path / "compiled")
    plain, compiled = (read_tensors(tmp_path / name / LORA) for name in ("plain", "compiled"))
    assert compiled.keys() == plain.keys()
    for name, values in plain.items():
        torch.testing.assert_close(compiled[name], values, rtol=1e-3, atol=1e-4)
    one, other = (read_table(tmp_path / name / "loss.parquet") for name in ("plain", "compiled"))
    assert [row["loss"] for row in other] == pytest.approx([row["loss"] for row in one], rel=1e-4)


def test_code_is_kept_in_the_runs_own_folder_and_never_what_a_killed_run_left_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    half = tmp_path / "code/45/c45.main.so"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half a library")
    stepping.keep_code_in(tmp_path / "code", is_main=False)
    assert half.exists(), "the main process empties it for all"
    stepping.keep_code_in(tmp_path / "code", is_main=True)
    assert not half.exists()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "code")
