"""What the recipe puts together: every picture with a caption that is true of it, in the shares that are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fungal_assets.pocket.architecture import build_pipeline
from fungal_assets.pocket.autoencoding import encode
from fungal_assets.pocket.corpus import (
    Pictures,
    caption_fungi,
    traits_of_fungi,
    traits_of_portraits,
    traits_of_snapshots,
)
from fungal_assets.pocket.recipe import RecipeSettings, Shown, concepts_of, make_corpus

SETTINGS = replace(RecipeSettings(), portraits=3, fungi=2, snapshots=4)


def some_pictures(captions, styles, *, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (len(captions), 128, 128, 3), dtype=np.uint8)
    return Pictures(images, list(captions), [f"thing of {text}" for text in captions], list(styles))


@pytest.fixture(scope="module")
def shown():
    kinds = (traits_of_portraits(3), False), (traits_of_fungi(2), False), (traits_of_snapshots(4), True)
    fungi = [
        some_pictures(
            caption_fungi(traits, seed=0, is_snapshot=flag), ["photo"] * len(traits), seed=len(traits)
        )
        for traits, flag in kinds
    ]
    drawings = some_pictures(["a cat", "a dog", "a cat, flat"], ["noto", "noto", "fluent"], seed=9)
    return Shown(*fungi, drawings)


@pytest.fixture(scope="module")
def corpus(shown, tmp_path_factory):
    return make_corpus(build_pipeline("tiny", seed=0), shown, SETTINGS, tmp_path_factory.mktemp("work"))


def test_each_kind_of_picture_has_its_share(corpus):
    """Weights by hand: fungi stand in the order portraits, others, snapshots, then all of these mirrored."""
    share = corpus.weights / corpus.weights.sum()
    once = [slice(0, 3), slice(3, 5), slice(5, 9)]
    mirrored = [slice(part.start + 9, part.stop + 9) for part in once]
    portraits, others, snapshots = (
        float(share[first].sum() + share[second].sum()) for first, second in zip(once, mirrored, strict=True)
    )
    assert portraits == pytest.approx(SETTINGS.fungi_share * SETTINGS.portrait_share)
    assert snapshots == pytest.approx(SETTINGS.fungi_share * SETTINGS.snapshot_share)
    assert portraits + others + snapshots == pytest.approx(SETTINGS.fungi_share)
    assert float(share[18:20].sum()) == pytest.approx((1 - SETTINGS.fungi_share) * SETTINGS.house_share)


def test_a_mirrored_fungus_is_the_same_fungus_in_other_words(corpus, shown):
    assert len(corpus.captions) == len(corpus.latents) == len(corpus.weights) == 2 * 9 + 3
    assert corpus.captions[:9] == shown.fungi_of_all_kinds.captions
    assert corpus.captions[9:18] != corpus.captions[:9]
    snapped = ["snapshot of" in caption for caption in corpus.captions]
    assert snapped == ([False] * 5 + [True] * 4) * 2 + [False] * 3
    vae = build_pipeline("tiny", seed=0).vae
    mirrored = encode(vae, shown.portraits.images[:, :, ::-1]) * vae.config.scaling_factor
    torch.testing.assert_close(corpus.latents[9:12], mirrored, atol=0.05, rtol=0.05)


def test_every_picture_of_the_corpus_has_its_concept(corpus, shown):
    """The concepts say which caption they came with, so that a kind that is left out or misplaced shows."""
    found = [concept.removeprefix("thing of ") for concept in concepts_of(shown)]
    assert len(found) == len(corpus.captions)
    assert found[:9] == found[9:18] == corpus.captions[:9]
    assert found[18:] == corpus.captions[18:]


def test_pictures_without_as_many_captions_are_refused(shown, tmp_path):
    settings = replace(SETTINGS, portraits=4)
    with pytest.raises(ValueError, match="9 pictures of fungi but 10 captions"):
        make_corpus(build_pipeline("tiny", seed=0), shown, settings, tmp_path)
