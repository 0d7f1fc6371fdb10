"""The networks: the published sizes, and what bounds the discriminator."""

import pytest
import torch

from fungal_assets.ancestors.dcgan_images import generator_of
from fungal_assets.ancestors.dcgan_models import (
    Discriminator,
    Generator,
    begin,
    count_parameters,
    list_channels,
)
from fungal_assets.ancestors.dcgan_presets import PRESETS, fill_preset
from fungal_assets.errors import InputError


def networks(preset, size_px):
    row = PRESETS[preset]
    has_spectral_norm = row["has_spectral_norm"]
    return (
        Generator(size_px, row["latent_size"], row["width"]),
        Discriminator(size_px, row["width"], has_spectral_norm=has_spectral_norm),
    )


def test_the_tutorials_networks_have_the_published_number_of_parameters():
    assert [count_parameters(each) for each in networks("tutorial", 64)] == [3_576_704, 2_765_568]


def test_channels_double_with_each_halving_up_to_sixteen_times_as_many():
    assert list_channels(64, 64) == [64, 128, 256, 512] and list_channels(128, 8) == [8, 16, 32, 64, 128]
    assert list_channels(512, 8) == [8, 16, 32, 64, 128, 128, 128]


@pytest.mark.parametrize("size_px", [32, 64, 128, 256])
def test_pictures_have_the_size_and_the_range_of_a_tanh_and_one_logit_each(size_px):
    generator, discriminator = networks("small-data", size_px)
    images = generator(torch.randn(2, 100))
    assert images.shape == (2, 3, size_px, size_px) and images.abs().max() <= 1
    assert discriminator(images).shape == (2,)


def test_with_spectral_norm_no_layer_stretches_what_it_is_given():
    generator = generator_of(0, "test", 0)
    discriminator = Discriminator(64, 4, has_spectral_norm=True)
    begin(discriminator, generator)
    for _ in range(30):
        discriminator(torch.rand(1, 3, 64, 64, generator=generator))
    convolutions = [layer for layer in discriminator.layers if isinstance(layer, torch.nn.Conv2d)]
    weights = [layer.weight.flatten(1) for layer in convolutions]
    assert len(weights) == 5
    for weight in weights:
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.05)


def test_weights_begin_as_the_paper_says_and_the_same_by_seed():
    first, second = Generator(64, 16, 16), Generator(64, 16, 16)
    for network in (first, second):
        begin(network, generator_of(7, "test", 0))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    convolutions = torch.cat([each.flatten() for each in first.parameters() if each.dim() > 1])
    scales = torch.cat([layer.weight for layer in first.modules() if isinstance(layer, torch.nn.BatchNorm2d)])
    assert convolutions.std().item() == pytest.approx(0.02, rel=0.02) and convolutions.mean().abs() < 1e-3
    assert scales.mean().item() == pytest.approx(1, abs=0.01)


def test_a_preset_gives_what_is_left_empty_and_an_unknown_one_is_refused():
    filled = fill_preset("tutorial", {"batch_size": None, "width": 8})
    assert filled == {"batch_size": 128, "width": 8}
    with pytest.raises(
        InputError, match=r"dcgan_weights.preset is 'tiny', one of \['tutorial', 'small-data'\]"
    ):
        fill_preset("tiny", {})


def test_the_tutorial_has_its_published_settings():
    row = PRESETS["tutorial"]
    assert (row["batch_size"], row["latent_size"], row["width"]) == (128, 100, 64)
    assert (row["learning_rate"], row["discriminator_rate"], row["loss"]) == (2e-4, 2e-4, "logistic")
    assert not row["augmentation"] and not row["flips"] and not row["has_spectral_norm"]
    assert set(row) == set(PRESETS["small-data"])
