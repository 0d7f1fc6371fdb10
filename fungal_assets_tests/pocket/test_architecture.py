"""The pocket model's shape: stock classes, any text encoded, the shipped files loadable and small."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from fungal_assets.pocket import JUDGE_DIR, MODEL_DIR, SPECIMENS_DIR
from fungal_assets.pocket.architecture import BOS, EOS, MAX_TOKENS, build_pipeline, train_tokenizer


@pytest.fixture(scope="module")
def tiny():
    pipeline = build_pipeline("tiny", seed=3)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_the_special_tokens_have_the_last_ids_as_clips_have():
    tokenizer = train_tokenizer(["a red cap", "a red bell"] * 3, vocabulary=600)
    ids = tokenizer("a red cap").input_ids
    assert ids[0] == tokenizer.bos_token_id == len(tokenizer) - 2
    assert ids[-1] == tokenizer.eos_token_id == len(tokenizer) - 1
    assert (tokenizer.bos_token, tokenizer.eos_token) == (BOS, EOS)


@pytest.mark.parametrize(
    "text", ["Zürich's bell", "菌類", "x" * 200, ""], ids=["accent", "kanji", "long", "empty"]
)
def test_any_text_is_encoded_within_the_limit(tiny, text):
    ids = tiny.tokenizer(text, padding="max_length", truncation=True).input_ids
    assert len(ids) == MAX_TOKENS and max(ids) < len(tiny.tokenizer)


def test_a_saved_pipeline_paints_the_same_picture(tiny, tmp_path):
    tiny.save_pretrained(tmp_path)
    loaded = StableDiffusionPipeline.from_pretrained(tmp_path, safety_checker=None)
    loaded.set_progress_bar_config(disable=True)
    one, two = (
        pipeline(
            "a cap", num_inference_steps=2, generator=torch.Generator().manual_seed(1), output_type="np"
        ).images
        for pipeline in (tiny, loaded)
    )
    np.testing.assert_array_equal(one, two)


def test_the_same_seed_builds_the_same_weights(tiny):
    again = build_pipeline("tiny", seed=3)
    for one, two in zip(tiny.unet.parameters(), again.unet.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_shipped_model_loads_and_paints():
    pipeline = StableDiffusionPipeline.from_pretrained(
        MODEL_DIR, safety_checker=None, torch_dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("hamburger", num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images[0]
    assert image.size == (128, 128) and np.asarray(image).std() > 5


def test_what_ships_is_small():
    sizes = [
        path.stat().st_size for folder in (MODEL_DIR, JUDGE_DIR, SPECIMENS_DIR) for path in folder.rglob("*")
    ]
    assert sum(sizes) <= 80e6
    assert sum(path.stat().st_size for path in MODEL_DIR.rglob("*")) <= 60e6
