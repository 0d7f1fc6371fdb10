import json

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.forms.checks import TWO_FACED
from fungal_assets.forms.known import known_volume
from fungal_assets.forms.recognition import VIEWS, Judgement, judge_forms, look_at
from fungal_assets.forms.volume import Volume
from fungal_assets.morphology.extractors import EfficientNetLite0, describe_extractor
from fungal_assets.morphology.projection import fit_projection
from fungal_assets.pocket.fungarium import sample_portrait

KINDS = {0: ("fly_agaric", "red"), 1: ("puffball", "white"), 2: ("morel", "brown")}


def _form(kind, seed):
    from dataclasses import replace

    morphotype, colour = KINDS[kind]
    return known_volume(replace(sample_portrait(seed, morphotype=morphotype), cap_color=colour), 32)


def _back_to_back(front, behind):
    """One body that is the first form's where z is positive and the second's where it is not."""
    is_behind = torch.arange(32)[:, None, None] < 16
    return Volume(
        torch.where(is_behind, behind.density, front.density),
        torch.where(is_behind, behind.colour, front.colour),
    )


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    """The output `clusters` of three kinds of known forms."""
    folder = tmp_path_factory.mktemp("clusters")
    sights = [look_at(_form(kind, 20 + kind)) for kind in KINDS]
    vectors = EfficientNetLite0().embed([picture for sight in sights for picture in sight.pictures])
    projection = fit_projection(vectors)
    projection.save(folder / "projection.npz")
    np.save(folder / "centroids.npy", projection.project(vectors).reshape(len(KINDS), VIEWS, -1).mean(1))
    (folder / "extractor.json").write_text(json.dumps(describe_extractor(EfficientNetLite0())))
    return folder


@pytest.fixture(scope="module")
def judged(clusters):
    """Other forms of the same kinds; the first is a Janus: a fly agaric in front, a morel behind."""
    front, ball, morel = (_form(kind, 30 + kind) for kind in KINDS)
    sights = {0: look_at(_back_to_back(front, morel)), 1: look_at(ball), 2: look_at(morel)}
    return judge_forms(sights, clusters)


def test_good_forms_are_recognised_and_have_one_face(judged):
    for kind in (1, 2):
        assert judged[kind].recognised == 1 and judged[kind].janus_share == 0
        assert judged[kind].silhouette_likeness > 0.8


def test_two_fungi_back_to_back_have_a_second_face(judged):
    assert judged[0].janus_share >= TWO_FACED
    assert judged[0].recognised < 1


def test_one_form_alone_is_held_against_all_species(clusters):
    (found,) = judge_forms({2: look_at(_form(2, 32))}, clusters).values()
    assert isinstance(found, Judgement) and found.recognised == 1 and found.janus_share == 0


def test_a_sight_is_eight_pictures_of_one_size_that_show_the_form():
    sight = look_at(_form(0, 30))
    assert [picture.size for picture in sight.pictures] == [(128, 128)] * VIEWS
    assert sight.colours.shape == (VIEWS, 3) and sight.outlines.shape == (VIEWS, 32, 32)
    assert all(np.asarray(picture.convert("L")).std() > 10 for picture in sight.pictures)
    assert all(isinstance(picture, Image.Image) for picture in sight.pictures)
