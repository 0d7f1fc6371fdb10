"""What a run will need is measured before its first step, and refused where it is not there."""

import json

import pytest
import torch

from fungal_assets.diffusion.estimating import (
    PASSING,
    Need,
    Pace,
    count_kept,
    counted,
    foresee,
    refuse_too_much,
    rows_at_once,
)
from fungal_assets.errors import TrainingError
from fungal_assets.profiles import METHODS
from fungal_assets_tests.diffusion.conftest import SETTINGS, UNWATCHED, tune

GB = 10**9
NEED = Need(weights=3 * GB, gradients=2 * GB, optimiser=4 * GB, fixed=0, row=GB)


@pytest.fixture(scope="module")
def loop_by(base_dir):
    """A loop of a method over random latents, and the parts of its model."""
    from functools import partial
    from pathlib import Path

    from fungal_assets.diffusion.base_models import load_pipeline
    from fungal_assets.diffusion.batches import Batches
    from fungal_assets.diffusion.encoding import Choices, EncodedDataset, encode_tokens
    from fungal_assets.diffusion.families import family_of
    from fungal_assets.diffusion.inversion import Words
    from fungal_assets.diffusion.loop import Loop
    from fungal_assets.diffusion.methods import get_method
    from fungal_assets.diffusion.objectives import Objective
    from fungal_assets.diffusion.watching import Watching

    def make(name, batch_size=4, **settings):
        device = torch.device("cpu")
        pipeline = load_pipeline(base_dir, device=device, dtype=torch.float32)
        method = get_method(name, lora_rank=4, vectors_per_species=2)
        parameters = method.attach(pipeline, Words(["golden bonnet"], "mushroom"), seed=0)
        config = pipeline.unet.config
        length = pipeline.tokenizer.model_max_length
        texts = torch.ones(2, length).long()
        if not method.learns_texts:
            texts = torch.randn(2, length, config.cross_attention_dim)
        one = Choices(torch.ones(8).long(), torch.arange(9))
        latents = torch.randn(8, 2, config.in_channels, config.sample_size, config.sample_size)
        encoded = EncodedDataset(latents, one, one, one, ["", "a bonnet"], texts)
        objective = Objective.of(pipeline.scheduler, 5.0, device)
        loop = Loop(
            pipeline.unet,
            parameters,
            Batches(
                encoded=encoded,
                rehearsal=None,
                objective=objective,
                batch_size=batch_size,
                rehearsal_share=0.0,
                class_share=0.0,
                name_share=0.0,
                seed=0,
                device=device,
            ),
            max_steps=4,
            learning_rate=1e-3,
            ema_decay=settings.pop("ema_decay", 0.0),
            states=Path("nowhere"),
            run_key="",
            checkpoint_every_s=1e9,
            watching=Watching(**UNWATCHED),
            predict=family_of(pipeline).predict,
            encode=partial(encode_tokens, pipeline) if method.learns_texts else None,
            **settings,
        )
        return loop, [pipeline.unet, pipeline.vae, pipeline.text_encoder]

    return make


@pytest.mark.parametrize("method", METHODS)
def test_what_is_foreseen_from_two_rows_is_what_autograd_keeps_of_many(method, loop_by):
    loop, parts = loop_by(method)
    need = foresee(loop, parts)
    weights = [param for part in parts for param in part.parameters()]
    assert need.fixed + 7 * need.row == pytest.approx(count_kept(loop, 7, weights), rel=0.01)
    assert need.weights == sum(4 * param.numel() for param in weights)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_and_what_the_optimiser_remembers_are_as_large_as_after_a_step(method, loop_by):
    loop, parts = loop_by(method)
    before = {name: param.detach().clone() for name, param in loop.parameters.items()}
    need = foresee(loop, parts)
    assert all(
        torch.equal(param, before[name]) and param.grad is None for name, param in loop.parameters.items()
    )
    assert not loop.learner.optimiser.state
    loop.losses(loop.batches.probe(0, 2)).mean().backward()
    assert need.gradients == sum(4 * param.grad.numel() for param in loop.parameters.values())
    loop.learner.optimiser.step()
    states = loop.learner.optimiser.state.values()
    remembered = sum(4 * value.numel() for state in states for value in state.values())
    assert need.optimiser == pytest.approx(remembered, rel=0.02)


