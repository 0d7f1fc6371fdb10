import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.forms.directions import ScoreDistillation, ViewText
from fungal_assets.forms.guidance import DiffusionGuide, load_guide, prove_guide
from fungal_assets.pocket.architecture import build_pipeline


@pytest.fixture(scope="module")
def pipeline():
    return _predicting("epsilon")


def _predicting(prediction):
    pipeline = build_pipeline("tiny")
    kept = dict(pipeline.scheduler.config) | {"prediction_type": prediction, "steps_offset": 1}
    pipeline.scheduler = type(pipeline.scheduler).from_config(kept)
    return pipeline


@pytest.fixture(scope="module")
def guide(pipeline):
    return DiffusionGuide(pipeline)


@pytest.fixture
def question(guide):
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(2, 4, 8, 8, generator=generator) for _ in range(2))
    return latents, torch.tensor([300, 700]), noise, guide.embed(["a red mushroom", "a cup"])


def _led(guide, latents, timesteps, noise, embeddings, *, guidance_scale):
    texts = [ViewText(embedding) for embedding in embeddings]
    return ScoreDistillation(guidance_scale)(guide, latents, timesteps, noise, texts)


def _answer(pipeline, latents, timesteps, noise, embeddings):
    x_t = pipeline.scheduler.add_noise(latents, noise, timesteps)
    with torch.no_grad():
        return x_t, pipeline.unet(x_t, timesteps, encoder_hidden_states=embeddings).sample


def test_at_guidance_one_the_direction_is_the_conditional_noise_minus_the_noise(pipeline, guide, question):
    _, expected = _answer(pipeline, *question)
    assert torch.allclose(_led(guide, *question, guidance_scale=1.0), expected - question[2], atol=1e-4)


def test_at_guidance_zero_the_prompt_does_not_count(pipeline, guide, question):
    latents, timesteps, noise, _ = question
    nothing = guide.embed(["", ""])
    _, expected = _answer(pipeline, latents, timesteps, noise, nothing)
    assert torch.allclose(_led(guide, *question, guidance_scale=0.0), expected - noise, atol=1e-4)


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
def test_other_predictions_are_read_as_the_noise_that_diffusers_reads(question, prediction):
    other = _predicting(prediction)
    x_t, output = _answer(other, *question)
    found = DiffusionGuide(other).predict_noise(x_t, question[1], question[3])
    other.scheduler.set_timesteps(1000)
    for row, timestep in enumerate(question[1].tolist()):
        clean = other.scheduler.step(output[row : row + 1], timestep, x_t[row : row + 1]).pred_original_sample
        alpha_bar = other.scheduler.alphas_cumprod[timestep]
        noise = (x_t[row] - alpha_bar.sqrt() * clean[0]) / (1 - alpha_bar).sqrt()
        assert torch.allclose(found[row], noise, atol=1e-3)


def test_another_kind_of_prediction_is_refused():
    other = build_pipeline("tiny")
    other.scheduler.register_to_config(prediction_type="flow")
    with pytest.raises(InputError, match="predicts 'flow'"):
        DiffusionGuide(other)


@pytest.mark.parametrize("negative_prompt", ["", "a red mushroom"], ids=["plain", "led away"])
def test_first_guesses_are_what_plain_diffusers_draws_one_by_one(negative_prompt):
    """More than are painted at once, by DPM++ 2M in the asked steps; so a guess is the same in any batch."""
    guide = DiffusionGuide(_predicting("epsilon"), negative_prompt=negative_prompt)
    seeds = [3, 1, 4, 15, 9, 2, 6, 5, 35]
    found = guide.paint("a cup", seeds, guidance_scale=3.0, steps=4)
    plain = _predicting("epsilon")
    plain.scheduler = DPMSolverMultistepScheduler.from_config(plain.scheduler.config)
    plain.set_progress_bar_config(disable=True)
    for seed, picture in zip(seeds, found, strict=True):
        settings = {"num_inference_steps": 4, "guidance_scale": 3.0, "height": 64, "width": 64}
        noise = torch.Generator().manual_seed(seed)
        (expected,) = plain("a cup", negative_prompt=negative_prompt, generator=noise, **settings).images
        assert np.abs(picture.astype(int) - np.asarray(expected, int)).max() <= 2
    assert min(np.abs(one.astype(int) - found[0]).max() for one in found[1:]) > 20


