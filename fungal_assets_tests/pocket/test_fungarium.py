"""The fungarium tells the truth: pictures agree with their traits."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fungal_assets.errors import InputError
from fungal_assets.pocket.fungarium import (
    HABITATS,
    MORPHOTYPES,
    Traits,
    caption_words,
    describe,
    render,
    render_picture,
    sample_portrait,
    sample_traits,
)
from fungal_assets.pocket.fungarium.bodies import build_body
from fungal_assets.pocket.fungarium.folk_names import head_nouns
from fungal_assets.pocket.fungarium.morphotypes import MORPHOTYPE_TABLE, portrait_view
from fungal_assets.pocket.fungarium.palette import COLORS, to_linear


def _lab(srgb: np.ndarray) -> np.ndarray:
    linear = to_linear(torch.as_tensor(srgb, dtype=torch.float32)).numpy()
    xyz = linear @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(np.maximum(xyz / np.array([0.9505, 1.0, 1.089]), 1e-4))
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def test_a_seed_gives_the_same_picture_and_caption():
    first, second = sample_traits(5), sample_traits(5)
    assert first == second
    assert torch.equal(render(first, size_px=48), render(second, size_px=48))
    assert describe(first, rng_seed=3) == describe(second, rng_seed=3)


def test_traits_survive_json():
    traits = sample_traits(11)
    assert Traits(**json.loads(json.dumps(traits.to_dict()))) == traits


@pytest.mark.parametrize("morphotype", ["fly_agaric", "bracket", "coral"])
def test_a_larger_picture_shows_the_same_composition(morphotype: str):
    traits = sample_traits(21, morphotype=morphotype)
    small = render_picture(traits, size_px=64, supersample=2)
    large = render_picture(traits, size_px=128, supersample=1)
    shrunk = torch.nn.functional.avg_pool2d(large.mask[None, None], 2)[0, 0]
    assert (small.mask - shrunk).abs().mean() < 0.02
    image = torch.nn.functional.avg_pool2d(large.image.permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
    assert (small.image - image).abs().mean() < 0.04


@pytest.mark.parametrize("morphotype", MORPHOTYPES)
def test_every_habitat_shows_the_subject(morphotype: str):
    for number, habitat in enumerate(HABITATS):
        picture = render_picture(
            sample_traits(40 + number, morphotype=morphotype, habitat=habitat), size_px=48
        )
        assert torch.isfinite(picture.image).all()
        assert picture.image.min() >= 0 and picture.image.max() <= 1
        assert 0.02 < picture.mask.mean() < 0.8, habitat
        assert torch.isfinite(picture.depth[picture.mask == 1]).all()


@pytest.mark.parametrize("morphotype", MORPHOTYPES)
def test_distances_never_overshoot(morphotype: str):
    form, _ = build_body(sample_traits(3, morphotype=morphotype), columns=88)
    generator = torch.Generator().manual_seed(0)
    start = (torch.rand((6000, 3), generator=generator) - 0.5) * 2 * form.reach + torch.tensor(
        [0, form.middle, 0]
    )
    end = start + torch.randn((6000, 3), generator=generator) * 0.05
    change = (form.distance(start) - form.distance(end)).abs()
    steepness = change / (start - end).norm(dim=-1)
    assert steepness.quantile(0.999) <= 1.05
    assert form.distance(start, rough=False).le(form.distance(start) + 1e-4).all()


@pytest.mark.parametrize(
    "color", ["red", "orange", "yellow", "brown", "white", "purple", "blue", "green", "pink", "black", "grey"]
)
def test_a_cap_seen_from_above_has_its_color(color: str):
    traits = sample_traits(
        4, morphotype="bolete", habitat="sand", cap_color=color, view="seen from above", count=1
    )
    picture = render_picture(traits, size_px=64)
    shown = np.median(picture.image[picture.mask == 1].numpy(), axis=0)
    names = list(COLORS)
    gaps = np.linalg.norm(_lab(np.array([COLORS[n] for n in names]) / 255) - _lab(shown), axis=-1)
    assert names[int(gaps.argmin())] == color


def test_the_named_view_is_true_of_the_camera():
    assert sample_traits(1, morphotype="parasol", view="seen from above").elevation_deg > 50
    assert sample_traits(1, morphotype="parasol", view="seen from below").elevation_deg < 0
    for seed in range(40):
        for view in ("side view", "front view", "seen from above"):
            assert sample_traits(seed, morphotype="oyster", habitat="tree_trunk", view=view).view == view


def test_a_request_moves_no_other_trait():
    plain, asked = (
        sample_traits(9, morphotype="agaric"),
        sample_traits(9, morphotype="agaric", cap_color="blue"),
    )
    assert {**plain.to_dict(), "cap_color": "blue"} == asked.to_dict()


def test_an_impossible_request_is_refused_with_the_remedy():
    with pytest.raises(InputError, match="'toad'.*one of agaric"):
        sample_traits(1, morphotype="toad")
    with pytest.raises(InputError, match="no front; ask for 'side view'"):
        sample_traits(1, morphotype="morel", view="front view")
    with pytest.raises(InputError, match="at least 8 px"):
        render(sample_traits(1), size_px=0)


def test_captions_name_the_fungus_and_nearly_always_its_color():
    colored = 0
    for seed in range(200):
        traits = sample_traits(seed)
        words, text = caption_words(traits), describe(traits, rng_seed=seed)
        colored += str(words["color"]) in text
        spoken = text.replace(",", " ").replace("fungi", "fungus").split()
        nouns = [*MORPHOTYPE_TABLE[traits.morphotype].words, *head_nouns(traits.morphotype)]
        assert any(noun.split()[-1] in word for noun in nouns for word in spoken)
        assert "  " not in text and "None" not in text
        for view in ("seen from above", "seen from below", "front view", "back view", "side view"):
            assert view not in text or view == traits.view
    assert colored > 180


def test_a_caption_says_whatever_is_out_of_the_ordinary():
    for seed in range(200):
        traits = sample_traits(seed)
        text = describe(traits, rng_seed=seed)
        view = traits.view or "three-quarter view"
        assert view in text or view == portrait_view(traits.morphotype)
        assert traits.closeness is None or traits.closeness in text
        assert traits.count == 1 or any(
            word in text.split() for word in ("two", "three", "four", "five", "cluster")
        )


def test_a_portrait_shows_one_whole_fungus_in_the_middle_in_the_view_that_needs_no_words():
    portraits = [sample_portrait(seed) for seed in range(60)]
    assert {one.morphotype for one in portraits} == set(MORPHOTYPES)
    for one in portraits:
        assert one.count == 1 and one.closeness is None
        assert (one.view or "three-quarter view") == portrait_view(one.morphotype)
    for one in portraits[:12]:
        rows, columns = render_picture(one, size_px=48).mask.nonzero(as_tuple=True)
        middle = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
        assert all(abs(float(place) - 23.5) < 9 for place in middle)
        assert max(columns.max() - columns.min(), rows.max() - rows.min()) > 20


def test_blades_hide_the_foot_but_not_the_fungus():
    field = sample_traits(12, morphotype="fly_agaric", habitat="field", view="side view")
    bare = sample_traits(12, morphotype="fly_agaric", habitat="leaf_litter", view="side view")
    covered, whole = (render_picture(t, size_px=48).mask.sum() for t in (field, bare))
    assert 0.6 * whole < covered < whole
