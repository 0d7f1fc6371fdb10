"""Training the pocket model: components whiten, a resumed run is bit-equal, the loss is v's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fungal_assets.pocket import diffusing
from fungal_assets.pocket.architecture import TINY, build_pipeline, build_vae, tokenize
from fungal_assets.pocket.autoencoding import (
    VaeSettings,
    fit_components,
    one_cycle,
    psnr_db,
    to_signed,
    train_vae,
)
from fungal_assets.pocket.diffusing import (
    Corpus,
    DiffusionSettings,
    batch_of,
    draw_steps,
    train_diffusion,
    v_loss,
)


def pictures(count=16):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return small.repeat(16, axis=1).repeat(16, axis=2)


def silent(_):
    pass


def test_components_are_uncorrelated_and_half_whitened_the_largest_first():
    """Each over the fourth root of its variance: variances as the square roots of the patches' own, 1 in the mean."""
    images = pictures(64)
    latents = fit_components(images, count=3)(to_signed(images[::16])).permute(0, 2, 3, 1).reshape(-1, 3)
    patches = F.unfold(to_signed(images[::16]), 8, stride=8).permute(0, 2, 1).reshape(-1, 192)
    roots = torch.linalg.eigvalsh(torch.cov(patches.T)).flip(0)[:3].sqrt()
    torch.testing.assert_close(torch.cov(latents.T), torch.diag(roots / roots.mean()), atol=2e-2, rtol=0)


