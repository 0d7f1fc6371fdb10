"""The judge's lessons: what is right for what, that chance changes pictures but not what they show, that it learns."""

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.pocket.architecture import train_tokenizer
from fungal_assets.pocket.contrasting import (
    ClipJudge,
    ContrastSettings,
    augment,
    build_clip,
    contrastive_loss,
    teach_judge,
    to_pixels,
)
from fungal_assets.progress import stay_silent

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "white": (240, 240, 240)}
SMALL = ContrastSettings(
    width=32,
    image_layers=1,
    text_layers=1,
    projection=16,
    steps=40,
    batch_size=16,
    learning_rate=3e-3,
    checkpoint_every=20,
)


def test_pictures_of_one_group_are_right_for_each_other():
    groups = torch.tensor([0, 0, -1, -1])
    sure = torch.full((4, 4), -30.0)
    sure[:2, :2] = sure[2, 2] = sure[3, 3] = 30.0
    assert float(contrastive_loss(sure, groups)) == pytest.approx(np.log(2) / 2, abs=1e-3)
    mistaken = sure.roll(2, 1)
    assert float(contrastive_loss(mistaken, groups)) > 10
    assert float(contrastive_loss(sure, torch.tensor([0, 1, -1, -1]))) == pytest.approx(
        np.log(2) / 2, abs=1e-3
    )


def test_a_picture_is_to_fit_all_captions_of_its_group_and_of_no_other():
    """Its own caption preferred by 2: log(1 + e^-2) by itself, in a group the mean of that and log(1 + e^2)."""
    preferring = 2 * torch.eye(2)
    for groups, expected in (([0, 0], 1.1269), ([0, 1], 0.1269), ([-1, -1], 0.1269)):
        assert float(contrastive_loss(preferring, torch.tensor(groups))) == pytest.approx(expected, abs=1e-3)


def test_chance_changes_a_picture_but_not_its_shape_and_the_same_chance_the_same():
    pixels = to_pixels(np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8))
    assert pixels.shape == (3, 3, 64, 64) and float(pixels.abs().max()) <= 1
    first, again, other = (augment(pixels, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert first.shape == pixels.shape and float(first.abs().max()) <= 1


def test_a_judge_learns_to_name_what_it_has_seen_and_goes_on_from_its_checkpoint(tmp_path):
    captions = [f"a {name} thing" for name in COLOURS for _ in range(4)]
    images = np.stack([np.full((64, 64, 3), COLOURS[text.split()[1]], np.uint8) for text in captions])
    tokenizer = train_tokenizer(captions, vocabulary=600)
    ids = tokenizer(captions, padding="max_length", max_length=32, return_tensors="pt").input_ids
    groups, weights = [list(COLOURS).index(text.split()[1]) for text in captions], torch.ones(len(captions))
    judge = build_clip(tokenizer, SMALL)
    teach_judge(judge, images, ids, groups, weights, tmp_path / "work", SMALL, tell=stay_silent)
    judge.save_pretrained(tmp_path / "judge"), tokenizer.save_pretrained(tmp_path / "judge")
    taught = ClipJudge(tmp_path / "judge")
    pictures = [Image.new("RGB", (50, 50), colour) for colour in COLOURS.values()]
    assert taught.name(pictures, [f"a {name} thing" for name in COLOURS]) == [0, 1, 2, 3]
    again = build_clip(tokenizer, SMALL)
    teach_judge(again, images, ids, groups, weights, tmp_path / "work", SMALL, tell=stay_silent)
    assert all(torch.equal(a, b) for a, b in zip(judge.parameters(), again.parameters(), strict=True))
