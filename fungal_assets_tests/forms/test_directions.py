import math

import pytest
import torch

from fungal_assets.errors import InputError
from fungal_assets.forms.directions import (
    IntervalScoreMatching,
    PerpNeg,
    ScoreDistillation,
    ViewText,
    ddim_step,
    direction_of,
    perpendicular,
)
from fungal_assets.forms.views import BARE

SHAPE = (3, 4, 4)
TIMES = torch.tensor([120, 640])


class Believer:
    """A guide that sees one clean picture whatever is noised: its text's number is the picture's.

    Text 0 is no prompt. `believes_all` makes it take what it is shown without a prompt for clean: eps = 0.
    """

    def __init__(self, *, believes_all=False):
        self.alpha_bars = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0).double()
        self.unconditional = torch.zeros(1, 1, 1, dtype=torch.double)
        self.cleans = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(5), dtype=torch.double)
        self.believes_all = believes_all
        self.looks = 0

    def predict_noise(self, x_t, timesteps, embeddings):
        self.looks += len(x_t)
        alpha_bar = self.alpha_bars[timesteps][:, None, None, None]
        number = embeddings[:, 0, 0].long()
        eps = (x_t - alpha_bar.sqrt() * self.cleans[number]) / (1 - alpha_bar).sqrt()
        return torch.where((number == 0)[:, None, None, None] & self.believes_all, 0.0, eps)


def _text(number):
    return torch.full((1, 1), float(number), dtype=torch.double)


def _noise(seed=1):
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def _pull(guide, direction):
    """The direction with the loop's weight: how far the latents are from where they are led."""
    alpha_bar = guide.alpha_bars[TIMES][:, None, None, None]
    return direction * ((1 - alpha_bar) / alpha_bar).sqrt()


def test_score_distillation_leads_to_what_the_guide_sees_and_by_its_scale_away_from_what_it_sees_without():
    guide, latents = Believer(), _noise(2)
    led = ScoreDistillation(3.0)(guide, latents, TIMES, _noise(), [ViewText(_text(1)), ViewText(_text(2))])
    seen, bare = guide.cleans[[1, 2]], guide.cleans[0]
    assert torch.allclose(_pull(guide, led), latents - (bare + 3 * (seen - bare)))
    assert guide.looks == 4


def test_interval_score_matching_is_what_the_prompt_changes_and_no_noise_matters():
    """Of a guide that is certain of u without a prompt and of c with it, it is s (u - c), wherever the latents are."""
    guide = Believer()
    texts = [ViewText(_text(1)), ViewText(_text(2))]
    led = [
        IntervalScoreMatching(7.5)(guide, latents, TIMES, noise, texts)
        for latents, noise in ((_noise(2), _noise(3)), (_noise(4), _noise(5)))
    ]
    expected = 7.5 * (guide.cleans[0] - guide.cleans[[1, 2]])
    for one in led:
        assert torch.allclose(_pull(guide, one), expected, atol=1e-6)


def test_interval_score_matching_leads_a_picture_that_is_believed_to_the_one_that_is_asked_for():
    guide, latents = Believer(believes_all=True), _noise(2)
    led = IntervalScoreMatching(1.0)(guide, latents, TIMES, _noise(), [ViewText(_text(3))] * 2)
    assert torch.allclose(_pull(guide, led), latents - guide.cleans[3])


def test_interval_score_matching_is_nothing_where_the_prompt_changes_nothing():
    guide = Believer()
    led = IntervalScoreMatching(7.5)(guide, _noise(2), TIMES, _noise(), [ViewText(_text(0))] * 2)
    assert float(led.abs().max()) < 1e-9


@pytest.mark.parametrize(("stride", "steps"), [(1.0, 1), (0.2, 3), (0.1, 6)])
def test_a_shorter_stride_takes_more_steps_of_inversion(stride, steps):
    guide = Believer()
    IntervalScoreMatching(7.5, stride=stride)(guide, _noise(2), TIMES, _noise(), [ViewText(_text(1))] * 2)
    assert guide.looks == 2 * (steps + 1) + 4


def test_a_step_of_ddim_up_and_down_again_with_the_same_noise_is_the_way_back():
    x, eps = _noise(1), _noise(2)
    low, high = torch.tensor([0.9, 0.7]).double(), torch.tensor([0.3, 0.1]).double()
    assert torch.allclose(ddim_step(ddim_step(x, eps, low, high), eps, high, low), x)
    assert torch.allclose(ddim_step(x, eps, torch.ones(2).double(), low), torch.stack(
        [math.sqrt(a) * one + math.sqrt(1 - a) * e for a, one, e in zip((0.9, 0.7), x, eps, strict=True)]
    ))  # fmt: skip


def test_the_perpendicular_part_is_orthogonal_and_the_rest_is_along():
    vector, axis = _noise(1)[0], _noise(2)[0]
    across = perpendicular(vector, axis)
    assert abs(float((across * axis).sum())) < 1e-9
    rest = vector - across
    assert torch.allclose(rest * axis.norm() ** 2, (rest * axis).sum() * axis)


def test_perp_neg_leads_away_only_across_the_wanted_way():
    """Along the wanted way it is score distillation; across it, the weighted perpendicular parts of the others."""
    guide, latents, noise = Believer(), _noise(2), _noise()
    texts = [ViewText(_text(1), ((_text(2), -0.7), (_text(3), -0.2))), ViewText(_text(2))]
    led = PerpNeg(3.0)(guide, latents, TIMES, noise, texts)
    assert guide.looks == 2 + 2 + 2
    plain = ScoreDistillation(3.0)(guide, latents, TIMES, noise, texts)
    assert torch.allclose(led[1], plain[1])
    alpha_bar = guide.alpha_bars[TIMES[0]]
    ways = [-(alpha_bar / (1 - alpha_bar)).sqrt() * (guide.cleans[n] - guide.cleans[0]) for n in (1, 2, 3)]
    across = -0.7 * perpendicular(ways[1], ways[0]) - 0.2 * perpendicular(ways[2], ways[0])
    assert torch.allclose(led[0] - plain[0], 3 * across)
    assert abs(float(((led[0] - plain[0]) * ways[0]).sum())) < 1e-6


def test_a_view_is_led_away_from_every_other_view_word_once_and_less_from_half_its_own():
    side = _text(1)
    embeddings = {BARE: _text(0), "front": side, "side": side.clone(), "above": _text(2), "below": _text(3)}
    text = PerpNeg(3.0, strength=2.0, decay=3.0).text_of(embeddings, {"side": 0.5, "above": 0.5})
    assert float(text.wanted) == 1.5
    assert [(float(other), weight) for other, weight in text.unwanted] == [
        (1.0, pytest.approx(-2 * math.exp(-1.5))), (2.0, pytest.approx(-2 * math.exp(-1.5))), (3.0, -2.0),
    ]  # fmt: skip
    whole = PerpNeg(3.0).text_of(embeddings, {"front": 0.6, "side": 0.4})
    assert [float(other) for other, _ in whole.unwanted] == [2.0, 3.0]


def test_a_way_is_chosen_by_name_and_an_unknown_one_refused():
    assert direction_of("sds", 4.0) == ScoreDistillation(4.0)
    assert direction_of("ism", 4.0) == IntervalScoreMatching(4.0)
    assert direction_of("perp_neg", 4.0) == PerpNeg(4.0)
    with pytest.raises(InputError, match="distillation is 'vsd'; expected 'sds', 'ism' or 'perp_neg'"):
        direction_of("vsd", 4.0)
