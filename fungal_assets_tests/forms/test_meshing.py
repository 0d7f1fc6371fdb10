import math

import numpy as np
import pytest
import torch

from fungal_assets.errors import InputError
from fungal_assets.forms.gltf import read_glb, write_glb
from fungal_assets.forms.meshing import count_bodies, is_closed, mesh_volume, signed_volume
from fungal_assets.forms.volume import EMPTY, Volume
from fungal_assets_tests.forms.shapes import CAP, STALK, axes, sphere, toadstool, volume_of


@pytest.fixture(scope="module")
def toadstool_mesh():
    return mesh_volume(toadstool(), max_faces=4000)


def test_mesh_is_one_closed_body_within_the_budget(toadstool_mesh):
    assert is_closed(toadstool_mesh.faces)
    assert count_bodies(toadstool_mesh.faces, len(toadstool_mesh.vertices)) == 1
    assert 1000 < len(toadstool_mesh.faces) <= 4000


def test_mesh_stands_on_the_ground_at_the_origin_in_metres(toadstool_mesh):
    low, high = toadstool_mesh.vertices.min(0), toadstool_mesh.vertices.max(0)
    assert low[1] == pytest.approx(0, abs=1e-6)
    assert high[1] == pytest.approx(0.14, abs=1e-5)
    assert np.abs(low + high)[[0, 2]].max() < 0.004


def test_sphere_keeps_its_volume_and_faces_outward():
    mesh = mesh_volume(sphere(0.5), max_faces=3000, height_m=1.0)
    assert signed_volume(mesh.vertices, mesh.faces) == pytest.approx(math.pi / 6, rel=0.02)


def test_normals_of_a_sphere_are_its_radii():
    mesh = mesh_volume(sphere(0.5), max_faces=3000, height_m=1.0)
    radii = mesh.vertices - [0, 0.5, 0]
    radii /= np.linalg.norm(radii, axis=1, keepdims=True)
    assert (radii * mesh.normals).sum(1).min() > 0.95
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)


def test_colours_are_linear_and_on_their_part(toadstool_mesh):
    heights = toadstool_mesh.vertices[:, 1] / 0.14
    for wanted, part in ((CAP, heights > 0.7), (STALK, (heights > 0.05) & (heights < 0.3))):
        found = toadstool_mesh.colours[part].mean(0)
        assert found == pytest.approx(((np.array(wanted) + 0.055) / 1.055) ** 2.4, abs=0.03)


def test_a_shape_is_not_mirrored():
    z, y, x = axes(40)
    rod = torch.maximum(torch.maximum(x.abs(), z.abs()) - 0.15, y.abs() - 0.8)
    hand = torch.maximum(torch.maximum((x - 0.4).abs() - 0.4, (y - 0.5).abs() - 0.15), z.abs() - 0.15)
    thumb = torch.maximum(torch.maximum((z - 0.3).abs() - 0.3, (y - 0.0).abs() - 0.15), x.abs() - 0.15)
    mesh = mesh_volume(volume_of(torch.minimum(torch.minimum(rod, hand), thumb)), max_faces=4000)
    assert mesh.vertices[:, 0].max() > 3 * -mesh.vertices[:, 0].min()
    assert mesh.vertices[:, 2].max() > 2.5 * -mesh.vertices[:, 2].min()
    far = mesh.vertices[mesh.vertices[:, 0] > 0.05]
    assert far[:, 1].min() > 0.07


def test_a_form_that_touches_its_box_is_closed():
    z, y, x = axes(24)
    assert is_closed(mesh_volume(volume_of(torch.maximum(x.abs(), z.abs()) - 0.3), max_faces=2000).faces)


def test_specks_and_hollows_are_left_out():
    z, y, x = axes(40)
    speck = ((x - 0.8) ** 2 + (y - 0.8) ** 2 + z**2).sqrt() - 0.1
    radius = (x**2 + y**2 + z**2).sqrt()
    shell = torch.maximum(radius - 0.5, 0.3 - radius)
    mesh = mesh_volume(volume_of(torch.minimum(shell, speck)), max_faces=4000, height_m=1.0)
    assert count_bodies(mesh.faces, len(mesh.vertices)) == 1
    assert signed_volume(mesh.vertices, mesh.faces) == pytest.approx(math.pi / 6, rel=0.03)


def test_a_glassy_form_still_has_a_mesh():
    body = sphere(0.5)
    glassy = Volume(torch.where(body.density > 0, -1.2, EMPTY), body.colour)
    assert float(glassy.cell_alpha().max()) < 0.2
    assert is_closed(mesh_volume(glassy, max_faces=2000).faces)


def test_an_empty_form_is_refused_with_advice():
    empty = Volume(torch.full((16, 16, 16), EMPTY), torch.zeros(3, 16, 16, 16))
    with pytest.raises(InputError, match="the form is empty.*more iterations"):
        mesh_volume(empty, max_faces=1000)


def test_an_open_or_pinched_mesh_is_not_closed():
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    assert is_closed(tetrahedron)
    assert not is_closed(tetrahedron[:3])
    assert not is_closed(np.concatenate([tetrahedron, tetrahedron[:1]]))
    assert not is_closed(tetrahedron[:, ::-1][[0]])
    assert not is_closed(np.concatenate([tetrahedron[:3], tetrahedron[3:, ::-1]]))


def test_glb_gives_the_mesh_and_its_notes_back(tmp_path, toadstool_mesh):
    write_glb(
        tmp_path / "mesh.glb", toadstool_mesh, name="a bonnet", extras={"species": "a bonnet", "seed": 7}
    )
    document, arrays = read_glb(tmp_path / "mesh.glb")
    assert document["asset"]["version"] == "2.0"
    assert document["asset"]["extras"] == {"species": "a bonnet", "seed": 7}
    assert np.array_equal(arrays["POSITION"], toadstool_mesh.vertices)
    assert np.array_equal(arrays["NORMAL"], toadstool_mesh.normals)
    assert np.array_equal(arrays["indices"].reshape(-1, 3), toadstool_mesh.faces)
    assert np.allclose(arrays["COLOR_0"][:, :3] / 65535, toadstool_mesh.colours, atol=1e-5)
    assert list(tmp_path.iterdir()) == [tmp_path / "mesh.glb"]


def test_glb_keeps_the_rules_of_the_format(tmp_path, toadstool_mesh):
    write_glb(tmp_path / "mesh.glb", toadstool_mesh, name="a bonnet", extras={})
    document, arrays = read_glb(tmp_path / "mesh.glb")
    assert (tmp_path / "mesh.glb").stat().st_size % 4 == 0
    position = document["accessors"][0]
    assert position["min"] == arrays["POSITION"].min(0).tolist()
    assert position["max"] == arrays["POSITION"].max(0).tolist()
    assert arrays["indices"].max() < len(arrays["POSITION"]) and arrays["indices"].dtype == np.uint16
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
    assert sum(view["byteLength"] for view in document["bufferViews"]) <= document["buffers"][0]["byteLength"]
