"""The strength of exported weights, chosen by measuring: what is measured is what a gallery and its report find."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.checks import check_strength
from fungal_assets.diffusion.strengths import BATCH_SIZE, CHOOSE, SCHEDULER, Trials, export_weights, pick_row
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.galleries.batches import scheduler_for
from fungal_assets.galleries.forgetting import report_forgetting
from fungal_assets.galleries.judging import load_judge
from fungal_assets.galleries.measuring import Yardstick, draw_controls
from fungal_assets.galleries.planning import read_prompts
from fungal_assets.galleries.sampling import SCHEDULERS, sample_gallery
from fungal_assets.store import hash_files
from fungal_assets_tests.diffusion.conftest import ORIGIN, SETTINGS, SIDE_PX, tune
from fungal_assets_tests.galleries.conftest import write_clusters
from fungal_assets_tests.galleries.conftest import write_prompts as write_gallery_prompts

WEAK, STRONG = 0.01, 1.0
SAMPLING = {"images_per_prompt": 2, "controls": 3, "num_inference_steps": 2, "guidance_scale": 4.0, "seed": 5}
KILLED = """
import json, os, signal, sys
from pathlib import Path
from fungal_assets.diffusion.strengths import Trials, export_weights
from fungal_assets_tests.diffusion.conftest import ORIGIN

def die(line):
    if line.startswith("strength 0.01 (1 of 2)"):
        os.kill(os.getpid(), signal.SIGKILL)

*places, base, trials = sys.argv[1:]
how = {"base_model": base, "strength": 0.0, "has_single_file": False, "tell": die}
export_weights(*map(Path, places), ORIGIN, **how, trials=Trials(**json.loads(trials)))
"""


def row(strength, retention, recognised, likeness=0.0):
    return {
        "strength": strength,
        "retention": retention,
        "species_recognised": recognised,
        "species_likeness": likeness,
    }


@pytest.mark.parametrize(
    ("rows", "picked"),
    [
        pytest.param([row(0.4, 1.0, 0.3), row(0.6, 0.92, 0.5), row(1.0, 0.7, 0.9)], 0.6, id="enough is kept"),
        pytest.param([row(0.4, 0.9, 0.3), row(0.6, 0.9, 0.2)], 0.4, id="the floor itself is enough"),
        pytest.param([row(0.4, 1.0, 0.5, 0.1), row(0.6, 1.0, 0.5, 0.2)], 0.6, id="likeness between equals"),
        pytest.param([row(0.4, 1.0, 0.5), row(0.6, 1.0, 0.5)], 0.4, id="the weakest between the same"),
        pytest.param([row(0.4, 0.8, 0.2), row(0.6, 0.7, 0.9)], 0.4, id="none keeps enough"),
    ],
)
def test_the_best_fit_that_keeps_enough_is_picked(rows, picked):
    assert pick_row(rows, 0.9)["strength"] == picked
    assert pick_row(rows[::-1], 0.9)["strength"] == picked


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Prompts and clusters."""
    root = tmp_path_factory.mktemp("asked")
    return write_gallery_prompts(root / "prompts"), write_clusters(root / "clusters")


@pytest.fixture(scope="module")
def spoilt(base_dir, dataset_dir, prompts_dir, tmp_path_factory):
    """Weights that were tuned so fast that nothing of the base model is left in them."""
    folder = tmp_path_factory.mktemp("spoilt")
    changed = {"method": "full", "learning_rate": 0.05, "checkpoint_every_s": 1e9}
    tune(dataset_dir, prompts_dir, folder, base_model=str(base_dir), **SETTINGS | changed)
    return folder


@pytest.fixture(scope="module")
def trials(base_dir, asked, tmp_path_factory):
    """Two strengths, held to a judge whose references are the base model's own pictures."""
    by = Yardstick.of(
        read_prompts(asked[0]),
        **{name: SAMPLING[name] for name in ("images_per_prompt", "controls", "seed")},
        settings={
            **{name: SAMPLING[name] for name in ("num_inference_steps", "guidance_scale")},
            "batch_size": BATCH_SIZE,
            "width": SIDE_PX,
            "height": SIDE_PX,
        },
        judge=load_judge("pocket"),
        clusters=asked[1],
    )
    pipeline = load_pipeline(base_dir, device="cpu", dtype=torch.float32)
    pipeline.scheduler = scheduler_for(pipeline, SCHEDULERS[SCHEDULER])
    _, vectors = draw_controls(pipeline, by)
    path = tmp_path_factory.mktemp("judge") / "base.npz"
    rng = np.random.default_rng(0)
    other = rng.normal(size=(2, vectors.shape[1])).astype(np.float32)
    concepts = [picture.expected for picture in by.controls]
    np.savez(
        path, vectors=np.concatenate([vectors, other]), concept=np.array([*concepts, "mushroom", "mushroom"])
    )
    return Trials([STRONG, WEAK], 0.9, str(path), **SAMPLING)


def export(tuned, asked, folder, base, trials, *, strength=CHOOSE, tell=lambda _: None):
    folder.mkdir(exist_ok=True)
    how = {"base_model": str(base), "strength": strength, "has_single_file": False, "tell": tell}
    return export_weights(tuned, *asked, folder, ORIGIN, **how, trials=trials)


