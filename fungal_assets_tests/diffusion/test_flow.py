"""Stable Diffusion 3: rectified flow, three text encoders and a transformer, tuned as any other base model."""

import dataclasses

import numpy as np
import pytest
import torch

from fungal_assets.diffusion.base_models import load_pipeline, working_px
from fungal_assets.diffusion.checks import check_pruned_from_tuned, check_pruned_loads, check_weights_changed
from fungal_assets.diffusion.encoding import embed_texts, read_tensors
from fungal_assets.diffusion.families import FAMILIES, UNET, family_of, pack, unpack
from fungal_assets.diffusion.lora import LORA_FILE, TRANSFORMER_LAYERS
from fungal_assets.diffusion.objectives import Flow, Objective, stratified_steps
from fungal_assets.errors import InputError
from fungal_assets.forms.guidance import DiffusionGuide
from fungal_assets.galleries.batches import _denoise, _embed, make_sampler
from fungal_assets.galleries.planning import Picture
from fungal_assets.shards import read_table
from fungal_assets.store import hash_files
from fungal_assets_tests.diffusion.conftest import SETTINGS, prune, tune
from fungal_assets_tests.diffusion.exported import TOLERANCE, differ, draw_plainly, write_tuned

CPU, SHIFT = torch.device("cpu"), 3.0
PROMPTS = ["a photo of a golden bonnet", "a cup"]
WORDS = ["▁", "▁a", "▁photo", "▁of", "▁golden", "▁bonnet", "▁cup", *"abcdefghijklmnopqrstuvwxyz"]


def clip(tokenizer, width):
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)