@pytest.mark.parametrize("side_px", [32, 64, 96])
def test_pictures_of_any_size_become_native_latents_with_a_gradient(guide, side_px):
    pictures = torch.rand(2, 3, side_px, side_px, requires_grad=True)
    latents = guide.to_latents(pictures)
    latents.square().sum().backward()
    assert latents.shape == (2, 4, 8, 8)
    assert float(pictures.grad.abs().sum()) > 0


def test_latents_are_those_of_the_pipeline(pipeline, guide):
    pictures = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = pipeline.vae.encode(2 * pictures - 1).latent_dist.mean * pipeline.vae.config.scaling_factor
        assert torch.allclose(guide.to_latents(pictures), expected, atol=1e-5)


def test_the_guide_learns_nothing(guide):
    parts = (guide.pipeline.unet, guide.pipeline.vae, guide.pipeline.text_encoder)
    assert not any(parameter.requires_grad for part in parts for parameter in part.parameters())


def test_the_guide_is_proven_by_hash(pruned_weights, tmp_path):
    assert (
        prove_guide(pruned_weights)
        == json.loads((pruned_weights / "weights.json").read_text())["pipeline_sha256"]
    )
    swapped = tmp_path / "swapped"
    shutil.copytree(pruned_weights, swapped)
    build_pipeline("tiny", seed=1).save_pretrained(swapped / "pipeline")
    with pytest.raises(ProvenanceError, match="these are not the tuned weights"):
        prove_guide(swapped)


def test_a_saved_pipeline_loads_as_the_same_guide(pruned_weights, question):
    guides = DiffusionGuide(build_pipeline("tiny")), load_guide(pruned_weights / "pipeline")
    first, second = (_led(guide, *question, guidance_scale=3.0) for guide in guides)
    assert torch.allclose(first, second, atol=1e-4)


def _tiny_autoencoder(**changed):
    """Three stages, as the tiny model's own autoencoder has: f8 from 64 px."""
    from diffusers import AutoencoderTiny

    widths = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    blocks = {"num_encoder_blocks": (1,) * 4, "num_decoder_blocks": (1,) * 4}
    return AutoencoderTiny(**widths | blocks | changed)


def test_a_tiny_encoder_makes_the_latents_with_a_gradient(pipeline):
    tiny = _tiny_autoencoder()
    guide = DiffusionGuide(pipeline, tiny_encoder=tiny)
    pictures = torch.rand(2, 3, 32, 32, requires_grad=True)
    latents = guide.to_latents(pictures)
    latents.square().sum().backward()
    native = torch.nn.functional.interpolate(pictures.detach(), (64, 64), mode="bilinear")
    with torch.no_grad():
        assert torch.allclose(latents, tiny.encode(2 * native - 1).latents, atol=1e-5)
    assert float(pictures.grad.abs().sum()) > 0
    assert not any(parameter.requires_grad for parameter in tiny.parameters())


def test_a_tiny_encoder_of_another_model_is_refused(pipeline):
    with pytest.raises(InputError, match=r"latents of shape \(16, 8, 8\); the guide takes \(4, 8, 8\)"):
        DiffusionGuide(pipeline, tiny_encoder=_tiny_autoencoder(latent_channels=16))


def test_in_half_precision_the_guide_answers_as_in_single(pruned_weights, tmp_path, question):
    """bfloat16, which a CPU has too: the latents and the answers are float32, and nearly the same."""
    _tiny_autoencoder().save_pretrained(tmp_path / "tiny")
    latents, timesteps, _, embeddings = question
    whole, half = (
        load_guide(pruned_weights / "pipeline", tiny_encoder=tmp_path / "tiny", dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )
    answers = [guide.predict_noise(latents, timesteps, embeddings) for guide in (whole, half)]
    assert answers[1].dtype == torch.float32
    assert float((answers[0] - answers[1]).norm() / answers[0].norm()) < 0.05
    shown = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    seen = [guide.to_latents(shown) for guide in (whole, half)]
    assert seen[1].dtype == torch.float32
    assert float((seen[0] - seen[1]).norm() / seen[0].norm()) < 0.05