def test_an_average_counts_as_weights_and_less_is_remembered_in_rows_and_columns(loop_by):
    plain, averaged = (foresee(*loop_by("full", **how)) for how in ({}, {"ema_decay": 0.9}))
    assert averaged.weights - plain.weights == plain.gradients
    factored = foresee(*loop_by("full", optimiser="adafactor"))
    assert factored.optimiser < 0.02 * plain.optimiser


def test_a_step_in_parts_needs_less_for_activations_and_holds_gradients_beside_them(loop_by):
    loop, parts = loop_by("full", batch_size=8, accumulation_steps=4)
    need = foresee(loop, parts)
    assert rows_at_once(loop) == 2
    assert need.more(2) == need.optimiser + need.gradients + need.activations(2)
    free = need.more(5) + need.row // 2
    assert need.rows_in(free) == 5
    assert rows_at_once(loop_by("lora", batch_size=8)[0]) == 8


def test_each_storage_that_autograd_keeps_is_counted_once_and_the_weights_not_at_all():
    weight = torch.ones(8, 8, requires_grad=True)
    x = torch.ones(4, 8, requires_grad=True)
    with counted({weight.untyped_storage().data_ptr()}) as kept:
        y = (x @ weight).exp()
        z = (y * y[:, :4].repeat(1, 2)) * y
    # Kept are x and the weight for the product, y for the rest (thrice), its repeated part, and their product.
    assert sum(kept.values()) == (x.numel() + y.numel() + 2 * z.numel()) * 4


def test_activations_go_as_gradients_come_so_the_larger_of_both_counts():
    assert NEED.more(8) == 4 * GB + round(8 * PASSING * GB)
    assert NEED.more(1) == 4 * GB + 2 * GB


def test_a_run_that_fits_is_let_be_and_the_rows_that_are_named_do_fit():
    refuse_too_much(NEED, 8, NEED.more(8), method="lora")
    free = 9 * GB
    rows = NEED.rows_in(free)
    assert NEED.more(rows) <= free < NEED.more(rows + 1)
    assert NEED.rows_in(5 * GB) == 0


@pytest.mark.parametrize(
    ("method", "free", "message"),
    [
        (
            "full",
            9 * GB,
            "only 9.00 GB are free. Set batch_size to 4 and raise accumulation_steps; or use method 'lora'",
        ),
        (
            "lora",
            9 * GB,
            "Set batch_size to 4 and raise accumulation_steps; or set checkpoints_gradients; or use a smaller",
        ),
        ("lora", GB, "only 1.00 GB are free. Set checkpoints_gradients; or use a smaller resolution"),
    ],
)
def test_a_run_that_cannot_fit_is_refused_with_what_would(method, free, message):
    with pytest.raises(TrainingError, match=message):
        refuse_too_much(NEED, 8, free, method=method)


def test_a_batch_that_no_machine_holds_is_refused_before_the_first_step(
    base_dir, dataset_dir, prompts_dir, tmp_path
):
    settings = SETTINGS | {"batch_size": 10**8}
    with pytest.raises(TrainingError, match="this training cannot fit: .* Set batch_size to [1-9]"):
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    assert not (tmp_path / ".resume").exists()


def test_memory_is_told_before_the_first_step_and_time_after_three(
    base_dir, dataset_dir, prompts_dir, tuned_dir, tmp_path
):
    lines = []
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **SETTINGS, tell=lines.append)
    said = [line.split(":")[0] for line in lines]
    assert said.index("memory on cpu") < said.index("training") < said.index("time")
    record, alone = (json.loads((path / "training.json").read_text()) for path in (tmp_path, tuned_dir))
    assert record == alone


def test_the_time_of_the_rest_is_that_of_its_steps_and_looks():
    told, now_s = [], [0.0]
    pace = Pace(told.append, 100, looks=2, look_s=5.0, clock=lambda: now_s[0])
    for _ in range(5):
        now_s[0] += 0.5
        pace.tick()
    assert told == ["time: a step takes 0.50 s and each of 2 looks 5.0 s, so 100 steps take about 60 s"]
