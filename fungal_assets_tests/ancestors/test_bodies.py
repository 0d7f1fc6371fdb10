"""Objects as people make them: read in every format, mended where that is honest, refused with the reason elsewhere."""

import numpy as np
import pytest
import trimesh

from fungal_assets.ancestors import bodies
from fungal_assets.ancestors.bodies import mend, read_body, stand_ready
from fungal_assets.errors import InputError
from fungal_assets.forms.topology import count_bodies, is_closed, signed_volume
from fungal_assets_tests.ancestors.solids import PLAIN, ball, body_of, box, ring, toadstool, without


def assert_one_closed_body(body):
    assert is_closed(body.faces) and count_bodies(body.faces, len(body.vertices)) == 1
    assert signed_volume(body.vertices, body.faces) > 0


@pytest.mark.parametrize("suffix", ["glb", "obj", "stl", "ply"])
def test_a_mesh_is_read_from_every_format(tmp_path, suffix):
    path = tmp_path / f"ball.{suffix}"
    ball().export(path)
    body = read_body(path)
    assert_one_closed_body(body)
    assert signed_volume(body.vertices, body.faces) == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.02)
    assert body.repairs == ()


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb"])
def test_the_colours_of_corners_are_kept(tmp_path, suffix):
    mesh = ball(subdivisions=2)
    is_top = mesh.vertices[:, 1] > 0
    rgba = np.where(is_top[:, None], [200, 30, 20, 255], [240, 230, 200, 255]).astype(np.uint8)
    if suffix == "glb":  # glTF keeps linear light
        linear = ((rgba[:, :3] / 255 + 0.055) / 1.055) ** 2.4
        rgba = np.concatenate([np.rint(linear * 255), rgba[:, 3:]], 1).astype(np.uint8)
    mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=rgba)
    mesh.export(tmp_path / f"x.{suffix}")
    body = read_body(tmp_path / f"x.{suffix}")
    top = body.colours[body.vertices[:, 1] > 0.1]
    assert np.abs(top - np.array([200, 30, 20]) / 255).max() < 0.03


def test_a_body_with_a_hole_through_it_is_none_to_mend():
    body = mend(body_of(ring()), name="ring")
    assert_one_closed_body(body)
    assert body.repairs == ()
    assert signed_volume(body.vertices, body.faces) == pytest.approx(2 * np.pi**2 * 0.5 * 0.2**2, rel=0.02)


def test_an_open_seam_is_closed_and_told():
    body = mend(body_of(without(ball(), 40)), name="ball")
    assert_one_closed_body(body)
    assert "hole" in body.repairs[0] and "closed" in body.repairs[0]
    assert signed_volume(body.vertices, body.faces) == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.02)


def test_corners_that_each_face_has_for_itself_are_joined():
    mesh = ball(subdivisions=2)
    apart = trimesh.Trimesh(
        mesh.triangles.reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3), process=False
    )
    assert_one_closed_body(mend(body_of(apart), name="soup"))


def test_what_is_inside_out_is_turned():
    mesh = ball(subdivisions=2)
    body = mend(body_of(trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)), name="glove")
    assert_one_closed_body(body)
    assert body.repairs == ("faces that looked inward turned outward",)


def test_pieces_that_run_into_each_other_become_one():
    body = mend(body_of(toadstool()), name="toadstool")
    assert_one_closed_body(body)
    assert body.repairs == ("2 pieces that run into each other made one",)
    scale = 1.5 / 1.45  # it stands ready
    ball_m3, cylinder_m3 = (scale**3 * part for part in (4 / 3 * np.pi * 0.45**3, np.pi * 0.16**2 * 0.9))
    assert ball_m3 < signed_volume(body.vertices, body.faces) < ball_m3 + cylinder_m3


def test_crumbs_beside_a_body_are_dropped_and_told():
    both = trimesh.util.concatenate([ball(), box((0.1, 0.1, 0.1), at=(0.8, 0, 0))])
    body = mend(body_of(both), name="ball and crumb")
    assert_one_closed_body(body)
    assert body.repairs == ("1 crumbs beside the largest piece dropped",)
    assert body.vertices[:, 0].max() < REACH_OF_BALL


REACH_OF_BALL = 0.75  # of the whole, crumb and all, brought into the box


@pytest.mark.parametrize(
    ("mesh", "said"),
    [
        (trimesh.util.concatenate([ball(), box(at=(2, 0, 0))]), "is in 2 pieces that do not touch; the largest has"),
        (without(box(), 6), "is a sheet rather than a body"),
        (box((1, 1e-4, 1)), "is flat: it encloses a layer"),
        (trimesh.Trimesh(np.full((3, 3), 0.5), [[0, 1, 2]], process=False), "has no extent"),
        (trimesh.Trimesh([[np.nan, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False), "are no numbers"),
        (trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], process=False), "has no faces"),
        (trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 1]], process=False), "no face with an area"),
    ],
    ids=["in pieces", "half a box", "flat", "a point", "not finite", "no faces", "no area"],
)  # fmt: skip
def test_what_is_no_body_is_refused_with_the_reason(mesh, said):
    with pytest.raises(InputError, match=said):
        mend(body_of(mesh), name="thing.glb")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.fbx", b"", "is no mesh that can be read; expected one of .glb, .obj, .stl, .ply"),
        ("x.glb", b"glTF nonsense", "cannot be read as GLB"),
        ("x.stl", b"", "x.stl"),
        ("x.obj", b"# nothing\n", "x.obj"),
        ("x.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
                  b"end_header\n0 0 0\n", "has no faces: a surface is needed, points alone are none"),
    ],
    ids=["unknown", "damaged", "empty", "no content", "points"],
)  # fmt: skip
def test_a_file_that_holds_no_body_is_refused_with_the_reason(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_body(tmp_path / name)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_body(tmp_path / "x.glb")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(bodies, "MAX_FILE_MB", 0.001)
    ball().export(tmp_path / "x.stl")
    with pytest.raises(InputError, match="MB, expected 0 at most. Save it with fewer faces"):
        read_body(tmp_path / "x.stl")


def test_a_mesh_of_very_many_faces_is_made_lighter_and_told(monkeypatch):
    monkeypatch.setattr(bodies, "_FACES_KEPT", 1000)
    body = mend(body_of(ball()), name="ball")
    assert_one_closed_body(body)
    assert len(body.faces) < 1500 and body.repairs[0].startswith("5120 faces made")
    assert np.allclose(body.colours, PLAIN)


def test_a_body_stands_ready_in_the_middle_of_the_box():
    ready = stand_ready(body_of(box((4, 2, 1), at=(7, 7, 7))))
    assert np.allclose(ready.vertices.max(0), [0.75, 0.375, 0.1875])
    assert np.allclose(ready.vertices.min(0), [-0.75, -0.375, -0.1875])
