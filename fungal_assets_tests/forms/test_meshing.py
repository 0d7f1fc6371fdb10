import math

import numpy as np
import pytest
import torch

from fungal_assets.errors import InputError
from fungal_assets.forms.meshing import find_surface, mesh_volume, stand, thin_surface
from fungal_assets.forms.topology import count_bodies, fault_of, is_closed, signed_volume
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


def test_colours_are_on_their_part(toadstool_mesh):
    heights = toadstool_mesh.vertices[:, 1] / 0.14
    for wanted, part in ((CAP, heights > 0.7), (STALK, (heights > 0.05) & (heights < 0.3))):
        assert toadstool_mesh.colours[part].mean(0) == pytest.approx(np.array(wanted), abs=0.03)


def test_levels_of_detail_are_closed_and_in_each_others_place():
    surface = find_surface(toadstool())
    levels = [thin_surface(surface, max_faces=budget) for budget in (4000, 1000, 250)]
    places = [stand(level.vertices, surface, height_m=2.0) for level in levels]
    assert [len(level.faces) for level in levels] == [4000, 1000, 250]
    for level, vertices in zip(levels, places, strict=True):
        assert fault_of(vertices, level.faces) == ""
        assert vertices[:, 1].min() == 0 and vertices[:, 1].max() == pytest.approx(2.0, rel=0.02)
        assert (vertices.max(0) - places[0].max(0)) == pytest.approx(np.zeros(3), abs=0.04)


def test_a_form_with_tunnels_is_thinned_all_the_same():
    """The sides of bent tunnels of a cell through a ball meet when they are thinned, and are taken apart."""
    z, y, x = axes(48)
    ball = (x**2 + y**2 + z**2).sqrt() - 0.6
    for height in (-0.3, 0, 0.3):
        bent = torch.maximum((z - 0.3 * (1 - (x / 0.55) ** 2)).abs(), (y - height).abs()) - 0.03
        ball = torch.maximum(ball, -bent)
    surface = find_surface(volume_of(ball))
    handles = 1 - (len(surface.points) - len(surface.faces) // 2) // 2
    mesh = thin_surface(surface, max_faces=1000)
    assert handles == 3 and len(mesh.faces) <= 1000 and fault_of(mesh.vertices, mesh.faces) == ""


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
