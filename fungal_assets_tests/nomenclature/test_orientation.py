"""Views are told by feature vectors, truly where they are said, and learnt by the recipe."""

import numpy as np
import pytest
from PIL import Image

from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.nomenclature.attributes import measure
from fungal_assets.nomenclature.hints import hint_at
from fungal_assets.nomenclature.orientation import VIEWS_PATH, likely_views
from fungal_assets.pocket import SPECIMENS_DIR, references
from fungal_assets.pocket.corpus import render_pixels
from fungal_assets.pocket.fungarium import MORPHOTYPES, render_snapshot, views_of


def test_views_are_told_by_the_weights_of_a_softmax():
    with np.load(VIEWS_PATH) as arrays:
        weights, bias, words = arrays["weights"].astype(float), arrays["bias"], arrays["view"].tolist()
    mixed = np.random.default_rng(0).dirichlet(np.ones(len(words)), size=9) @ weights
    vectors = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    assert len({word for word, _ in likely_views(vectors)}) > 1
    for index, (word, chance) in enumerate(likely_views(vectors)):
        odds = np.exp(weights @ vectors[index] + bias)
        assert word == words[int(odds.argmax())]
        assert chance == pytest.approx(odds.max() / odds.sum(), rel=1e-5)


def test_every_form_is_learnt_from_each_side_that_people_photograph_and_at_an_angle():
    traits = references.traits_from_all_sides(120, 96_000_000)
    seen = {name: {one.view for one in traits if one.morphotype == name} for name in MORPHOTYPES}
    assert seen == {name: {*views_of(name), None} - {"back view"} for name in MORPHOTYPES}
    assert "front view" in seen["bracket"]


def see_from_all_sides(render):
    """Views of fungi that the weights were not learnt from, and those that are measured by what vectors hint."""
    traits = references.traits_from_all_sides(100, 97_000_000)
    images = np.stack([render(one, size_px=160, supersample=1) for one in traits])
    hints = hint_at(references.embed(images))
    found = [measure(Image.fromarray(image), hint=hint) for image, hint in zip(images, hints, strict=True)]
    return [one.view for one in traits], [one.view for one in found]


@pytest.mark.parametrize(
    ("render", "least_true", "least_said"),
    [
        pytest.param(render_pixels, 0.85, 0.4, id="calm"),
        pytest.param(render_snapshot, 0.75, 0.2, id="amid clutter"),
    ],
)
def test_a_view_that_is_said_of_a_render_is_true_and_silence_does_not_pass_for_it(
    render, least_true, least_said
):
    """Amid clutter less is said, too little for a narrower bound."""
    true, said = see_from_all_sides(render)
    verdicts = [told == view for view, told in zip(true, said, strict=True) if told]
    sayable = [told for view, told in zip(true, said, strict=True) if view]
    print(f"{sum(verdicts)} of {len(verdicts)} views that are said are true, of {len(true)}")
    assert sum(verdicts) >= least_true * len(verdicts)
    assert sum(map(bool, sayable)) >= least_said * len(sayable)
    assert {told for told in said if told} >= {"side view", "seen from above", "seen from below"}
    by_chance = [told == view for view, told in zip(true[1:] + true[:1], said, strict=True) if told]
    assert sum(by_chance) < least_true * len(by_chance)


def test_most_specimens_are_seen_from_their_side():
    paths = sorted(SPECIMENS_DIR.glob("*.webp"))[::6]
    vectors = EfficientNetLite0().embed([Image.open(path).convert("RGB") for path in paths])
    told = [measure(Image.new("RGB", (64, 64)), hint=hint).view for hint in hint_at(vectors)]
    said = [view for view in told if view]
    print(f"{said.count('side view')} of {len(said)} that are said, of {len(told)}")
    assert said.count("side view") >= 0.85 * len(said) and len(said) >= 0.4 * len(told)


def test_the_recipe_of_views_learns_what_it_was_shown(tmp_path, monkeypatch):
    """At a small size: twice sixteen pictures of 32 px."""
    monkeypatch.setattr(references, "VIEWED", 16)
    monkeypatch.setattr(references, "VIEWED_PX", 32)
    path = tmp_path / "views.npz"
    assert references.write_views(tmp_path / "work", path, tell=lambda line: None) == 32
    with np.load(path) as arrays:
        assert arrays["weights"].shape == (len(arrays["view"]), 1280)
    monkeypatch.setattr("fungal_assets.nomenclature.orientation.VIEWS_PATH", path)
    traits = references.traits_from_all_sides(16, references.VIEWED_SEED)
    seen = references.render_fungi(
        tmp_path / "work" / "sides", traits, processes=1, tell=lambda line: None, size_px=32
    )
    told = [word for word, _ in likely_views(references.embed(seen.images))]
    assert told == [one.view or "" for one in traits]
