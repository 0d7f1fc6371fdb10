import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from fungal_assets.errors import InputError, ProvenanceError
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


def _answer(pipeline, latents, timesteps, noise, embeddings):
    x_t = pipeline.scheduler.add_noise(latents, noise, timesteps)
    with torch.no_grad():
        return x_t, pipeline.unet(x_t, timesteps, encoder_hidden_states=embeddings).sample


def test_at_guidance_one_the_direction_is_the_conditional_noise_minus_the_noise(pipeline, guide, question):
    latents, timesteps, noise, embeddings = question
    _, expected = _answer(pipeline, *question)
    found = guide.direction(latents, timesteps, noise, embeddings, guidance_scale=1.0)
    assert torch.allclose(found, expected - noise, atol=1e-4)


def test_at_guidance_zero_the_prompt_does_not_count(pipeline, guide, question):
    latents, timesteps, noise, _ = question
    nothing = guide.embed(["", ""])
    _, expected = _answer(pipeline, latents, timesteps, noise, nothing)
    found = guide.direction(*question, guidance_scale=0.0)
    assert torch.allclose(found, expected - noise, atol=1e-4)


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
def test_other_predictions_are_read_as_the_noise_that_diffusers_reads(question, prediction):
    other = _predicting(prediction)
    x_t, output = _answer(other, *question)
    found = DiffusionGuide(other).direction(*question, guidance_scale=1.0) + question[2]
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
    first, second = (guide.direction(*question, guidance_scale=3.0) for guide in guides)
    assert torch.allclose(first, second, atol=1e-4)
