import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fungal_assets.errors import InputError
from fungal_assets.forms import distillation
from fungal_assets.forms.directions import mix
from fungal_assets.forms.distillation import Recipe, backdrop_behind, distill, timestep_span
from fungal_assets.forms.fitting import fit_views
from fungal_assets.forms.views import BARE, word_shares
from fungal_assets.forms.volume import Camera, Volume, render
from fungal_assets_tests.forms.shapes import trace_toadstool

LATENT_PX = 16


def _pool(pictures):
    return 2 * F.adaptive_avg_pool2d(pictures, LATENT_PX) - 1


class ExactGuide:
    """The exact denoiser of a world that holds nothing but views of one toadstool on plain grounds.

    For clean pictures y_i it is eps = (x_t - sqrt(ab) E[y | x_t]) / sqrt(1 - ab), with the posterior of y_i in
    proportion to exp(-|x_t - sqrt(ab) y_i|^2 / 2 (1 - ab)). It is told nothing of the camera.
    """

    def __init__(self):
        self.alpha_bars = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)
        heights = (3, 8, 13, 19, 30, 42, 55, 68)
        views = [trace_toadstool(Camera(0, e, fov_deg=f), 32, 2) for e in heights for f in (26, 29, 32)]
        self.rgb = F.adaptive_avg_pool2d(torch.stack([rgb for rgb, _ in views]), LATENT_PX)
        self.alpha = F.adaptive_avg_pool2d(torch.stack([alpha for _, alpha in views])[:, None], LATENT_PX)
        self.unconditional, self.latent_shape = torch.zeros(1, 1, 1), (3, LATENT_PX, LATENT_PX)

    def to_latents(self, pictures):
        self.ground = pictures[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].mean(-1).detach()
        return _pool(pictures)

    def predict_noise(self, x_t, timesteps, embeddings):
        alpha_bar = self.alpha_bars[timesteps][:, None, None, None]
        ground = self.ground.repeat(len(x_t) // len(self.ground), 1)
        world = self.rgb[None] + (1 - self.alpha)[None] * ground[:, None, :, None, None]
        world = 2 * world - 1
        gaps = (x_t[:, None] - alpha_bar[:, None].sqrt() * world).square().sum((2, 3, 4))
        posterior = torch.softmax(-gaps / (2 * (1 - alpha_bar[:, :, 0, 0])), 1)
        clean = (posterior[:, :, None, None, None] * world).sum(1)
        return (x_t - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()


RECIPE = Recipe(
    iterations=160,
    grid_size=32,
    view_size_px=32,
    views_per_step=2,
    guidance_scale=1.0,
    grounds=(0.1, 0.9),
    seed=3,
    guide_weight=0.02,
)
TEXTS = [{BARE: torch.zeros(1, 1)}] * 2


def _psnr(volume, cameras, size_px=32):
    gaps = []
    for camera in cameras:
        rgb, alpha = trace_toadstool(camera, size_px)
        view = render(volume, camera, size_px)
        gaps += [(view.rgb - rgb).square().mean(), (view.alpha - alpha).square().mean()]
    return -10 * math.log10(float(torch.stack(gaps).mean()))


def test_edges_and_colours_learn_at_their_own_rates():
    """Adam's first step is as long as its learning rate wherever there is a gradient."""
    first = Volume(torch.zeros(16, 16, 16), torch.zeros(3, 16, 16, 16))
    recipe = replace(RECIPE, iterations=1, grid_size=16, density_rate=0.2, colour_rate=0.003)
    grown = distill(ExactGuide(), TEXTS, recipe, first=first)
    assert float(grown.density.abs().max()) == pytest.approx(0.2, rel=0.01)
    assert float(grown.colour.abs().max()) == pytest.approx(0.003, rel=0.01)


def test_the_exact_denoiser_of_a_toadstool_grows_that_toadstool():
    volume = distill(ExactGuide(), TEXTS, RECIPE)
    cameras = [Camera(20, 5), Camera(140, 20), Camera(250, 0)]
    assert _psnr(volume, cameras) >= 19


def test_a_volume_can_be_fitted_to_views_of_a_known_shape():
    cameras = [Camera(360 * i / 12, (-5, 15, 40)[i % 3]) for i in range(12)]
    truths = [trace_toadstool(camera, 48) for camera in cameras]
    views = [torch.cat([rgb, alpha[None]]) for rgb, alpha in truths]
    volume = fit_views(views, cameras, grids=(16, 24, 48), steps=(10, 60, 60))
    assert _psnr(volume, [Camera(45, 5), Camera(110, 25), Camera(290, 10)], 48) >= 24


def _short(**changes):
    return Recipe(**{**RECIPE.__dict__, "iterations": 8, "grid_size": 16, "view_size_px": 16} | changes)


def _killed_after(step, recipe, path):
    def stop(done, _figures):
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(ExactGuide(), TEXTS, recipe, resume_path=path, save_every_s=0, on_step=stop)


@pytest.mark.parametrize("step", [2, 4, 5, 7])
def test_a_killed_run_that_goes_on_ends_as_an_unbroken_one(tmp_path, step):
    unbroken = distill(ExactGuide(), TEXTS, _short())
    _killed_after(step, _short(), tmp_path / "state")
    told = []
    resumed = distill(
        ExactGuide(),
        TEXTS,
        _short(),
        resume_path=tmp_path / "state",
        on_step=lambda done, _: told.append(done - 1),
    )
    assert told[0] == step
    assert torch.equal(resumed.density, unbroken.density)
    assert torch.equal(resumed.colour, unbroken.colour)


@pytest.mark.parametrize(
    "changes",
    [{"distillation": "ism"}, {"shaded_share": 1.0}, {"shaded_share": 0.5}],
    ids=["ism", "under lamps", "now and then under a lamp"],
)
def test_every_option_makes_another_form_and_resumes_as_an_unbroken_run(tmp_path, changes):
    recipe = _short(**changes)
    unbroken = distill(ExactGuide(), TEXTS, recipe)
    _killed_after(5, recipe, tmp_path / "state")
    resumed = distill(ExactGuide(), TEXTS, recipe, resume_path=tmp_path / "state")
    assert torch.equal(resumed.density, unbroken.density) and torch.equal(resumed.colour, unbroken.colour)
    assert torch.isfinite(unbroken.density).all() and torch.isfinite(unbroken.colour).all()
    assert not torch.equal(unbroken.density, distill(ExactGuide(), TEXTS, _short()).density)


def test_perp_neg_without_another_view_word_is_score_distillation():
    plain, away = (
        distill(ExactGuide(), TEXTS, _short(distillation=name, views_per_step=1))
        for name in ("sds", "perp_neg")
    )
    assert torch.allclose(plain.density, away.density, atol=1e-4)


def test_lamps_change_no_other_chance(monkeypatch):
    """A lamp that shines on nothing leaves every number as it is."""
    monkeypatch.setattr(distillation, "lit", lambda volume, *_, **__: volume)
    dark, shone_on = (distill(ExactGuide(), TEXTS, _short(shaded_share=share)) for share in (0.0, 1.0))
    assert torch.equal(dark.density, shone_on.density)


def test_while_it_warms_up_the_guide_is_given_normals_and_opacity_and_nothing_is_encoded():
    class Latents(ExactGuide):
        latent_shape = (4, LATENT_PX, LATENT_PX)
        encoded = 0

        def __init__(self):
            super().__init__()
            self.latent_shape = Latents.latent_shape

        def to_latents(self, pictures):
            self.encoded += 1
            return F.pad(super().to_latents(pictures), (0, 0, 0, 0, 0, 1))

        def predict_noise(self, x_t, timesteps, embeddings):
            return torch.zeros_like(x_t)

    guide = Latents()
    distill(guide, TEXTS, _short(warm_up=0.5))
    assert guide.encoded == 4
    state = distillation._optimised(distillation._egg(RECIPE), 0)
    shown = distillation._as_shown(state, Camera(0, 0), _short(warm_up=0.5))
    with torch.no_grad():
        view = render(shown, Camera(0, 0), 32)
    (latents,) = distillation._as_latents([view], (4, 8, 8))
    assert float(latents[3].max()) > float(latents[3].min()) >= -1 and float(latents.max()) <= 1
    with pytest.raises(InputError, match="needs a guide with 4 latent channels, this one has 3"):
        distill(ExactGuide(), TEXTS, _short(warm_up=0.5))


def test_the_state_of_another_recipe_is_not_gone_on_with(tmp_path):
    _killed_after(5, _short(), tmp_path / "state")
    told = []
    distill(
        ExactGuide(),
        TEXTS,
        _short(seed=9),
        resume_path=tmp_path / "state",
        on_step=lambda done, _: told.append(done - 1),
    )
    assert told[0] == 0


def test_another_seed_grows_another_form():
    first, second = (distill(ExactGuide(), TEXTS, _short(seed=seed)) for seed in (1, 2))
    assert not torch.equal(first.density, second.density)


def test_timesteps_fall_from_the_whole_to_the_detail():
    assert timestep_span(0.0) == (860, 940)
    assert timestep_span(1.0) == (20, 100)
    middles = [sum(timestep_span(step / 50)) for step in range(51)]
    assert middles == sorted(middles, reverse=True)


@pytest.mark.parametrize("timestep", [60, 500, 900])
def test_the_guides_pull_is_the_way_to_the_clean_picture_it_sees_at_every_timestep_alike(
    timestep, monkeypatch
):
    """A guide that always sees the same clean latents pulls by the whole difference to them."""
    target, seen = torch.rand(3, LATENT_PX, LATENT_PX), {}

    class Certain(ExactGuide):
        def to_latents(self, pictures):
            seen["latents"] = _pool(pictures).detach().requires_grad_()
            return seen["latents"]

        def predict_noise(self, x_t, timesteps, embeddings):
            alpha_bar = self.alpha_bars[timesteps][:, None, None, None]
            return (x_t - alpha_bar.sqrt() * target) / (1 - alpha_bar).sqrt()

    monkeypatch.setattr(distillation, "timestep_span", lambda *_, **__: (timestep, timestep))
    state = distillation._optimised(distillation._egg(RECIPE), 0)
    cameras = [Camera(0, 10)]
    views = [render(state.volume, camera, 32) for camera in cameras]
    generator = torch.Generator().manual_seed(0)
    distillation._guide_loss(views, cameras, Certain(), TEXTS, (), RECIPE, 0.0, generator).backward()
    expected = seen["latents"].detach() - target
    assert torch.allclose(seen["latents"].grad, expected, rtol=1e-3, atol=1e-4)


def test_most_of_the_noise_is_the_same_at_every_step_and_all_of_it_has_unit_variance():
    latents = torch.zeros(2, 4, 64, 64)
    first, second = (
        distillation._noise(latents, RECIPE, torch.Generator().manual_seed(step)) for step in (1, 2)
    )
    assert torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1] == pytest.approx(
        0.91, abs=0.02
    )
    assert float(first.std()) == pytest.approx(1, abs=0.03)


def test_embeddings_are_mixed_by_the_cameras_shares():
    embeddings = {BARE: torch.zeros(2, 3), "front": torch.ones(2, 3), "side": torch.full((2, 3), 3.0)}
    between, behind = (word_shares(camera, embeddings) for camera in (Camera(45, 0), Camera(180, 0)))
    assert torch.allclose(mix(embeddings, between), torch.full((2, 3), 2.0))
    assert torch.allclose(mix(embeddings, behind), torch.zeros(2, 3))


def test_a_form_stands_before_the_wall_and_on_the_floor_of_its_backdrop():
    backdrop = torch.cat([torch.full((3, 60), 0.1), torch.full((3, 40), 0.7)], 1)
    level, above = (backdrop_behind(Camera(0, elevation_deg), backdrop, 50) for elevation_deg in (10, 60))
    assert level.shape == (3, 50, 50)
    assert float(level[:, :28].max()) == pytest.approx(0.1) and float(level[:, 32:].min()) == pytest.approx(
        0.7
    )
    assert float(above.min()) == pytest.approx(0.7)