@pytest.fixture(scope="module")
def exported(spoilt, asked, base_dir, trials, tmp_path_factory):
    """Weights at a strength that was chosen; read only."""
    folder = tmp_path_factory.mktemp("exported")
    return folder, export(spoilt, asked, folder, base_dir, trials)


def test_what_spoils_the_model_is_not_chosen(exported):
    folder, figures = exported
    about = json.loads((folder / "strengths.json").read_text())
    weak, strong = about["rows"]
    assert (weak["strength"], strong["strength"]) == (WEAK, STRONG)
    assert weak["retention"] >= 0.9 > strong["retention"]
    assert figures["strength"] == about["strength"] == WEAK and figures["strengths_tried"] == 2
    assert json.loads((folder / "weights.json").read_text())["strength"] == WEAK
    assert check_strength(folder).passed
    for name in ("strengths.png", "strengths.webp"):
        with Image.open(folder / name) as image:
            image.load()


@pytest.mark.parametrize("strength", [WEAK, STRONG])
def test_what_is_measured_is_what_the_gallery_and_the_report_of_that_strength_find(
    strength, exported, spoilt, asked, base_dir, trials, tmp_path
):
    export(spoilt, asked, tmp_path / "pruned", base_dir, trials, strength=strength)
    settings = SAMPLING | {"scheduler": SCHEDULER, "batch_size": BATCH_SIZE, "size_px": SIDE_PX, "sizes": []}
    settings |= {"works_at": "partition", "side_prompts": 0}
    places = [tmp_path / "pruned", *asked, tmp_path / "gallery"]
    figures = sample_gallery(*places, base_model=str(base_dir), **settings)
    report = report_forgetting(
        tmp_path / "gallery", None, tmp_path, judge=trials.judge, text_judge="", min_retention=0.9
    )
    rows = json.loads((exported[0] / "strengths.json").read_text())["rows"]
    measured = next(each for each in rows if each["strength"] == strength)
    assert measured["retention"] == report["retention"]
    assert measured["base_recognised"] == report["base_recognised"]
    assert measured["species_recognised"] == figures["species_recognised"]
    species = json.loads((tmp_path / "gallery/recognition.json").read_text())["species"]
    assert measured["species_likeness"] == round(float(np.mean([one["similarity"] for one in species])), 4)


def test_a_killed_choice_goes_on_with_the_strengths_that_were_tried(
    exported, spoilt, asked, base_dir, trials, tmp_path
):
    folder = tmp_path / "pruned"
    folder.mkdir()
    places = [str(path) for path in (spoilt, *asked, folder)]
    arguments = [*places, str(base_dir), json.dumps(asdict(trials))]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    tried = list((folder / ".strengths").glob("*.json"))
    assert len(tried) == 1
    before_ns = tried[0].stat().st_mtime_ns
    export(spoilt, asked, folder, base_dir, trials)
    assert tried[0].stat().st_mtime_ns == before_ns
    assert hash_files(folder) == hash_files(exported[0])


def test_a_given_strength_is_taken_and_nothing_is_measured(spoilt, base_dir, trials, tmp_path):
    figures = export(spoilt, (None, None), tmp_path / "pruned", base_dir, trials, strength=0.3)
    assert figures["strength"] == 0.3 and not (tmp_path / "pruned/strengths.json").exists()
    verdict = check_strength(tmp_path / "pruned")
    assert verdict.passed and "0.3 was given" in verdict.finding


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param({"min_retention": 1.5}, "None keeps enough", id="none keeps enough"),
        pytest.param({"min_retention": 0.0}, None, id="another is better"),
    ],
)
def test_a_strength_that_the_table_does_not_bear_out_is_found(exported, tmp_path, change, finding):
    shutil.copytree(exported[0], tmp_path / "pruned")
    about = json.loads((tmp_path / "pruned/strengths.json").read_text()) | change
    about["rows"][1]["species_recognised"] = 1.1
    (tmp_path / "pruned/strengths.json").write_text(json.dumps(about))
    verdict = check_strength(tmp_path / "pruned")
    assert not verdict.passed and (finding or "But 0.01 was taken") in verdict.finding


def test_a_base_model_that_knows_nothing_leaves_no_choice(spoilt, asked, base_dir, trials, tmp_path):
    """Of pictures without meaning the shipped judge recognises none."""
    blind = Trials(**asdict(trials) | {"judge": "pocket", "strengths": [WEAK]})
    with pytest.raises(InputError, match="none of the base model's 6 control pictures is recognised"):
        export(spoilt, asked, tmp_path / "pruned", base_dir, blind)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strengths": []}, "there are no strengths to try"),
        ({"strengths": [0.5, 1.2], "controls": 0}, "1.2 is not above 0 and at most 1; controls is 0"),
    ],
)
def test_trials_that_cannot_be_are_refused(change, message, spoilt, asked, base_dir, trials, tmp_path):
    with pytest.raises(InputError, match=message):
        export(spoilt, asked, tmp_path / "pruned", base_dir, Trials(**asdict(trials) | change))


def test_another_base_model_is_refused_before_anything_is_drawn(spoilt, asked, trials, tmp_path):
    from fungal_assets.pocket.architecture import build_pipeline

    build_pipeline("tiny", seed=1).save_pretrained(tmp_path / "other")
    with pytest.raises(ProvenanceError, match="tuned on base model 'tiny'"):
        export(spoilt, asked, tmp_path / "pruned", tmp_path / "other", trials)
    assert not (tmp_path / "pruned/.strengths").exists()
