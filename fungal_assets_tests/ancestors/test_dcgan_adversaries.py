"""One step of both networks: what each is moved by, what stays, and the average."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from fungal_assets.ancestors.dcgan_adversaries import Adversaries, _discriminator_loss
from fungal_assets_tests.ancestors.dcgan_world import RECIPE, SIDE_PX

CPU = torch.device("cpu")


def real(count=4, seed=0):
    return torch.rand(count, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def adversaries(**given):
    return Adversaries(dataclasses.replace(RECIPE, **given), SIDE_PX, CPU)


def test_real_and_drawn_pictures_are_changed_alike():
    pair = adversaries(has_spectral_norm=False)
    of_real, of_drawn = pair._tell_apart(real(), real(), 0)
    assert torch.allclose(of_real, of_drawn, atol=1e-5), (
        "the same picture is told from itself by its change only"
    )
    others, _ = pair._tell_apart(real(), real(), 1)
    assert not torch.allclose(of_real, others, atol=1e-5)


def test_the_losses_are_the_formulas():
    told = torch.tensor([0.5, -1.0])
    real_is_one = F.binary_cross_entropy(told.sigmoid(), torch.ones(2))
    drawn_is_none = F.binary_cross_entropy(told.sigmoid(), torch.zeros(2))
    assert torch.allclose(_discriminator_loss("logistic", told, told), real_is_one + drawn_is_none)
    hinge = (0.5 + 2.0) / 2 + (1.5 + 0.0) / 2
    assert _discriminator_loss("hinge", told, told).item() == pytest.approx(hinge)


def test_a_step_moves_both_networks():
    pair = adversaries(loss="logistic")
    before = {name: value.clone() for name, value in pair.tensors().items()}
    pair.step(real())
    moved = {
        name for name, value in pair.tensors().items() if not torch.equal(value, before.get(name, value))
    }
    learning = {f"weights.generator.{name}" for name, _ in pair.generator.named_parameters()}
    learning |= {f"weights.discriminator.{name}" for name, _ in pair.discriminator.named_parameters()}
    assert learning <= moved and pair.steps == 1


def test_the_generators_half_adds_nothing_to_the_discriminators_gradients():
    pair = adversaries()
    pair.step(real())
    tensors = pair.tensors()
    for name, parameter in pair.discriminator.named_parameters():
        first_mean = tensors[f"exp_avg.discriminator.{name}"] / (1 - 0.5)
        assert parameter.requires_grad and torch.allclose(parameter.grad, first_mean, rtol=1e-4, atol=1e-7)


def test_the_average_follows_the_weights_by_its_decay():
    pair = adversaries(ema_decay=0.5)
    name, expected = (
        "layers.0.weight",
        dict(pair.generator.named_parameters())["layers.0.weight"].detach().clone(),
    )
    for step in range(8):
        pair.step(real(seed=step))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * pair.generator.state_dict()[name]
    assert torch.allclose(pair.averaged()[name], expected, atol=1e-6)
    assert not torch.allclose(pair.averaged()[name], pair.generator.state_dict()[name], atol=1e-6)


def test_without_an_average_the_weights_themselves_are_kept():
    pair = adversaries(ema_decay=0.0)
    pair.step(real())
    assert all(
        torch.equal(value, pair.generator.state_dict()[name]) for name, value in pair.averaged().items()
    )


@pytest.mark.parametrize("has_spectral_norm", [True, False])
def test_what_is_put_back_goes_on_bit_by_bit(has_spectral_norm):
    first = adversaries(has_spectral_norm=has_spectral_norm)
    first.step(real())
    kept = {name: value.detach().clone() for name, value in first.tensors().items()}
    second = adversaries(has_spectral_norm=has_spectral_norm)
    second.load(kept)
    for pair in (first, second):
        pair.step(real(seed=1))
    found = second.tensors()
    assert all(torch.equal(value, found[name]) for name, value in first.tensors().items())


def test_a_step_that_breaks_off_is_no_whole_one():
    pair = adversaries()
    with pytest.raises(RuntimeError):
        pair.step(torch.zeros(4, 3, 8, 8))
    assert not pair.is_whole and pair.steps == 0
