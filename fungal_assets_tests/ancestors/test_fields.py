"""Points inside are counted right, distances are those of the shape, and the colour is that of the nearest surface."""

import numpy as np
import pytest
import torch
import trimesh

from fungal_assets.ancestors.crossing import winding_numbers
from fungal_assets.ancestors.fields import measure_field
from fungal_assets_tests.ancestors.solids import ball, body_of, box, ring

LINE = np.linspace(-1, 1, 41)
Z, Y, X = np.meshgrid(LINE, LINE, LINE, indexing="ij")


@pytest.mark.parametrize(
    ("mesh", "is_inside"),
    [
        (box((1.01, 0.51, 0.31)), (abs(X) < 0.505) & (abs(Y) < 0.255) & (abs(Z) < 0.155)),
        (ring(), np.hypot(np.hypot(X, Z) - 0.5, Y) < 0.2),
    ],
    ids=["box", "ring"],
)
def test_points_inside_are_those_of_the_shape(mesh, is_inside):
    found = winding_numbers(mesh.triangles, LINE)
    assert set(np.unique(found)) == {0, 1}
    assert (found.astype(bool) != is_inside).mean() < 0.002


def test_where_two_bodies_overlap_both_are_counted():
    both = trimesh.util.concatenate([box(at=(0.2, 0, 0)), box(at=(-0.2, 0, 0))])
    found = winding_numbers(both.triangles, LINE)
    assert found[20, 20, 20] == 2 and found[20, 20, 6] == 1 and found[20, 20, 0] == 0


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
