"""Points of a grid that lie inside of meshes are counted right."""

import numpy as np
import pytest
import trimesh

from fungal_assets.forms.crossing import winding_numbers
from fungal_assets_tests.ancestors.solids import box, ring
from fungal_assets_tests.forms.test_uploads import BOX, FACES

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


def test_samples_of_a_box_are_inside_exactly_where_it_is():
    line = np.linspace(-1, 1, 21)
    corners = (BOX - [0.5, 1, 0.5]) * [0.5, 0.61, 1.5]
    found = winding_numbers(corners[FACES], line) != 0
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    assert np.array_equal(found, (abs(x) < 0.25) & (abs(y) < 0.61) & (abs(z) < 0.75))
