"""The scores tell true pictures from others."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from fungal_assets.galleries.judging import load_judge
from fungal_assets.pocket import MODEL_DIR
from fungal_assets.pocket.card import RECIPE_FILE, write_card
from fungal_assets.pocket.corpus import FUNGI_SEED, render_pixels
from fungal_assets.pocket.fungarium import MORPHOTYPES
from fungal_assets.pocket.scoring import UNSEEN_SEED, judge_fungi, judge_things, prompt_of, unseen_traits


@pytest.fixture(scope="module")
def unseen():
    """Two unseen fungi of every morphotype, and their renders."""
    traits = unseen_traits(2)
    return traits, [Image.fromarray(render_pixels(one)) for one in traits]


def test_true_pictures_of_fungi_are_right_and_the_same_pictures_elsewhere_are_not(unseen):
    traits, images = unseen
    right, wrong = judge_fungi(images, traits), judge_fungi([*images[7:], *images[:7]], traits)
    assert right["morphotypes_right"] >= 0.6
    assert right["colours_right"] >= 0.7
    assert right["habitats_right"] >= 0.4
    assert all(wrong[name] < right[name] - 0.2 for name in right)


def test_every_morphotype_is_asked_for_equally_often_and_no_seed_is_a_training_seed():
    traits = unseen_traits(3)
    assert [one.morphotype for one in traits[::3]] == list(MORPHOTYPES)
    assert min(one.seed for one in traits) >= UNSEEN_SEED > FUNGI_SEED + 1_000_000
    assert len({one.seed for one in traits}) == len(traits)


def test_a_prompt_says_colour_form_and_place(unseen):
    traits, _ = unseen
    for one in traits:
        assert f"{one.cap_color} " in prompt_of(one)
        assert re.fullmatch(r"a photo of an? [a-z' -]+, (in|on) [a-z ]+(, [a-z -]+)*", prompt_of(one))


def test_noise_shows_no_thing():
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(12)]
    names = ["hamburger", "flower", "cat", "tree", "boy", "book"] * 2
    assert judge_things(noise, names, load_judge("pocket"))["things_recognised"] <= 0.25


def test_a_card_states_the_size_of_the_weights_and_every_figure(tmp_path):
    (tmp_path / "unet").symlink_to(MODEL_DIR / "unet")
    recipe = {
        "settings": {
            "portraits": 11,
            "fungi": 12,
            "snapshots": 14,
            "concepts": 13,
            "diffusion": {"steps": 700, "batch_size": 8},
        },
        "continued_from": {"settings": {"diffusion": {"steps": 300}}},
        "figures": {"vae_psnr_db": 27.5, "morphotypes_right": 0.25},
    }
    write_card(tmp_path, recipe)
    card = (tmp_path / "README.md").read_text()
    assert json.loads((tmp_path / RECIPE_FILE).read_text())["settings"] == recipe["settings"]
    assert "1000 steps of batch 8" in card and "11 rendered fungi" in card and "12 others and 14 amid" in card
    assert "vae_psnr_db: 27.5" in card and "morphotypes_right: 0.25" in card
    stated = float(re.search(r"UNet of\s+([\d.]+) million", card)[1])
    size = (MODEL_DIR / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    assert stated == pytest.approx(size / 2e6, rel=0.01)
