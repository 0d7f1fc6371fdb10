import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.diffusion.base_models import BaseModel, resolve_base_model
from fungal_assets.diffusion.encoding import read_tensors, write_tensors
from fungal_assets.diffusion.objectives import Objective
from fungal_assets.diffusion.rehearsal import (
    WALKS_AT_ONCE,
    Walk,
    read_about,
    read_points,
    rehearse,
    texts_to_rehearse,
    walk_all,
)
from fungal_assets.diffusion.rehearsal_checks import (
    check_pictures_not_blank,
    check_prompts_are_knowledge,
    check_rehearsed_by_its_base,
    check_said_by_the_base,
)
from fungal_assets.diffusion.watching import UNWATCHED
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.progress import stay_silent
from fungal_assets.store import hash_files, hash_folder
from fungal_assets_tests.diffusion.conftest import SETTINGS, SIDE_PX, tune, write_prompts
from fungal_assets_tests.diffusion.conftest import rehearse as rehearsed

TEXTS = ["hamburger", "flower", "girl holding a basket"]
STEPS = 12
HOW = {"works_at": "native", "num_inference_steps": 3, "guidance_scale": 3.0, "size_px": SIDE_PX, "seed": 0}
KILLED = """
import json, os, signal, sys
from pathlib import Path
from fungal_assets.diffusion.rehearsal import rehearse

def die(line):
    if line.startswith("rehearsing prompts: 1"):
        os.kill(os.getpid(), signal.SIGKILL)

prompts, folder, base, how = sys.argv[1:]
rehearse(Path(prompts), Path(folder), base_model=base, tell=die, **json.loads(how))
"""


def walk(pipeline, texts, cache, *, base_sha256="b", **changed):
    objective = Objective.of(pipeline.scheduler, 5.0, torch.device("cpu"))
    how = {"latent_shape": (4, 8, 8), "steps": STEPS, "guidance_scale": 3.0, "seed": 0} | changed
    points, _ = walk_all(
        pipeline, texts, Walk(objective, **how), cache, base_sha256=base_sha256, tell=stay_silent
    )
    return points


@pytest.fixture(scope="module")
def made(base_dir, prompts_dir):
    """A rehearsal of three prompts; read only."""
    return rehearsed(prompts_dir, str(base_dir), 3)


@pytest.fixture
def copied(made, tmp_path):
    """A copy of it, to plant faults in."""
    shutil.copytree(made, tmp_path / "rehearsal")
    return tmp_path / "rehearsal"


@pytest.fixture(scope="module")
def other_base(tmp_path_factory):
    from fungal_assets.pocket.architecture import build_pipeline

    folder = tmp_path_factory.mktemp("other") / "other"
    build_pipeline("tiny", seed=1).save_pretrained(folder)
    return folder


def test_every_point_holds_what_the_base_model_says_there(pipeline, tmp_path):
    kept = walk(pipeline, TEXTS, tmp_path)
    assert kept.row_count == len(TEXTS) * STEPS
    with torch.no_grad():
        for ids, said in (
            (kept.prompt_ids, kept.prompted),
            (torch.zeros_like(kept.prompt_ids), kept.unprompted),
        ):
            answer = pipeline.unet(kept.x_t, kept.timesteps, kept.texts[ids], return_dict=False)[0]
            torch.testing.assert_close(answer, said, rtol=1e-4, atol=1e-5)


def test_a_walk_leads_from_noise_to_little_noise_and_the_last_prediction_fits(pipeline, tmp_path):
    kept = walk(pipeline, TEXTS, tmp_path)
    levels = kept.timesteps.view(STEPS, len(TEXTS))
    assert (levels[:-1] > levels[1:]).all()
    assert (levels[0] >= 1000 * (1 - 1 / STEPS) - 1).all() and (levels[-1] <= 1000 / STEPS).all()
    assert len(set(levels[0].tolist())) == len(TEXTS)


