"""The scores tell true pictures from others."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.galleries.judging import load_judge
from fungal_assets.pocket import JUDGE_DIR, MODEL_DIR, scoring
from fungal_assets.pocket.card import RECIPE_FILE, card_text, write_card
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.corpus import FUNGI_SEED, VIEW_SEED, render_pixels
from fungal_assets.pocket.fungarium import MORPHOTYPES, views_of
from fungal_assets.pocket.fungarium.morphotypes import ANGLED_VIEW, portrait_view
from fungal_assets.pocket.scoring import (
    UNSEEN_SEED,
    judge_fungi,
    judge_fungi_by_clip,
    judge_things,
    judge_things_by_clip,
    paint,
    prompt_of,
    unseen_fungi,
    unseen_traits,
)
from fungal_assets.progress import stay_silent


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


def test_the_judge_knows_true_pictures_of_fungi_by_form_colour_place_and_view(unseen):
    """On the same pictures in another order it is wrong: by chance it would be right in 1 of 16, 11, 7 and 3."""
    traits, images = unseen
    judge = ClipJudge.load(JUDGE_DIR / "clip")
    right = judge_fungi_by_clip(judge, images, traits)
    wrong = judge_fungi_by_clip(judge, [*images[7:], *images[:7]], traits)
    assert right["morphotypes_by_clip"] >= 0.9 and wrong["morphotypes_by_clip"] <= 0.2
    assert right["habitats_by_clip"] >= 0.8 and wrong["habitats_by_clip"] <= 0.5
    assert right["colours_by_clip"] >= 0.6 and wrong["colours_by_clip"] <= 0.4
    assert right["views_by_clip"] >= 0.8 and wrong["views_by_clip"] <= 0.8


def test_the_judge_is_asked_only_for_views_that_there_are(unseen):
    """A picture at an angle has no view to be named; without any other there is no share of views."""
    traits, images = unseen
    angled = [(one, image) for one, image in zip(traits, images, strict=True) if one.view is None]
    assert len(angled) >= 2
    only_angled, pictures = zip(*angled, strict=True)
    figures = judge_fungi_by_clip(ClipJudge.load(JUDGE_DIR / "clip"), pictures, only_angled)
    assert set(figures) == {"morphotypes_by_clip", "colours_by_clip", "habitats_by_clip"}


def test_the_judge_names_things_of_the_world_and_no_thing_in_noise():
    """What the shipped model paints is named right among six, and noise is not."""
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(12)]
    names = ["hamburger", "flower", "cat", "tree", "boy", "book"] * 2
    judge = ClipJudge.load(JUDGE_DIR / "clip")
    assert judge_things_by_clip(judge, noise, names, names[:6])["things_by_clip"] <= 0.4
    pipeline = load_pipeline(MODEL_DIR, device="cpu", dtype=torch.float32)
    assert paint(pipeline, names[:1], size_px=64, tell=stay_silent)[0].size == (64, 64)
    painted = paint(pipeline, names[:6], tell=stay_silent)
    assert judge_things_by_clip(judge, painted, names[:6], names[:6])["things_by_clip"] >= 5 / 6
    assert judge_things_by_clip(judge, painted[::-1], names[:6], names[:6])["things_by_clip"] <= 1 / 6


def test_another_size_is_scored_by_pictures_of_that_size(monkeypatch):
    """Where the model paints the generator's own renders, it scores as they do; things are then not recognised."""
    names, clip = ["hamburger", "flower", "cat"], ClipJudge.load(JUDGE_DIR / "clip")
    traits = unseen_fungi(1)["portraits"]
    asked = []

    def paint_renders(pipeline, prompts, *, size_px, tell):
        asked.extend(prompts)
        return [Image.fromarray(render_pixels(one, size_px=size_px)) for one in [*traits[:3], *traits]]

    monkeypatch.setattr(scoring, "paint", paint_renders)
    figures, painted = scoring.score_size(None, clip, names, size_px=64, tell=stay_silent, each=1)
    assert asked == [*names, *(prompt_of(one, is_plain=True) for one in traits)]
    assert {image.size for image in painted} == {(64, 64)}
    assert figures["things_by_clip"] < 0.7
    for name in ("morphotypes", "colours", "habitats", "views"):
        assert figures[f"portraits_{name}_by_clip"] == figures[f"portraits_{name}_by_clip_of_renders"]
    assert figures["portraits_morphotypes_by_clip"] >= 0.5


