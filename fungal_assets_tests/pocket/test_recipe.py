"""What the recipe puts together: every picture with a caption that is true of it, in the shares that are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fungal_assets.errors import InputError
from fungal_assets.pocket.architecture import build_pipeline
from fungal_assets.pocket.autoencoding import encode
from fungal_assets.pocket.contrasting import ContrastSettings
from fungal_assets.pocket.corpus import (
    Pictures,
    caption_fungi,
    traits_of_fungi,
    traits_of_portraits,
    traits_of_snapshots,
    traits_of_views,
)
from fungal_assets.pocket.facts import facts_of_fungus
from fungal_assets.pocket.fungarium import MORPHOTYPES, sample_traits, views_of
from fungal_assets.pocket.fungarium.sampling import VIEWS
from fungal_assets.pocket.recipe import (
    JUDGE_SHARES,
    SNAPSHOT,
    RecipeSettings,
    Shown,
    concepts_of,
    continued,
    doubled,
    make_corpora,
    make_corpus,
    make_lessons,
    traits_by_kind,
)
from fungal_assets.pocket.references import embed
from fungal_assets.progress import stay_silent

SETTINGS = replace(RecipeSettings(), portraits=3, fungi=2, snapshots=4, views=5)


def some_pictures(captions, styles, *, seed, size_px=128):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (len(captions), size_px, size_px, 3), dtype=np.uint8)
    return Pictures(images, list(captions), [f"thing of {text}" for text in captions], list(styles))


def show(settings, *, size_px=128):
    """Chance pictures under the captions of the recipe."""
    fungi = [
        some_pictures(
            caption_fungi(traits, seed=0, is_snapshot=kind == SNAPSHOT),
            ["photo"] * len(traits),
            seed=len(traits),
            size_px=size_px,
        )
        for kind, traits in traits_by_kind(settings).items()
    ]
    drawings = some_pictures(
        ["a cat", "a dog", "a cat, flat"], ["noto", "noto", "fluent"], seed=9, size_px=size_px
    )
    return Shown(*fungi, replace(drawings, concepts=["cat", "dog", "cat"]))


@pytest.fixture(scope="module")
def shown():
    return show(SETTINGS)


@pytest.fixture(scope="module")
def corpus(shown, tmp_path_factory):
    return make_corpus(build_pipeline("tiny", seed=0), shown, SETTINGS, tmp_path_factory.mktemp("work"))


def test_each_kind_of_picture_has_its_share(corpus):
    """Weights by hand: fungi stand in the order portraits, others, snapshots, views, then all of these mirrored."""
    share = corpus.weights / corpus.weights.sum()
    once = [slice(0, 3), slice(3, 5), slice(5, 9), slice(9, 14)]
    mirrored = [slice(part.start + 14, part.stop + 14) for part in once]
    portraits, others, snapshots, views = (
        float(share[first].sum() + share[second].sum()) for first, second in zip(once, mirrored, strict=True)
    )
    assert portraits == pytest.approx(SETTINGS.fungi_share * SETTINGS.portrait_share)
    assert snapshots == pytest.approx(SETTINGS.fungi_share * SETTINGS.snapshot_share)
    assert views == pytest.approx(SETTINGS.fungi_share * SETTINGS.view_share)
    assert portraits + others + snapshots + views == pytest.approx(SETTINGS.fungi_share)
    assert float(share[28:30].sum()) == pytest.approx((1 - SETTINGS.fungi_share) * SETTINGS.house_share)


def test_a_mirrored_fungus_is_the_same_fungus_in_other_words(corpus, shown):
    assert len(corpus.captions) == len(corpus.latents) == len(corpus.weights) == 2 * 14 + 3
    assert corpus.captions[:14] == shown.fungi_of_all_kinds.captions
    assert corpus.captions[14:28] != corpus.captions[:14]
    snapped = ["snapshot of" in caption for caption in corpus.captions]
    assert snapped == ([False] * 5 + [True] * 4 + [False] * 5) * 2 + [False] * 3
    vae = build_pipeline("tiny", seed=0).vae
    mirrored = encode(vae, shown.portraits.images[:, :, ::-1]) * vae.config.scaling_factor
    torch.testing.assert_close(corpus.latents[14:17], mirrored, atol=0.05, rtol=0.05)


def test_every_picture_of_the_corpus_has_its_concept(corpus, shown):
    """The concepts of fungi say which caption they came with, so that a kind left out or misplaced shows."""
    found = [concept.removeprefix("thing of ") for concept in concepts_of(shown)]
    assert len(found) == len(corpus.captions)
    assert found[:14] == found[14:28] == corpus.captions[:14]
    assert found[28:] == ["cat", "dog", "cat"]


def test_the_same_is_learnt_at_half_the_size_and_less_at_twice(shown, corpus, tmp_path):
    """Half: the mean of two by two pixels under the same captions. Twice: the first fungi of each kind."""
    settings = replace(SETTINGS, double_of_each=2, half_share=0.25, double_share=0.125)
    pipeline, large = build_pipeline("tiny", seed=0), show(doubled(settings), size_px=256)
    corpora = make_corpora(pipeline, shown, large, settings, tmp_path)
    assert [one.share for one in corpora] == [0.625, 0.25, 0.125]
    assert [one.latents.shape[-2:] for one in corpora] == [(16, 16), (8, 8), (32, 32)]
    own, half, double = corpora
    torch.testing.assert_close(own.latents, corpus.latents)
    assert list(own.captions) == list(half.captions) == list(corpus.captions)
    assert torch.equal(own.weights, half.weights)
    pixels = shown.portraits.images.reshape(3, 64, 2, 64, 2, 3).mean(axis=(2, 4)).round().astype(np.uint8)
    wanted = encode(pipeline.vae, pixels) * pipeline.vae.config.scaling_factor
    torch.testing.assert_close(half.latents[:3], wanted, atol=0.05, rtol=0.05)
    kinds = [traits_of_portraits(2), traits_of_fungi(2), traits_of_snapshots(2), traits_of_views(2)]
    told = [text for kind in (0, 1, 3) for text in caption_fungi(kinds[kind], seed=0)]
    assert [text for text in double.captions[:8] if "snapshot" not in text] == told
    assert len(double.captions) == 2 * 8 + 3


def test_a_model_that_learns_on_draws_anew():
    earlier = {
        "settings": {"diffusion": {"steps": 30}},
        "continued_from": {"settings": {"diffusion": {"steps": 12}}},
    }
    settings = continued(SETTINGS, earlier)
    assert settings.diffusion.seed == SETTINGS.diffusion.seed + 42
    assert replace(settings, diffusion=SETTINGS.diffusion) == SETTINGS


def test_no_more_is_shown_at_twice_the_size_than_there_is():
    counts = doubled(replace(SETTINGS, double_of_each=3))
    assert (counts.portraits, counts.fungi, counts.snapshots, counts.views) == (3, 2, 3, 3)
    assert counts.variants == SETTINGS.double_variants


def test_pictures_without_as_many_captions_are_refused(shown, tmp_path):
    settings = replace(SETTINGS, portraits=4)
    with pytest.raises(ValueError, match="14 pictures of fungi but 15 captions"):
        make_corpus(build_pipeline("tiny", seed=0), shown, settings, tmp_path)


@pytest.mark.parametrize(
    ("morphotype", "missing"),
    [
        ("agaric", {"front view", "back view"}),
        ("puffball", {"front view", "back view", "seen from below"}),
        ("bracket", set()),
        ("jelly_ear", {"seen from below"}),
    ],
)
def test_only_a_shelf_has_a_front_and_only_some_an_underside(morphotype, missing):
    assert set(views_of(morphotype)) == set(VIEWS) - missing
    for view in missing:
        with pytest.raises(InputError, match=f"view is '{view}', but '{morphotype}' has"):
            sample_traits(1, morphotype=morphotype, view=view)


def test_every_form_is_seen_alone_from_every_side_that_there_is_of_it():
    sides = [(name, view) for name in MORPHOTYPES for view in views_of(name)]
    traits = traits_of_views(2 * len(sides))
    assert [(one.morphotype, one.view) for one in traits] == sides * 2
    assert {one.count for one in traits} == {1} and len({one.seed for one in traits}) == len(traits)


def test_the_judge_learns_from_every_picture_with_what_is_true_of_it(shown, tmp_path):
    """Drawings and their copies stand first, then the fungi and theirs; shares as `JUDGE_SHARES` says."""
    wide = replace(some_pictures(["x", "y"], ["noto", "fluent"], seed=3), concepts=["axe", "broom"])
    contrast = ContrastSettings(drawn_copies=2, fungus_copies=1)
    lessons = make_lessons(shown, wide, SETTINGS, contrast, tmp_path, tell=stay_silent)
    assert lessons.features.shape == (3 * (3 + 2) + 2 * 14, 1280)
    assert len(lessons.facts) == len(lessons.weights) == 3 * (3 + 2) + 2 * 14
    drawings = np.concatenate([shown.world.images, wide.images])
    np.testing.assert_allclose(lessons.features[:5], embed(drawings), atol=1e-5)
    np.testing.assert_allclose(lessons.features[15:29], embed(shown.fungi_of_all_kinds.images), atol=1e-5)
    for first, copy in ((0, 5), (0, 10), (5, 10), (15, 29)):
        there, here = lessons.features[first : first + 5], lessons.features[copy : copy + 5]
        assert np.abs(there - here).max(axis=1).min() > 1e-3, "every copy is changed, each in its own way"
    names = [one.thing[0] for one in lessons.facts[:15]]
    assert names == ["cat", "dog", "cat", "axe", "broom"] * 3 and lessons.facts[3].article == "an"
    facts = [
        *map(facts_of_fungus, [*traits_of_portraits(3), *traits_of_fungi(2)]),
        *(facts_of_fungus(one, is_snapshot=True) for one in traits_of_snapshots(4)),
        *map(facts_of_fungus, traits_of_views(5)),
    ]
    assert list(lessons.facts[15:]) == facts * 2
    weights = lessons.weights.numpy()
    drawn, fungi = weights[:15].reshape(3, 5).sum(0), weights[15:].reshape(2, 14).sum(0)
    shares = [drawn[:3], drawn[3:], *np.split(fungi, [3, 5, 9])]
    found = dict(zip(JUDGE_SHARES, map(float, map(np.sum, shares)), strict=True))
    assert found == pytest.approx(JUDGE_SHARES)
    kept = make_lessons(shown, wide, SETTINGS, contrast, tmp_path, tell=pytest.fail).features
    np.testing.assert_array_equal(kept, lessons.features)
