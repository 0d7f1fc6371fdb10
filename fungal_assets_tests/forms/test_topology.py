import numpy as np
import pytest

from fungal_assets.forms.topology import count_bodies, count_pinches, fault_of, is_closed, signed_volume, weld

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
BESIDE = np.concatenate([CORNERS, CORNERS + 2])
AT_A_TIP = np.where(TETRAHEDRON == 0, 0, TETRAHEDRON + 3)
"""A second tetrahedron that has only corner 0 in common with the first."""


def test_an_open_or_doubled_mesh_is_not_closed():
    assert is_closed(TETRAHEDRON)
    assert not is_closed(TETRAHEDRON[:0])
    assert not is_closed(TETRAHEDRON[:3])
    assert not is_closed(np.concatenate([TETRAHEDRON, TETRAHEDRON[:1]]))
    assert not is_closed(TETRAHEDRON[:, ::-1][[0]])
    assert not is_closed(np.concatenate([TETRAHEDRON[:3], TETRAHEDRON[3:, ::-1]]))


def test_an_edge_of_four_faces_is_not_closed():
    """Two tetrahedra on one edge: each edge is run both ways, but the shared one twice."""
    other = np.where(TETRAHEDRON > 1, TETRAHEDRON + 2, TETRAHEDRON)
    assert is_closed(other) and not is_closed(np.concatenate([TETRAHEDRON, other]))


def test_a_tip_that_two_bodies_share_is_a_pinch():
    both = np.concatenate([TETRAHEDRON, AT_A_TIP])
    assert is_closed(both) and count_pinches(both) == 1
    assert count_pinches(TETRAHEDRON) == 0 and count_pinches(TETRAHEDRON + 7) == 0


def test_the_volume_of_a_tetrahedron_is_a_sixth():
    assert signed_volume(CORNERS, TETRAHEDRON) == pytest.approx(1 / 6)
    assert signed_volume(CORNERS, TETRAHEDRON[:, ::-1]) == pytest.approx(-1 / 6)


def test_a_mesh_cut_along_a_seam_is_closed_once_it_is_welded():
    cut = CORNERS[TETRAHEDRON.ravel()]
    faces = np.arange(12).reshape(-1, 3)
    assert not is_closed(faces) and fault_of(*weld(cut, faces)) == ""
    assert signed_volume(*weld(cut, faces)) == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("faces", "finding"),
    [
        (TETRAHEDRON[:0], "has no faces"),
        (TETRAHEDRON[:3], "is not closed and manifold"),
        (np.concatenate([TETRAHEDRON, AT_A_TIP]), "is pinched at 1 vertices"),
        (np.concatenate([TETRAHEDRON, TETRAHEDRON + 4]), "is in 2 pieces"),
        (TETRAHEDRON[:, ::-1], "is inside out"),
        (TETRAHEDRON, ""),
    ],
    ids=["empty", "open", "pinched", "two-bodies", "inside-out", "whole"],
)
def test_what_is_wrong_with_a_mesh_is_said(faces, finding):
    assert fault_of(BESIDE, faces) == finding


def test_vertices_that_no_face_uses_are_no_bodies():
    assert count_bodies(TETRAHEDRON + 2, 9) == 1