def stable_diffusion_3():
    """A pipeline with the blocks, and so the names, of Stable Diffusion 3 at small widths, random weights."""
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )
    from transformers import T5Config, T5EncoderModel, T5TokenizerFast

    from fungal_assets.pocket.architecture import train_tokenizer

    tokenizers = [train_tokenizer(PROMPTS, vocabulary=600) for _ in range(2)]
    vocabulary = [*((word, 0.0) for word in ("<pad>", "</s>", "<unk>")), *((word, -1.0) for word in WORDS)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return StableDiffusion3Pipeline(
            transformer=SD3Transformer2DModel(
                sample_size=8,
                patch_size=2,
                in_channels=4,
                out_channels=4,
                num_layers=2,
                attention_head_dim=8,
                num_attention_heads=4,
                joint_attention_dim=64,
                caption_projection_dim=32,
                pooled_projection_dim=24 + 32,
                pos_embed_max_size=16,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
            vae=AutoencoderKL(
                block_out_channels=(4, 8, 16, 16),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                norm_num_groups=4,
                sample_size=64,
                shift_factor=0.06,
                use_quant_conv=False,
                use_post_quant_conv=False,
            ),
            text_encoder=clip(tokenizers[0], 24),
            text_encoder_2=clip(tokenizers[1], 32),
            text_encoder_3=T5EncoderModel(
                T5Config(vocab_size=len(vocabulary), d_model=64, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
            ),
            tokenizer=tokenizers[0],
            tokenizer_2=tokenizers[1],
            tokenizer_3=T5TokenizerFast(vocab=vocabulary, extra_ids=0),
        )


@pytest.fixture(scope="module")
def sd3_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sd") / "sd3"
    stable_diffusion_3().save_pretrained(folder)
    return folder


@pytest.fixture
def loaded(sd3_dir):
    return load_pipeline(sd3_dir, device="cpu", dtype=torch.float32)


def test_a_transformer_says_the_size_that_it_was_made_for(sd3_dir):
    assert working_px(sd3_dir, "native", 256) == 8 * 8


def test_a_flow_is_the_line_of_its_scheduler_and_split_where_it_came_from(loaded):
    objective = Objective.of(loaded.scheduler, 5.0, CPU)
    assert isinstance(objective, Flow) and objective.shift == SHIFT
    generator = torch.Generator().manual_seed(0)
    x_0, e = (torch.randn(4, 4, 8, 8, generator=generator) for _ in range(2))
    t = torch.tensor([0, 250, 500, 999])
    x_t = objective.noised(x_0, e, t)
    sigma = (t / 1000).view(-1, 1, 1, 1)
    torch.testing.assert_close(x_t, sigma * e + (1 - sigma) * x_0)
    loaded.scheduler.set_timesteps(8)
    for timestep in loaded.scheduler.timesteps:
        level = timestep.round().long().clamp(max=999)
        expected = loaded.scheduler.scale_noise(x_0[:1], timestep[None], e[:1])
        torch.testing.assert_close(objective.noised(x_0[:1], e[:1], level[None]), expected, rtol=0, atol=8e-3)
    found = objective.split(x_t, objective.target(x_0, e, t), t)
    torch.testing.assert_close(found[0], x_0, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], e, rtol=1e-4, atol=1e-5)
    assert objective.weight(t).tolist() == [1.0] * 4


def test_levels_are_drawn_logit_normal_about_the_shift():
    objective = Flow.shifted(SHIFT, 1000, CPU)
    levels = objective.drawn(stratified_steps(20_000, 1000, torch.Generator().manual_seed(0)))
    assert levels.min() >= 0 and levels.max() <= 999
    logits = torch.logit((levels + 0.5) / 1000)
    assert float(logits.mean()) == pytest.approx(np.log(SHIFT), abs=0.02)
    assert float(logits.std()) == pytest.approx(1.0, abs=0.02)
    plain = Objective(torch.linspace(0.999, 0.001, 1000), "epsilon", 5.0)
    assert torch.equal(plain.drawn(levels), levels), "of other objectives all alike"


def test_what_is_packed_is_unpacked():
    hidden, summary = torch.randn(2, 5, 8), torch.randn(2, 19)
    packed = pack(hidden, summary)
    assert packed.shape == (2, 5 + 3, 8)
    assert all(torch.equal(*pair) for pair in zip(unpack(packed, 19), (hidden, summary), strict=True))


@pytest.mark.parametrize("has_t5", [True, False])
def test_what_the_transformer_is_asked_is_what_its_pipeline_asks_it(loaded, has_t5):
    if not has_t5:
        loaded.text_encoder_3 = loaded.tokenizer_3 = None
    asked, family = [], family_of(loaded)
    assert [type(family)] == [known for known in FAMILIES if known.denoiser != UNET], (
        "every other one is here"
    )
    hook = loaded.transformer.register_forward_hook(
        lambda _, args, kwargs, output: asked.append((kwargs, output)), with_kwargs=True
    )
    loaded(PROMPTS[0], num_inference_steps=2, guidance_scale=3.0, output_type="latent")
    hook.remove()
    for kwargs, (expected,) in asked:
        text = embed_texts(loaded, ["", PROMPTS[0]])
        with torch.no_grad():
            found = family.predict(loaded.unet, kwargs["hidden_states"], kwargs["timestep"], text)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_gallery_draws_what_a_plain_call_draws(loaded):
    settings = {"num_inference_steps": 3, "guidance_scale": 4.0, "width": 64, "height": 64}
    pictures = [
        Picture(f"prompt-{at}", "control", None, text, None, None, "base", 0, seed=at)
        for at, text in enumerate(PROMPTS)
    ]
    plain = [
        loaded(each.text, generator=torch.Generator().manual_seed(each.seed), **settings).images[0]
        for each in pictures
    ]
    sampler = make_sampler(loaded, "DPMSolverMultistepScheduler")
    drawn = _denoise(sampler, pictures, lambda text: _embed(sampler, text, ""), settings)
    for one, other in zip(drawn, plain, strict=True):
        assert np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max() <= 1


def test_a_lora_is_trained_gone_on_with_and_pruned(sd3_dir, dataset_dir, prompts_dir, tmp_path):
    def stop(step, _figures):
        if step == 3:
            raise KeyboardInterrupt

    run = {"base_model": str(sd3_dir), **SETTINGS}
    tune(dataset_dir, prompts_dir, tmp_path / "whole", **run)
    with pytest.raises(KeyboardInterrupt):
        tune(dataset_dir, prompts_dir, tmp_path / "broken", **run, on_step=stop)
    tune(dataset_dir, prompts_dir, tmp_path / "broken", **run)
    assert hash_files(tmp_path / "broken") == hash_files(tmp_path / "whole")
    assert read_table(tmp_path / "whole/loss.parquet")[0]["rehearsal_loss"] < 1e-9
    assert check_weights_changed(tmp_path / "whole", base_model=str(sd3_dir)).passed
    lora = read_tensors(tmp_path / "whole" / LORA_FILE)
    layers = {name.removeprefix("transformer.").split(".lora_")[0] for name in lora}
    assert all(layer.endswith(TRANSFORMER_LAYERS["transformer"]) for layer in layers)
    assert "transformer_blocks.0.attn.add_q_proj" in layers and len(layers) == 12 + 9, (
        "the last block leaves the text as it is"
    )
    prune(tmp_path / "whole", tmp_path / "pruned", sd3_dir, strength=0.5)
    assert check_pruned_loads(tmp_path / "pruned").passed
    assert check_pruned_from_tuned(tmp_path / "pruned", tmp_path / "whole").passed


def test_a_lora_draws_the_same_in_a_plain_pipeline(sd3_dir, tmp_path):
    tuned = write_tuned(sd3_dir, tmp_path / "tuned", method="lora", lora_targets="all", lora_alpha=200.0)
    prune(tuned, tmp_path / "pruned", sd3_dir)
    pictures = draw_plainly(sd3_dir, tmp_path / "pruned", tmp_path)
    assert set(pictures) == {"base", "fused", "pytorch"}
    assert differ(pictures["fused"], pictures["base"]) > 20 * TOLERANCE
    assert differ(pictures["fused"], pictures["pytorch"]) < TOLERANCE


@pytest.mark.parametrize("changed", [{"method": "textual_inversion"}, {"trains_text_encoder": True}])
def test_its_words_are_not_learnt(changed, sd3_dir, dataset_dir, prompts_dir, tmp_path):
    with pytest.raises(
        InputError, match="three text encoders whose words are not learnt here: use method 'lora'"
    ):
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(sd3_dir), **SETTINGS | changed)


def test_it_guides_no_form(loaded):
    with pytest.raises(InputError, match="predicts 'flow'; expected 'epsilon'"):
        DiffusionGuide(loaded)


def test_a_flow_on_another_device_is_the_same_flow():
    objective = Flow.shifted(SHIFT, 1000, CPU)
    moved = dataclasses.replace(objective, alpha_bar=objective.alpha_bar.clone())
    assert type(moved) is Flow and moved.shift == SHIFT
