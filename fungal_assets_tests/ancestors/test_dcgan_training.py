"""A run: it resumes bit by bit, stops where it cannot go on, keeps its best look, and comes nearer to real pictures."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.ancestors.dcgan_adversaries import Adversaries
from fungal_assets.ancestors.dcgan_checks import (
    check_comes_nearer,
    check_loads,
    check_losses,
    check_not_collapsed,
)
from fungal_assets.ancestors.dcgan_drawing import draw_pictures, latents_of, load_generator, settle
from fungal_assets.ancestors.dcgan_images import RealBatches, generator_of, part, read_squares
from fungal_assets.ancestors.dcgan_looks import Looks
from fungal_assets.ancestors.dcgan_loop import DcganLoop, best_look, is_collapsed
from fungal_assets.ancestors.dcgan_models import Generator, begin
from fungal_assets.errors import InputError, ProvenanceError, TrainingError
from fungal_assets.galleries.reading import embed_images
from fungal_assets.morphology.extractors import find_extractor
from fungal_assets.store import hash_files
from fungal_assets_tests.ancestors.dcgan_world import RECIPE, SIDE_PX, blob, train

KILLED = """
import os, signal, sys
from pathlib import Path
from fungal_assets_tests.ancestors.dcgan_world import train
def end(step, _):
    if step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
