import pytest
import torch

from fungal_assets.diffusion.objectives import Objective, learning_rate_at, stratified_steps
from fungal_assets.errors import InputError
from fungal_assets.pocket.architecture import build_scheduler

CPU = torch.device("cpu")


def objective(kind: str, gamma: float = 5.0) -> Objective:
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=kind
    )
    return Objective.of(scheduler, gamma, CPU)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_splitting_a_perfect_prediction_gives_back_latents_and_noise(kind):
    x_0, e = torch.randn(2, 5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0, 100, 400, 700, 999])
    chosen = objective(kind)
    found = chosen.split(chosen.noised(x_0, e, t), chosen.target(x_0, e, t), t)
    torch.testing.assert_close(found[0], x_0, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found[1], e, rtol=1e-3, atol=1e-4)


def test_noise_and_velocity_agree_with_diffusers():
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(prediction_type="v_prediction")
    chosen = Objective.of(scheduler, 5.0, CPU)
    x_0, e = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([3, 500, 980])
    torch.testing.assert_close(chosen.noised(x_0, e, t), scheduler.add_noise(x_0, e, t))
    torch.testing.assert_close(chosen.target(x_0, e, t), scheduler.get_velocity(x_0, e, t))


def test_min_snr_weighs_noisy_levels_fully_and_clean_ones_by_gamma_over_snr():
    chosen = objective("epsilon")
    snr = chosen.alpha_bar / (1 - chosen.alpha_bar)
    weight = chosen.weight(torch.arange(chosen.steps))
    torch.testing.assert_close(weight[snr < 5], torch.ones_like(weight[snr < 5]))
    torch.testing.assert_close(weight[snr > 5], 5 / snr[snr > 5])


def test_a_schedule_that_ends_in_pure_noise_still_counts_there():
    chosen = Objective.of(build_scheduler(), 5.0, CPU)
    assert chosen.alpha_bar[-1] < 1e-6
    assert chosen.weight(torch.tensor([chosen.steps - 1])) == 1


def test_gamma_zero_weighs_all_levels_alike():
    assert (objective("v_prediction", 0.0).weight(torch.arange(1000)) == 1).all()


def test_another_prediction_type_is_refused():
    with pytest.raises(InputError, match="prediction_type 'sample'"):
        objective("sample")


def test_stratified_steps_take_one_level_from_each_part():
    drawn = stratified_steps(8, 1000, torch.Generator().manual_seed(0))
    assert sorted((drawn // 125).tolist()) == list(range(8))
    assert drawn.tolist() != sorted(drawn.tolist())


def test_the_learning_rate_warms_up_to_its_peak_and_falls_to_a_tenth():
    rates = [learning_rate_at(step, peak=1.0, steps=100) for step in range(101)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
