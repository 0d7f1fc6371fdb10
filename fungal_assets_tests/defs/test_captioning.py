"""Captions are made again when the captioner's files change, and what cannot be is refused before it is looked for."""

from __future__ import annotations

import dagster as dg
import numpy as np
import pytest

from fungal_assets.defs.nomenclature import captions
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.diffusion.cards import find_card
from fungal_assets.nomenclature import counting, orientation
from fungal_assets.store import Store
from fungal_assets_tests.defs.test_keeping_names import put
from fungal_assets_tests.nomenclature.growths import grow
from fungal_assets_tests.nomenclature.tiny_blip import write_blip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with all that captions are made of."""
    growth = grow(tmp_path_factory.mktemp("growth"))
    kept = Store(tmp_path_factory.mktemp("store"))
    for name in ("raw_images", "clusters", "species", "feature_vectors"):
        put(kept, name, getattr(growth, name))
    return kept


def caption(store, **settings):
    """Materialise captions; gives the record of the output."""
    resources = {"store": StoreResource(root=store.root), "profile": ProfileResource(name="pocket")}
    config = {"ops": {"captions": {"config": settings}}}
    assert dg.materialize([captions], resources=resources, run_config=config).success
    return store.get("captions").record


def test_captions_are_made_again_when_the_files_of_the_captioner_change(store, tmp_path):
    write_blip(tmp_path)
    first = caption(store, captioner=str(tmp_path))
    assert caption(store, captioner=str(tmp_path)).fingerprint == first.fingerprint
    write_blip(tmp_path, seed=4)
    again = caption(store, captioner=str(tmp_path))
    assert again.config == first.config and again.fingerprint != first.fingerprint
    assert again.inputs["captioner"] != first.inputs["captioner"]
    assert "captioner" not in caption(store).inputs


@pytest.mark.parametrize(
    ("module", "name"), [(counting, "COUNTS_PATH"), (orientation, "VIEWS_PATH")], ids=["groups", "views"]
)
def test_captions_are_made_again_when_the_weights_of_hints_change(store, tmp_path, monkeypatch, module, name):
    first = caption(store)
    with np.load(getattr(module, name)) as arrays:
        np.savez(tmp_path / "other.npz", **{**arrays, "bias": arrays["bias"] + 1})
    monkeypatch.setattr(module, name, tmp_path / "other.npz")
    again = caption(store)
    assert again.config == first.config and again.fingerprint != first.fingerprint


def test_captions_of_a_captioner_with_a_card_carry_its_licence(store, tmp_path, monkeypatch):
    """A tiny model lies where the hub's cache would have the card's revision."""
    card = find_card("blip-image-captioning-large", role="captioner")
    kept = tmp_path / f"models--{card.hub_id.replace('/', '--')}" / "snapshots" / card.revision
    kept.mkdir(parents=True)
    write_blip(kept)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert card.licence not in caption(store).licences
    assert card.licence in caption(store, captioner=card.name).licences


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"captioner": "blip-image-captioning-large", "wordings": 1}, "wordings is 1 and", id="before"
        ),
        pytest.param({"captioner": "nowhere"}, "'nowhere' is not a folder, not a card", id="nowhere"),
    ],
)
def test_what_cannot_be_is_told_plainly(store, settings, message):
    with pytest.raises(dg.Failure, match=message):
        caption(store, **settings)
