"""Distances are those of the shape, and the colour is that of the nearest surface."""

import numpy as np
import torch

from fungal_assets.ancestors.fields import measure_field
from fungal_assets_tests.ancestors.solids import ball, body_of, box

LINE = np.linspace(-1, 1, 41)
Z, Y, X = np.meshgrid(LINE, LINE, LINE, indexing="ij")


def test_distances_are_those_of_a_ball(ball_field):
    """The ball stands ready with a radius of 0.75."""
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    away = points.norm(dim=1) - 0.75
    error = (ball_field.distance_at(points) - away).abs()
    assert error[away.abs() < 0.05].max() < 0.003
    assert error.max() < 0.06
    assert bool(((ball_field.distance_at(points) < 0) == (away < 0))[away.abs() > 0.005].all())


def test_the_colour_is_that_of_the_nearest_surface():
    mesh = ball(subdivisions=3)
    body = body_of(mesh)
    body.colours[mesh.vertices[:, 1] > 0] = (0.1, 0.2, 0.9)
    field = measure_field("ball", body, cells=40)
    above, below = torch.sigmoid(field.colour_at(torch.tensor([[0.1, 0.9, 0.0], [0.1, -0.4, 0.0]]))).T
    assert torch.allclose(above, torch.tensor([0.1, 0.2, 0.9]), atol=0.02)
    assert torch.allclose(below, torch.tensor([0.8, 0.3, 0.2]), atol=0.02)


def test_a_field_is_known_by_its_mesh(ball_field):
    again, other = (measure_field("other", body_of(mesh), cells=8) for mesh in (ball(subdivisions=2), box()))
    assert (
        measure_field("ball", body_of(ball(subdivisions=2)), cells=12).sha256 == again.sha256 != other.sha256
    )
