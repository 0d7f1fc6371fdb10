import numpy as np
import pytest
import torch

from fungal_assets.forms.consistency import mean_colours, second_faces
from fungal_assets.forms.volume import Volume
from fungal_assets_tests.forms.shapes import sphere, toadstool

CENTRES = np.eye(3, 6, dtype=np.float32) + 0.5
GREY = np.full((8, 3), 50.0)


def _seen_as(*species):
    return CENTRES[list(species)]


def test_a_form_that_is_one_species_all_round_has_no_second_face():
    assert not second_faces(_seen_as(*[1] * 8), CENTRES, GREY).any()


def test_views_that_are_taken_for_another_species_than_those_from_opposite_show_a_second_face():
    found = second_faces(_seen_as(0, 0, 0, 2, 0, 0, 0, 0), CENTRES, GREY)
    assert found.tolist() == [False, False, False, True, False, False, False, True]


def test_paint_that_comes_again_at_every_quarter_is_one_face():
    assert not second_faces(_seen_as(0, 2, 0, 2, 0, 2, 0, 2), CENTRES, GREY).any()


def test_views_that_could_be_either_show_none():
    in_front, behind = (share * CENTRES[2] + (1 - share) * CENTRES[0] for share in (0.48, 0.52))
    points = np.stack([in_front] * 4 + [behind] * 4)
    assert not second_faces(points, CENTRES, GREY).any()


def test_of_two_views_from_opposite_both_show_a_second_face_or_neither():
    unsure = 0.48 * CENTRES[2] + 0.52 * CENTRES[0]
    points = np.concatenate([_seen_as(0, 0, 0, 2, 0, 0, 0), unsure[None]])
    assert second_faces(points, CENTRES, GREY).tolist() == [False, False, False, True] * 2


def test_another_colour_behind_is_a_second_face_and_a_little_light_is_not():
    colours = GREY.copy()
    colours[:4, 1] += 30
    assert second_faces(_seen_as(*[1] * 8), CENTRES, colours).all()
    colours[:4, 1] -= 25
    assert not second_faces(_seen_as(*[1] * 8), CENTRES, colours).any()


@pytest.mark.parametrize("is_painted_behind", [False, True])
def test_mean_colours_are_those_of_the_side_that_is_seen(is_painted_behind):
    body = sphere(0.5, 32)
    colour = torch.zeros_like(body.colour)
    colour[0] = 4.0
    if is_painted_behind:
        colour[:, :16] = torch.tensor([0.0, 0.0, 4.0])[:, None, None, None]
    colours = mean_colours(Volume(body.density, colour), 4, elevation_deg=0)
    apart = np.linalg.norm(colours[0] - colours[2])
    assert (apart > 50) if is_painted_behind else (apart < 1)
    assert np.linalg.norm(colours[1] - colours[3]) < 3


def test_what_is_empty_is_black():
    nothing = Volume(torch.full((8, 8, 8), -30.0), torch.zeros(3, 8, 8, 8))
    assert mean_colours(nothing, 2, elevation_deg=0).tolist() == [[0, 0, 0]] * 2


def test_a_turned_form_has_one_colour_all_round():
    colours = mean_colours(toadstool(32), 8, elevation_deg=15)
    assert np.linalg.norm(colours - colours.mean(0), axis=1).max() < 2