train(Path(sys.argv[1]), Path(sys.argv[2]), on_step=end)
"""


def visible(folder):
    return {name: entry for name, entry in hash_files(folder).items() if not name.startswith(".")}


def states(folder):
    return sorted(path.name for path in (folder / ".resume").glob("step-*"))


def test_a_run_that_was_killed_ends_bit_equal_to_an_unbroken_one(dcgan_squares, dcgan_trained, tmp_path):
    alone = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-c", KILLED, str(dcgan_squares), str(tmp_path)]
    assert subprocess.run(command, env=alone, capture_output=True).returncode == -signal.SIGKILL
    assert states(tmp_path) == ["step-00000003", "step-00000004"]
    lines = []
    train(dcgan_squares, tmp_path, tell=lines.append)
    assert "training goes on from step 4 of 6" in lines
    assert visible(tmp_path) == visible(dcgan_trained)
    assert {"generator.safetensors", "curves.png", "looks/step-000003.webp"} <= set(visible(tmp_path))


def test_an_interruption_amid_a_step_lets_it_end_and_keeps_it(
    dcgan_squares, dcgan_trained, tmp_path, monkeypatch
):
    original = RealBatches.at

    def interrupted(self, step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, step)

    monkeypatch.setattr(RealBatches, "at", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(dcgan_squares, tmp_path, checkpoint_every_s=1e9)
    assert states(tmp_path)[-1] == "step-00000004"
    monkeypatch.setattr(RealBatches, "at", original)
    train(dcgan_squares, tmp_path, checkpoint_every_s=1e9)
    assert visible(tmp_path) == visible(dcgan_trained)


def test_a_loss_that_is_not_finite_stops_the_run_and_is_never_kept(dcgan_squares, tmp_path):
    with pytest.raises(TrainingError, match=r"Lower dcgan_weights.learning_rate and discriminator_rate"):
        train(dcgan_squares, tmp_path, discriminator_rate=1e38, has_spectral_norm=False, loss="logistic")
    for state in states(tmp_path):
        curve = json.loads((tmp_path / ".resume" / state / "state.json").read_text())["curve"]
        assert np.isfinite([list(row.values()) for row in curve]).all()


def test_a_run_with_other_settings_begins_anew(dcgan_squares, tmp_path):
    train(dcgan_squares, tmp_path, max_steps=3)
    lines = []
    train(dcgan_squares, tmp_path, max_steps=3, seed=4, tell=lines.append)
    assert any("other settings" in line for line in lines)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"loss": "wasserstein"}, "loss is 'wasserstein', one of"),
        ({"augmentation": "colour,blur"}, r"augmentation has \['blur'\]"),
    ],
)
def test_settings_that_mean_nothing_are_refused(dcgan_squares, tmp_path, given, told):
    with pytest.raises(InputError, match=told):
        train(dcgan_squares, tmp_path, **given)


def test_the_checks_pass_a_run_and_see_planted_faults(dcgan_trained, tmp_path):
    assert check_losses(dcgan_trained).passed and check_loads(dcgan_trained).passed
    assert Image.open(dcgan_trained / "curves.png").size == (900, 800)
    about = json.loads((dcgan_trained / "dcgan.json").read_text())
    for name in ("generator.safetensors", "looks.parquet"):
        (tmp_path / name).write_bytes((dcgan_trained / name).read_bytes())
    (tmp_path / "dcgan.json").write_text(json.dumps(about | {"variety": 0.2, "kid": 99.0, "step": 6}))
    assert "raise dcgan_weights.max_steps" in check_not_collapsed(tmp_path).finding
    (tmp_path / "dcgan.json").write_text(json.dumps(about | {"variety": 0.2, "kid": 99.0, "step": 1}))
    assert "preset=small-data" in check_not_collapsed(tmp_path).finding
    assert not check_not_collapsed(tmp_path).passed
    assert not check_comes_nearer(tmp_path).passed
    (tmp_path / "dcgan.json").write_text(json.dumps(about | {"sha256": "0" * 64}))
    with pytest.raises(ProvenanceError, match="000000 expected. Train again"):
        check_loads(tmp_path)


def test_a_picture_hangs_on_its_own_noise_alone(dcgan_trained):
    generator = load_generator(dcgan_trained)
    latents = latents_of(5, generator.latent_size, 0)
    together = list(draw_pictures(generator, latents))
    alone = [next(draw_pictures(generator, latents[at : at + 1])) for at in range(5)]
    for one, other in zip(together, alone, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1


def collapsed_state():
    """A generator that draws one picture whatever the noise."""
    generator = Generator(SIDE_PX, RECIPE.latent_size, RECIPE.width)
    begin(generator, generator_of(0, "collapse", 0))
    state = generator.state_dict()
    state["layers.0.weight"] = torch.zeros_like(state["layers.0.weight"])
    state["layers.1.bias"] = torch.ones_like(state["layers.1.bias"])
    return state


def test_a_planted_collapse_is_seen_and_never_the_best_look(tmp_path):
    extractor = find_extractor("efficientnet-lite0")
    real = embed_images((blob(number) for number in range(12)), extractor)
    look = Looks(RECIPE, SIDE_PX, real, extractor, tmp_path).at
    row = look(collapsed_state(), 1)
    assert row["variety"] < 0.05 and is_collapsed(row)
    sound = {"step": 2, "kid": row["kid"] + 1, "variety": 0.8}
    assert best_look([{"step": 1, **row}, sound]) is sound


def test_settled_statistics_are_those_of_the_pictures_themselves():
    state = collapsed_state()
    state["layers.0.weight"] = torch.randn(
        state["layers.0.weight"].shape, generator=torch.Generator().manual_seed(0)
    )
    generator = settle(state, SIDE_PX, RECIPE.latent_size, RECIPE.width)
    latents = latents_of(256, RECIPE.latent_size, 5)
    first = generator.layers[1](generator.layers[0](latents[:, :, None, None])) - 1
    assert first.mean().abs() < 0.05 and first.std().item() == pytest.approx(1, abs=0.05)


class Thumbnails:
    """Vectors of how light and of what colour each sixteenth of a picture is: an extractor of a few numbers."""

    name, sha256, dimensions, input_px = "thumbnails", "", 48, 4

    def embed(self, images):
        small = [
            np.asarray(image.resize((4, 4), Image.Resampling.BOX), np.float32).ravel() for image in images
        ]
        vectors = np.stack(small) / 127.5 - 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_training_brings_the_pictures_of_an_easy_set_much_nearer(dcgan_squares, tmp_path):
    """Nearer than untrained, by most seeds: how far a single run comes is as chance, and rounding, will have it."""
    given = {"max_steps": 120, "watch_every_steps": 20, "batch_size": 8, "width": 8, "watched_pictures": 24}
    given |= {"has_spectral_norm": False, "loss": "logistic", "augmentation": ""}
    extractor, device = Thumbnails(), torch.device("cpu")
    squares = read_squares(dcgan_squares, tmp_path / "cache", size_px=SIDE_PX, tell=lambda _: None)
    seen, held_out = part(squares.image_ids, 0.3)
    vectors = embed_images(squares.pictures(squares.rows(held_out)), extractor)
    left = []
    for seed in (3, 4, 5):
        recipe, folder = dataclasses.replace(RECIPE, **given, seed=seed), tmp_path / str(seed)
        folder.mkdir()
        real = RealBatches(squares, squares.rows(seen), recipe.batch_size, recipe.flips, recipe.seed, device)
        look = Looks(recipe, SIDE_PX, vectors, extractor, folder).at
        pair = Adversaries(recipe, SIDE_PX, device)
        untrained = look(pair.averaged(), 0)["kid"]
        progress = DcganLoop(pair, real, recipe, look, folder / "states", "key", 1e9).run(
            lambda _: None, lambda *_: None
        )
        left.append(best_look(progress.looks)["kid"] / untrained)
    assert np.median(left) < 0.1


def test_training_ends_where_looks_find_nothing_nearer(dcgan_squares, tmp_path):
    lines = []
    still = {"learning_rate": 1e-12, "discriminator_rate": 1e-12, "ema_decay": 0.0}
    asked = {"max_steps": 9, "watch_every_steps": 1, "watched_pictures": 4, "patience_looks": 2}
    figures = train(dcgan_squares, tmp_path, tell=lines.append, **still, **asked)
    assert figures["steps"] < 9 and any("2 looks came no nearer" in line for line in lines)
    assert figures["step_kept"] == figures["steps"] - 2