def test_a_prompt_walks_the_same_way_in_any_company(pipeline, tmp_path):
    alone, together = walk(pipeline, TEXTS[:1], tmp_path / "a"), walk(pipeline, TEXTS, tmp_path / "b")
    mine = together.prompt_ids == 1
    assert torch.equal(together.timesteps[mine], alone.timesteps)
    torch.testing.assert_close(together.x_t[mine], alone.x_t, rtol=1e-3, atol=1e-4)


def test_another_seed_walks_anew_also_beside_the_first(pipeline, tmp_path):
    first = walk(pipeline, TEXTS[:1], tmp_path)
    assert torch.equal(walk(pipeline, TEXTS[:1], tmp_path).x_t, first.x_t)
    assert not torch.equal(walk(pipeline, TEXTS[:1], tmp_path, seed=1).x_t, first.x_t)


@pytest.mark.parametrize(
    "changed",
    [{"guidance_scale": 2.0}, {"steps": 3}, {"latent_shape": (4, 4, 4)}, {"seed": 1}, {"base_sha256": "c"}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_decides_a_walk_is_in_its_name(changed, pipeline, tmp_path):
    walk(pipeline, TEXTS[:1], tmp_path)
    walk(pipeline, TEXTS[:1], tmp_path, **changed)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_picture_is_where_its_walk_ends(made, pipeline, base_dir):
    """Decoded by hand from the last point: the guided prediction's clean latents."""
    kept = read_points(made, resolve_base_model(str(base_dir)))
    last = (kept.prompt_ids == 2).nonzero().flatten()[-1]
    one = slice(last, last + 1)
    guided = kept.unprompted[one] + 3.0 * (kept.prompted[one] - kept.unprompted[one])
    objective = Objective.of(pipeline.scheduler, 0.0, torch.device("cpu"))
    clean, _ = objective.split(kept.x_t[one], guided, kept.timesteps[one])
    with torch.no_grad():
        pixels = pipeline.vae.decode(clean / pipeline.vae.config.scaling_factor).sample[0]
    expected = ((pixels / 2 + 0.5).clamp(0, 1) * 255).permute(1, 2, 0).numpy()
    row = read_about(made)["prompts"][1]
    assert row["text"] == "girl holding a basket"
    with Image.open(made / row["picture"]) as image:
        assert image.size == (SIDE_PX, SIDE_PX)
        assert np.abs(np.asarray(image, np.float32) - expected).max() <= 1.0


def test_a_killed_rehearsal_goes_on_and_ends_bit_equal(base_dir, tmp_path):
    prompts = write_prompts(tmp_path / "prompts")
    rows = [{"kind": "rehearsal", "text": f"thing {number}"} for number in range(WALKS_AT_ONCE + 2)]
    (prompts / "prompts.json").write_text(json.dumps({"prompts": rows}))
    how = HOW | {"rehearsal_prompts": len(rows)}
    places = [str(path) for path in (prompts, tmp_path / "killed", base_dir)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *places, json.dumps(how)], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    walked = list((tmp_path / "killed/.walks").iterdir())
    assert len(walked) == 1 and not (tmp_path / "killed/rehearsal.json").exists()
    before_s = walked[0].stat().st_mtime_ns
    for name in ("killed", "whole"):
        rehearse(prompts, tmp_path / name, base_model=str(base_dir), **how)
    assert walked[0].stat().st_mtime_ns == before_s, "what was walked is not walked again"
    assert hash_files(tmp_path / "killed") == hash_files(tmp_path / "whole")


def test_what_is_kept_says_whose_it_is(made, base_dir):
    about = read_about(made)
    assert about["base_model"] == {"id": "tiny", "sha256": hash_folder(base_dir)}
    assert [row["text"] for row in about["prompts"]] == ["hamburger", "girl holding a basket", "flower"]
    assert (made / "rehearsal.webp").is_file() and about["latent_shape"] == [4, 8, 8]


def test_the_rehearsal_of_another_base_model_is_refused_with_both_hashes(
    made, dataset_dir, other_base, tmp_path
):
    from fungal_assets.diffusion import training

    settings = {name: SETTINGS[name] for name in SETTINGS.keys() - {"method", "rehearsal_prompts"}}
    every_s = settings.pop("checkpoint_every_s")
    both = f"{read_about(made)['base_model']['sha256']}.*{hash_folder(other_base)}"
    with pytest.raises(ProvenanceError, match=both):
        training.tune(
            dataset_dir,
            made,
            tmp_path,
            method="lora",
            base_model=str(other_base),
            recipe=training.Recipe(**settings),
            watching=UNWATCHED,
            checkpoint_every_s=every_s,
        )
    left = [path.name for path in tmp_path.iterdir()]
    assert left == [training.MANIFEST_NAME], "refused before anything is encoded"


def test_a_rehearsal_of_another_size_is_refused(base_dir, dataset_dir, prompts_dir, tmp_path):
    from fungal_assets.diffusion import training

    large = {**HOW, "works_at": "partition", "size_px": 2 * SIDE_PX, "rehearsal_prompts": 1}
    rehearse(prompts_dir, tmp_path / "large", base_model=str(base_dir), **large)
    settings = {name: SETTINGS[name] for name in SETTINGS.keys() - {"method", "rehearsal_prompts"}}
    every_s = settings.pop("checkpoint_every_s")
    with pytest.raises(InputError, match=r"\(4, 16, 16\) and those of the pictures .* \(4, 8, 8\)"):
        training.tune(
            dataset_dir,
            tmp_path / "large",
            tmp_path / "tuned",
            method="lora",
            base_model=str(base_dir),
            recipe=training.Recipe(**settings),
            watching=UNWATCHED,
            checkpoint_every_s=every_s,
        )


def test_at_the_native_size_every_partition_rehearses_the_same(base_dir, prompts_dir, tmp_path):
    few = {**HOW, "rehearsal_prompts": 1}
    for name, size_px in (("own", SIDE_PX), ("large", 2 * SIDE_PX)):
        rehearse(prompts_dir, tmp_path / name, base_model=str(base_dir), **few | {"size_px": size_px})
    own, large = (read_about(tmp_path / name) for name in ("own", "large"))
    assert own == large and own["latent_shape"] == [4, SIDE_PX // 8, SIDE_PX // 8]


def test_prompts_to_rehearse_come_in_order_and_no_more_than_wanted(prompts_dir):
    assert texts_to_rehearse(prompts_dir, 2) == ["hamburger", "girl holding a basket"]
    assert texts_to_rehearse(prompts_dir, 99) == ["hamburger", "girl holding a basket", "flower"]


def test_prompts_without_controls_are_refused(tmp_path):
    with pytest.raises(InputError, match="prompts.json is missing"):
        texts_to_rehearse(tmp_path, 1)
    (tmp_path / "prompts.json").write_text(json.dumps({"prompts": []}))
    with pytest.raises(InputError, match="0 prompts of kind 'rehearsal' and 1 are to be rehearsed"):
        texts_to_rehearse(tmp_path, 1)


def test_the_base_model_says_it_again_and_another_does_not(copied, base_dir, other_base):
    verdict = check_said_by_the_base(copied, base_model=str(base_dir))
    assert verdict.passed and verdict.figures["difference"] < 1e-4
    about = read_about(copied)
    about["base_model"] = resolve_base_model(str(other_base)).as_json()
    (copied / "rehearsal.json").write_text(json.dumps(about))
    forged = check_said_by_the_base(copied, base_model=str(other_base))
    assert not forged.passed and "Grow rehearsal again" in forged.finding


def test_predictions_that_are_no_numbers_do_not_pass(copied, base_dir):
    tensors = read_tensors(copied / "rehearsal.safetensors")
    tensors["prompted"] = torch.full_like(tensors["prompted"], float("nan"))
    write_tensors(copied / "rehearsal.safetensors", tensors)
    assert not check_said_by_the_base(copied, base_model=str(base_dir)).passed


def test_a_blank_picture_is_named(copied):
    row = read_about(copied)["prompts"][2]
    rng = np.random.default_rng(0)
    for other in read_about(copied)["prompts"]:
        Image.fromarray(rng.integers(0, 255, (SIDE_PX, SIDE_PX, 3), np.uint8)).save(copied / other["picture"])
    assert check_pictures_not_blank(copied).passed
    Image.new("RGB", (SIDE_PX, SIDE_PX), "white").save(copied / row["picture"])
    verdict = check_pictures_not_blank(copied)
    assert not verdict.passed and "['flower']" in verdict.finding


@pytest.mark.parametrize(
    ("texts", "added", "fault"),
    [
        pytest.param(None, {"kind": "control", "text": "Flower"}, "'flower' is measured too", id="measured"),
        pytest.param(
            ["hamburger on an amber bonnet", "girl holding a basket", "flower"],
            {"kind": "species", "prompt_id": "species-amber-bonnet", "text": "a photo of an amber bonnet"},
            "says the species 'amber bonnet'",
            id="a species",
        ),
        pytest.param(
            ["flower"], {"kind": "control", "text": "x"}, "are not the first of", id="other prompts"
        ),
    ],
)
def test_prompts_that_should_not_be_rehearsed_are_found(copied, tmp_path, texts, added, fault):
    about = read_about(copied)
    rows = [{"kind": "rehearsal", "text": row["text"]} for row in about["prompts"]]
    (tmp_path / "prompts.json").write_text(json.dumps({"prompts": rows}))
    assert check_prompts_are_knowledge(copied, tmp_path).passed
    if texts and len(texts) == len(rows):
        rows = [{"kind": "rehearsal", "text": text} for text in texts]
    (tmp_path / "prompts.json").write_text(json.dumps({"prompts": [*rows, added]}))
    if texts:
        about["prompts"] = [row | {"text": text} for row, text in zip(about["prompts"], texts, strict=False)]
        (copied / "rehearsal.json").write_text(json.dumps(about))
    verdict = check_prompts_are_knowledge(copied, tmp_path)
    assert not verdict.passed and fault in verdict.finding


def test_a_species_within_another_word_is_none(copied, tmp_path):
    rows = [{"kind": "rehearsal", "text": row["text"]} for row in read_about(copied)["prompts"]]
    rows += [{"kind": "species", "prompt_id": "species-burger", "text": "a photo of a burger"}]
    (tmp_path / "prompts.json").write_text(json.dumps({"prompts": rows}))
    assert check_prompts_are_knowledge(copied, tmp_path).passed


def test_weights_name_the_rehearsal_that_held_them(tuned_by, prompts_dir, base_dir, copied):
    own, tuned = rehearsed(prompts_dir, str(base_dir), SETTINGS["rehearsal_prompts"]), tuned_by("lora")
    assert check_rehearsed_by_its_base(tuned, own).passed
    other = check_rehearsed_by_its_base(tuned, copied)
    assert not other.passed and "the points of the weights is" in other.finding
    assert not check_rehearsed_by_its_base(tuned, None).passed
    assert check_rehearsed_by_its_base(tuned_by("textual_inversion"), None).passed


def test_nothing_is_read_where_nothing_is_to_be_rehearsed(base_dir, dataset_dir, prompts_dir, tmp_path):
    settings = SETTINGS | {"rehearsal_share": 0.0, "max_steps": 4}
    figures = tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    assert figures["rehearsal_points"] == 0
    assert json.loads((tmp_path / "training.json").read_text())["rehearsal_sha256"] is None


def test_points_are_those_of_the_hash_that_is_told(made):
    from fungal_assets.store import hash_file

    assert read_about(made)["points_sha256"] == hash_file(made / "rehearsal.safetensors")
    with pytest.raises(ProvenanceError, match="0000"):
        read_points(made, BaseModel("x", "x", None, "0" * 64))
