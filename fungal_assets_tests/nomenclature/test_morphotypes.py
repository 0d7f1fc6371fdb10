"""Clusters of known forms are told their form."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.nomenclature.morphotypes import REFERENCES_PATH, likely_morphotypes, sure_nouns
from fungal_assets.nomenclature.tables import form_nouns
from fungal_assets.pocket import SPECIMENS_DIR
from fungal_assets.pocket.fungarium import MORPHOTYPE_TABLE

EACH = 5


@pytest.fixture(scope="module")
def specimens():
    """Feature vectors of some shipped specimens by their hidden morphotype."""
    with (SPECIMENS_DIR.parent / "specimen_traits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    files: dict[str, list[str]] = {}
    for row in rows:
        files.setdefault(row["morphotype"], []).append(row["file_name"])
    extractor = EfficientNetLite0()
    return {
        name: extractor.embed([Image.open(SPECIMENS_DIR / file).convert("RGB") for file in own[:EACH]])
        for name, own in files.items()
    }


def test_clusters_of_the_specimens_get_their_hidden_morphotype(specimens):
    names = list(specimens)
    found = likely_morphotypes(dict(enumerate(specimens.values())), least_share=1.0)
    assert np.mean([found[index] == [name] for index, name in enumerate(names)]) >= 0.75


def test_there_is_one_reference_per_morphotype():
    with np.load(REFERENCES_PATH) as arrays:
        assert len(np.unique(arrays["morphotype"])) == len(arrays["vectors"]) == 16


def test_the_specimens_are_called_by_the_forms_that_they_surely_have_and_their_mixture_is_not(specimens):
    mixed = np.concatenate([vectors[:2] for vectors in specimens.values()])
    clusters = dict(enumerate([*specimens.values(), mixed]))
    *found, of_mixture = sure_nouns(clusters, min_likeness=0.5).values()
    right = [form_nouns()[name] for name in specimens]
    assert of_mixture is None
    assert all(noun in (None, own) for noun, own in zip(found, right, strict=True))
    assert np.mean([noun is not None for noun in found]) >= 0.75


def test_each_form_has_the_noun_that_the_pocket_model_learnt_it_by():
    assert form_nouns() == {name: kind.words[0] for name, kind in MORPHOTYPE_TABLE.items()}


def test_a_lone_cluster_has_a_form(specimens):
    for vectors in (specimens["puffball"], -specimens["puffball"]):
        assert len(likely_morphotypes({7: vectors}, least_share=1.0)[7]) == 1


def test_forms_that_are_like_a_cluster_come_after_its_likeliest_down_to_the_share_asked_for(specimens):
    shares = (1.0, 2 / 3, 1 / 3)
    one, some, more = (
        likely_morphotypes(dict(enumerate(specimens.values())), least_share=share) for share in shares
    )
    for cluster, (first,) in one.items():
        assert some[cluster][0] == more[cluster][0] == first
        assert set(some[cluster]) <= set(more[cluster])
    assert sum(map(len, one.values())) < sum(map(len, some.values())) < sum(map(len, more.values()))
