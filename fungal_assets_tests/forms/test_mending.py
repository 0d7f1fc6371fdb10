import numpy as np
import pytest

from fungal_assets.forms.mending import take_apart
from fungal_assets.forms.topology import fault_of, signed_volume, weld

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])


def _cubes(*places):
    """The surface of unit cubes at whole places, the faces between two of them left out, corners shared."""
    quads = []
    for place in places:
        for axis in range(3):
            for side in (0, 1):
                beside = np.array(place)
                beside[axis] += 2 * side - 1
                if tuple(beside) in places:
                    continue
                steps = [np.eye(3, dtype=int)[(axis + turn) % 3] for turn in (1, 2)]
                first = np.array(place) + side * np.eye(3, dtype=int)[axis]
                ring = [first, first + steps[0], first + steps[0] + steps[1], first + steps[1]]
                quads.append(ring if side else ring[::-1])
    points, which = np.unique(np.array(quads).reshape(-1, 3), axis=0, return_inverse=True)
    corners = which.reshape(-1, 4)
    return points.astype(float), np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])


def test_a_surface_whose_sheets_do_not_touch_stays_as_it_is():
    points, faces, lost = take_apart(CORNERS, TETRAHEDRON)
    assert np.array_equal(points[faces], CORNERS[TETRAHEDRON]) and len(points) == 4 and lost == 0


@pytest.mark.parametrize(
    ("handles", "places"),
    [
        (0, ((0, 0, 0), (1, 1, 0))),
        (1, ((0, 0, 0), (1, 1, 0), (2, 0, 0), (1, -1, 0))),
        (0, ((0, 0, 0), (1, 1, 0), (2, 1, 0), (3, 1, 1))),
        (0, ((0, 0, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (1, 1, 0))),
    ],
    ids=["two", "ring-about-a-hole", "chain", "joined-elsewhere-too"],
)
def test_cubes_that_meet_at_edges_are_joined_by_bridges(handles, places):
    points, faces = _cubes(*places)
    assert fault_of(points, faces) == "is not closed and manifold"
    apart, mended, lost = take_apart(points, faces)
    assert fault_of(*weld(apart, mended)) == "" and lost == 0
    assert signed_volume(apart, mended) == pytest.approx(len(places), rel=0.02)
    assert signed_volume(apart, mended) > len(places), "the bridges are of matter"
    assert 2 - 2 * handles == len(apart) - len(mended) // 2


def test_of_cubes_that_meet_at_a_corner_the_larger_body_is_kept_and_the_rest_counted():
    points, faces = _cubes((0, 0, 0), (1, 0, 0), (2, 1, 1))
    apart, mended, lost = take_apart(points, faces)
    assert fault_of(*weld(apart, mended)) == "" and lost == 12
    assert signed_volume(apart, mended) == pytest.approx(2, rel=0.02)


def test_an_open_surface_comes_back_as_it_was():
    points, faces, lost = take_apart(CORNERS, TETRAHEDRON[:3])
    assert np.array_equal(faces, TETRAHEDRON[:3]) and points is CORNERS and lost == 0