def test_the_sheet_of_sizes_holds_things_and_fungi_of_every_size():
    colours = {64: ["red"] * 10 + ["green"] * 16, 256: ["blue"] * 10 + ["yellow"] * 16}
    painted = {px: [Image.new("RGB", (px, px), colour) for colour in all_] for px, all_ in colours.items()}
    sheet = scoring.show_sizes(painted, things=10)
    row_px = 256 + 4 + 14
    assert sheet.size == (8 * 260 + 4, 4 * row_px + 4)
    found = [sheet.getpixel((8 * 260 - 100, row * row_px + 100)) for row in range(4)]
    assert found == [(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 0)]


@pytest.mark.parametrize("kind", ["portraits", "fungi", "views"])
def test_every_morphotype_is_scored_and_views_from_every_side_that_there_is(kind):
    traits = unseen_fungi(4)[kind]
    assert {one.morphotype for one in traits} == set(MORPHOTYPES)
    assert {one.count for one in traits} == {1}
    if kind == "portraits":
        assert {one.view for one in traits} == {portrait_view(name) for name in MORPHOTYPES} - {
            ANGLED_VIEW
        } | {None}
    if kind == "views":
        sides = {(name, view) for name in MORPHOTYPES for view in views_of(name)}
        assert {(one.morphotype, one.view) for one in traits} == sides


def test_every_morphotype_is_asked_for_equally_often_and_no_seed_is_a_training_seed():
    traits = unseen_traits(3)
    assert [one.morphotype for one in traits[::3]] == list(MORPHOTYPES)
    every = [one for kind in unseen_fungi(3).values() for one in kind]
    assert min(one.seed for one in every) >= UNSEEN_SEED > max(FUNGI_SEED, VIEW_SEED) + 500_000
    assert len({one.seed for one in every}) == len(every)


def test_a_prompt_says_colour_form_and_place(unseen):
    traits, _ = unseen
    for one in traits:
        assert f"{one.cap_color} " in prompt_of(one)
        assert re.fullmatch(r"a photo of an? [a-z' -]+, (in|on) [a-z ]+(, [a-z -]+)*", prompt_of(one))


def test_a_plain_prompt_leaves_the_view_to_the_model(unseen):
    traits, _ = unseen
    assert not any(
        "view" in prompt_of(one, is_plain=True) or "seen" in prompt_of(one, is_plain=True) for one in traits
    )
    assert all(prompt_of(one).startswith(prompt_of(one, is_plain=True)) for one in traits)


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
            "views": 15,
            "concepts": 13,
            "half_share": 0.125,
            "double_share": 0.25,
            "diffusion": {"steps": 700, "batch_size": 8},
        },
        "continued_from": {"settings": {"diffusion": {"steps": 300}}},
        "figures": {"vae_psnr_db": 27.5, "morphotypes_right": 0.25},
    }
    write_card(tmp_path, recipe)
    card = (tmp_path / "README.md").read_text()
    assert json.loads((tmp_path / RECIPE_FILE).read_text())["settings"] == recipe["settings"]
    assert (
        "1000 steps of batch 8" in card
        and "11 rendered fungi" in card
        and "12 others, 15 from" in card
        and "14 amid" in card
    )
    assert re.search(
        r"of the last 700, a share of 0.12 were of these at 64 px.*0.25 of others at 256 px", card, re.S
    )
    assert "128 px alone" not in card
    alone = {**recipe["settings"], "half_share": 0.0, "double_share": 0.0}
    assert "1000 steps of batch 8, the last 700 at 128 px alone." in card_text(
        {**recipe, "settings": alone}, 1
    )
    assert "vae_psnr_db: 27.5" in card and "morphotypes_right: 0.25" in card
    stated = float(re.search(r"UNet of\s+([\d.]+) million", card)[1])
    size = (MODEL_DIR / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    assert stated == pytest.approx(size / 2e6, rel=0.01)