def test_the_autoencoder_learns_and_goes_on_from_its_checkpoint(tmp_path):
    images = pictures()
    torch.manual_seed(0)
    vae = build_vae(TINY)
    before = psnr_db(vae, images)
    train_vae(vae, images, tmp_path, VaeSettings(steps=30, separate_steps=10), tell=silent)
    assert psnr_db(vae, images) > before + 0.5
    torch.manual_seed(1)
    again = build_vae(TINY)
    train_vae(again, images, tmp_path, VaeSettings(steps=30), tell=silent)
    for one, two in zip(vae.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_diffusion_goes_on_from_its_checkpoint_bit_equal(tmp_path):
    generator = torch.Generator().manual_seed(0)
    corpora = [
        Corpus(
            torch.randn(count, 4, side, side, generator=generator),
            [f"a cap {index}" for index in range(count)],
            torch.ones(count),
        )
        for side, count in ((8, 8), (4, 30), (16, 20))
    ]

    def train(folder, *, breaks_at=None):
        pipeline = build_pipeline("tiny", seed=0)

        def on_checkpoint(step):
            if step == breaks_at:
                raise KeyboardInterrupt

        settings = DiffusionSettings(steps=6, batch_size=2, checkpoint_every=2)
        try:
            train_diffusion(pipeline, corpora, folder, settings, tell=silent, on_checkpoint=on_checkpoint)
        except KeyboardInterrupt:
            return None
        return pipeline

    whole = train(tmp_path / "whole")
    assert train(tmp_path / "broken", breaks_at=4) is None
    resumed = train(tmp_path / "broken")
    for one, two in zip(whole.unet.parameters(), resumed.unet.parameters(), strict=True):
        assert torch.equal(one, two)


def test_every_size_is_learnt_with_its_own_captions_at_its_own_noise(tmp_path, monkeypatch):
    """Each size has one caption of its own; the tokens and the shift of every step are those of its size."""
    captions = {4: "a small cap", 8: "a cap of its size", 16: "a cap twice as large"}
    corpora = [
        Corpus(torch.zeros(3, 4, side, side), [text] * 3, torch.ones(3)) for side, text in captions.items()
    ]
    pipeline, seen, shifts = build_pipeline("tiny", seed=0), [], []

    def record_shift(*given, shift, **options):
        shifts.append(shift)
        return draw_steps(*given, shift=shift, **options)

    def record_loss(model, x_0, tokens, *given, **options):
        seen.append((x_0.shape[-1], tokens))
        return v_loss(model, x_0, tokens, *given, **options)

    monkeypatch.setattr(diffusing, "draw_steps", record_shift)
    monkeypatch.setattr(diffusing, "v_loss", record_loss)
    settings = DiffusionSettings(steps=12, batch_size=2, caption_dropout=0.0, checkpoint_every=12)
    train_diffusion(pipeline, corpora, tmp_path, settings, tell=silent)
    assert {side for side, _ in seen} == {4, 8, 16}
    for (side, tokens), shift in zip(seen, shifts, strict=True):
        assert shift == side / 8
        assert torch.equal(tokens, tokenize(pipeline.tokenizer, [captions[side]] * len(tokens)))


def test_a_step_covers_the_same_area_at_any_size():
    counts = [batch_of(torch.zeros(1, 4, side, side), 32 * 16**2) for side in (8, 16, 32, 256)]
    assert counts == [128, 32, 8, 1]


def test_sizes_are_learnt_as_often_as_their_shares_say(tmp_path):
    """The size that is never drawn would fail: its latents have a channel too many."""
    latents = [torch.randn(8, channels, 8, 8) for channels in (4, 5)]
    corpora = [
        Corpus(latents[0], ["a cap"] * 8, torch.ones(8), share=1.0),
        Corpus(latents[1], ["a cap"] * 8, torch.ones(8), share=0.0),
    ]
    settings = DiffusionSettings(steps=4, batch_size=2, checkpoint_every=4)
    train_diffusion(build_pipeline("tiny", seed=0), corpora, tmp_path / "never", settings, tell=silent)
    corpora[1] = replace(corpora[1], share=1.0)
    with pytest.raises(RuntimeError, match="channels"):
        train_diffusion(build_pipeline("tiny", seed=0), corpora, tmp_path / "often", settings, tell=silent)


def test_a_model_that_knows_v_has_no_loss():
    alphas_bar = torch.linspace(0.99, 0.0, 10)
    x_0 = torch.randn(4, 4, 2, 2, generator=torch.Generator().manual_seed(0))

    class Oracle(torch.nn.Module):
        def forward(self, x_t, t, tokens):
            alpha_bar = alphas_bar[t].view(-1, 1, 1, 1)
            epsilon = (x_t - alpha_bar.sqrt() * x_0) / (1 - alpha_bar).sqrt()
            return alpha_bar.sqrt() * epsilon - (1 - alpha_bar).sqrt() * x_0

    t, generator = torch.tensor([0, 3, 6, 9]), torch.Generator().manual_seed(1)
    assert v_loss(Oracle(), x_0, torch.zeros(4, 1), t, alphas_bar, generator, gamma=5.0) < 1e-8


def test_a_share_of_the_noise_levels_lies_in_the_middle_and_every_level_is_drawn():
    generator = torch.Generator().manual_seed(0)
    uniform, mixed = (draw_steps(100_000, 1000, generator, middle_share=share) for share in (0.0, 0.5))
    for steps, in_the_middle in ((uniform, 0.5), (mixed, (0.5 + 0.7281) / 2)):
        assert int(steps.min()) < 10 and int(steps.max()) > 990
        is_middle = (steps >= 250) & (steps < 750)
        assert float(is_middle.float().mean()) == pytest.approx(in_the_middle, abs=0.01)


@pytest.mark.parametrize("shift, median", [(0.5, 1 / 3), (1.0, 1 / 2), (2.0, 2 / 3)])
def test_a_larger_picture_is_learnt_at_more_noise(shift, median):
    generator = torch.Generator().manual_seed(0)
    steps = draw_steps(100_000, 1000, generator, middle_share=0.5, shift=shift)
    assert float(steps.median()) / 1000 == pytest.approx(median, abs=0.01)
    assert int(steps.min()) >= 0 and int(steps.max()) <= 999


def test_the_learning_rate_rises_stays_and_falls_to_zero():
    rates = [one_cycle(step, 1000) for step in range(1000)]
    assert rates[0] < 0.02 and rates[300] == 1.0 and rates[-1] < 0.01
    assert all(late <= early for early, late in zip(rates[600:], rates[601:], strict=False))
