import json

import pytest
import torch

from fungal_assets.diffusion.objectives import Objective
from fungal_assets.diffusion.rehearsal import WALK_STEPS, rehearsal_prompts, rehearse
from fungal_assets.errors import InputError
from fungal_assets.progress import stay_silent

TEXTS = ["hamburger", "flower", "girl holding a basket"]


def walk(pipeline, texts, cache, seed=0):
    objective = Objective.of(pipeline.scheduler, 5.0, torch.device("cpu"))
    settings = {"objective": objective, "latent_shape": (4, 8, 8), "base_sha256": "b", "seed": seed}
    return rehearse(pipeline, texts, **settings, cache=cache, tell=stay_silent)


def test_every_point_holds_what_the_base_model_says_there(pipeline, tmp_path):
    kept = walk(pipeline, TEXTS, tmp_path)
    assert kept.row_count == len(TEXTS) * WALK_STEPS
    with torch.no_grad():
        for ids, said in (
            (kept.prompt_ids, kept.prompted),
            (torch.zeros_like(kept.prompt_ids), kept.unprompted),
        ):
            answer = pipeline.unet(kept.x_t, kept.timesteps, kept.texts[ids], return_dict=False)[0]
            torch.testing.assert_close(answer, said, rtol=1e-4, atol=1e-5)


def test_a_walk_leads_from_noise_to_little_noise_and_the_last_prediction_fits(pipeline, tmp_path):
    kept = walk(pipeline, TEXTS, tmp_path)
    levels = kept.timesteps.view(WALK_STEPS, len(TEXTS))
    assert (levels[:-1] > levels[1:]).all()
    assert (levels[0] >= 1000 * (1 - 1 / WALK_STEPS) - 1).all() and (levels[-1] <= 1000 / WALK_STEPS).all()
    assert len(set(levels[0].tolist())) == len(TEXTS)


def test_a_prompt_walks_the_same_way_in_any_company(pipeline, tmp_path):
    alone, together = walk(pipeline, TEXTS[:1], tmp_path / "a"), walk(pipeline, TEXTS, tmp_path / "b")
    mine = together.prompt_ids == 1
    assert torch.equal(together.timesteps[mine], alone.timesteps)
    torch.testing.assert_close(together.x_t[mine], alone.x_t, rtol=1e-3, atol=1e-4)


def test_a_second_call_reads_the_cache_and_another_seed_walks_anew(pipeline, tmp_path):
    first = walk(pipeline, TEXTS[:1], tmp_path)
    unused = type("Unused", (), {"scheduler": pipeline.scheduler})
    assert torch.equal(walk(unused, TEXTS[:1], tmp_path).x_t, first.x_t)
    assert not torch.equal(walk(pipeline, TEXTS[:1], tmp_path, seed=1).x_t, first.x_t)


def test_prompts_to_rehearse_come_in_order_and_no_more_than_wanted(prompts_dir):
    assert rehearsal_prompts(prompts_dir, 2) == ["hamburger", "girl holding a basket"]
    assert rehearsal_prompts(prompts_dir, 99) == ["hamburger", "girl holding a basket", "flower"]


def test_prompts_without_controls_are_refused(tmp_path):
    with pytest.raises(InputError, match="prompts.json is missing"):
        rehearsal_prompts(tmp_path, 1)
    (tmp_path / "prompts.json").write_text(json.dumps({"prompts": []}))
    with pytest.raises(InputError, match="no prompt of kind 'rehearsal'"):
        rehearsal_prompts(tmp_path, 1)
