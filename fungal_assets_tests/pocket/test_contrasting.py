"""The judge's lessons: what is right for what, that chance changes drawings but not what they show, that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPTextModelWithProjection

from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.pocket.architecture import train_tokenizer
from fungal_assets.pocket.autoencoding import to_signed
from fungal_assets.pocket.contrasting import (
    ClipJudge,
    ContrastSettings,
    ImageHead,
    Lessons,
    build_towers,
    change_pictures,
    contrastive_loss,
    teach_judge,
)
from fungal_assets.pocket.facts import Facts
from fungal_assets.progress import stay_silent

KINDS = ("stripe", "disc", "chequer", "cross")
SMALL = ContrastSettings(
    width=32,
    text_layers=1,
    hidden=32,
    projection=16,
    dropout=0.1,
    steps=120,
    batch_size=16,
    learning_rate=3e-3,
    checkpoint_every=60,
)


def test_a_picture_is_to_fit_every_text_that_is_right_for_it_and_no_other():
    """Its own text preferred by 2: log(1 + e^-2) by itself; where both are right the mean of that and log(1 + e^2)."""
    preferring, both = 2 * torch.eye(2), torch.ones(2, 2, dtype=torch.bool)
    assert float(contrastive_loss(preferring, torch.eye(2, dtype=torch.bool))) == pytest.approx(
        0.1269, abs=1e-3
    )
    assert float(contrastive_loss(preferring, both)) == pytest.approx(1.1269, abs=1e-3)


def test_a_text_may_be_right_for_a_picture_whose_own_text_is_not_right_for_the_other():
    """Text 0 is right for both pictures, text 1 for its own only; by hand at flat logits: all terms are log 2."""
    right = torch.tensor([[True, False], [True, True]])
    assert float(contrastive_loss(torch.zeros(2, 2), right)) == pytest.approx(np.log(2), abs=1e-6)
    fitting = torch.tensor([[30.0, -30.0], [0.0, 0.0]])
    expected = 0.5 * (np.log(2) / 2 + (30 / 2) / 2)
    assert float(contrastive_loss(fitting, right)) == pytest.approx(expected, abs=1e-3)


def change(pixels, *, seed=0, is_drawn):
    return change_pictures(pixels, torch.Generator().manual_seed(seed), is_drawn=is_drawn)


@pytest.mark.parametrize("is_drawn", [True, False])
def test_chance_changes_a_picture_but_not_its_shape_and_the_same_chance_the_same(is_drawn):
    pixels = to_signed(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    before = pixels.clone()
    first, again, other = (change(pixels, seed=seed, is_drawn=is_drawn) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert first.shape == pixels.shape and float(first.abs().max()) <= 1
    assert torch.equal(pixels, before)


def test_hues_turn_in_every_third_drawing_and_are_lost_in_every_fifth():
    """Pure red at many chances: turned ones show another channel brightest, those without saturation none."""
    red = torch.tensor([0.6, -0.6, -0.6])[:, None, None].expand(400, 3, 32, 32)
    means = change(red, is_drawn=True).mean((2, 3))
    is_grey = means.amax(1) - means.amin(1) < 0.02
    assert 0.15 < float(is_grey.float().mean()) < 0.25
    is_turned = (means.argmax(1) != 0) & ~is_grey
    assert 0.1 < float(is_turned.float().mean()) < 0.3


def test_a_red_fungus_stays_red():
    red = torch.tensor([0.6, -0.6, -0.6])[:, None, None].expand(400, 3, 32, 32)
    means = change(red, is_drawn=False).mean((2, 3))
    assert bool((means.argmax(1) == 0).all())
    assert float((means.amax(1) - means.amin(1)).min()) > 0.5


def test_every_second_picture_is_soft():
    """Stripes of two pixels: sharp ones keep most of their contrast when moved, soft ones lose most."""
    stripes = torch.where(torch.arange(64) % 4 < 2, 0.6, -0.6).expand(300, 3, 64, 64)
    contrast = change(stripes, is_drawn=False)[:, :, 16:48, 16:48].std((1, 2, 3))
    assert 0.4 < float((contrast < 0.25).float().mean()) < 0.6


def test_the_head_sees_features_of_any_scale_alike():
    """Twice as far from a mean elsewhere is the same thing to it, once it has looked at each."""
    features = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    head = ImageHead(8, 4, 3)
    head.fit(features)
    first = head(features)
    head.fit(7 + 2 * features)
    torch.testing.assert_close(head(7 + 2 * features), first, atol=1e-4, rtol=1e-4)
    assert first.shape == (64, 3)


def patterns(each, *, seed):
    """`each` pictures of every kind of pattern, shifted and coloured by chance."""
    rng, images = np.random.default_rng(seed), []
    for kind in KINDS:
        for _ in range(each):
            x, y = np.meshgrid(np.arange(96), np.arange(96))
            x, y = x + rng.integers(-10, 10), y + rng.integers(-10, 10)
            is_ink = {
                "stripe": x % 16 < 8,
                "disc": np.hypot(x - 48, y - 48) < 30,
                "chequer": (x // 16 + y // 16) % 2 == 0,
                "cross": (abs(x - 48) < 8) | (abs(y - 48) < 8),
            }[kind]
            paper, ink = rng.integers(150, 256, 3), rng.integers(0, 100, 3)
            images.append(Image.fromarray(np.where(is_ink[..., None], ink, paper).astype(np.uint8)))
    return images


@pytest.fixture(scope="module")
def lessons():
    """Six pictures of each pattern as EfficientNet-Lite0 sees them."""
    facts = [Facts((kind,), "a") for kind in KINDS for _ in range(6)]
    return Lessons(EfficientNetLite0().embed(patterns(6, seed=0)), facts, torch.ones(len(facts)))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([f"a drawing of a {kind}" for kind in KINDS], vocabulary=600)


def test_a_judge_learns_to_name_what_it_has_seen_and_goes_on_from_its_checkpoint(
    lessons, tokenizer, tmp_path
):
    towers, reached = build_towers(tokenizer, SMALL, dimensions=1280), []
    folder = tmp_path / "work"
    teach_judge(towers, tokenizer, lessons, folder, SMALL, tell=stay_silent, on_checkpoint=reached.append)
    assert reached == [60, 120]
    ClipJudge(towers, tokenizer).save(tmp_path / "judge")
    taught = ClipJudge.load(tmp_path / "judge")
    unseen = patterns(2, seed=1)
    assert taught.name(unseen, [f"a {kind}" for kind in KINDS]) == [0, 0, 1, 1, 2, 2, 3, 3]
    again = build_towers(tokenizer, SMALL, dimensions=1280)
    teach_judge(again, tokenizer, lessons, folder, SMALL, tell=stay_silent, on_checkpoint=pytest.fail)
    assert all(torch.equal(a, b) for a, b in zip(towers.parameters(), again.parameters(), strict=True))


def test_a_stopped_lesson_ends_as_an_unbroken_one(lessons, tokenizer, tmp_path):
    def stop(step):
        raise KeyboardInterrupt

    whole, broken, resumed = (build_towers(tokenizer, SMALL, dimensions=1280) for _ in range(3))
    teach_judge(whole, tokenizer, lessons, tmp_path / "whole", SMALL, tell=stay_silent)
    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        teach_judge(broken, tokenizer, lessons, folder, SMALL, tell=stay_silent, on_checkpoint=stop)
    torch.manual_seed(12345)  # another process has another state of chance
    teach_judge(resumed, tokenizer, lessons, folder, SMALL, tell=stay_silent)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_what_is_saved_answers_as_what_was_taught_and_loads_with_transformers_alone(
    lessons, tokenizer, tmp_path
):
    towers = build_towers(tokenizer, replace(SMALL, seed=3), dimensions=1280)
    towers.head.fit(torch.from_numpy(lessons.features))
    judge = ClipJudge(towers, tokenizer)
    judge.save(tmp_path)
    loaded = ClipJudge.load(tmp_path)
    texts, picture = ["a stripe", "a cross"], [Image.new("RGB", (64, 64), (10, 200, 30))]
    torch.testing.assert_close(loaded.embed_texts(texts), judge.embed_texts(texts), atol=2e-3, rtol=0)
    torch.testing.assert_close(loaded.embed_images(picture), judge.embed_images(picture), atol=5e-3, rtol=0)
    assert next(towers.parameters()).dtype == torch.float32, "saving leaves what was taught as it is"
    assert CLIPTextModelWithProjection.from_pretrained(tmp_path).config.projection_dim == SMALL.projection
