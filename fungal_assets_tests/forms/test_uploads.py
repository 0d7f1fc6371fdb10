import json
import struct

import numpy as np
import pytest
import torch

from fungal_assets.errors import InputError
from fungal_assets.forms.gltf import write_glb
from fungal_assets.forms.meshing import Mesh, mesh_volume
from fungal_assets.forms.uploads import HALF_SIDE, load_upload
from fungal_assets_tests.forms.shapes import toadstool

BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 1)], dtype=np.float32)
SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
FACES = np.array([face for a, b, c, d in SIDES for face in ((a, b, c), (a, c, d))])


def _write(path, vertices=BOX, faces=FACES):
    ones = np.ones_like(vertices) / 3**0.5
    write_glb(path, Mesh(vertices, faces, ones, np.full_like(vertices, 0.2)), name="it", extras={})
    return path


def test_a_grown_mesh_comes_back_as_the_volume_that_it_was_made_of(tmp_path):
    truth = toadstool(40)
    write_glb(tmp_path / "it.glb", mesh_volume(truth, max_faces=3000), name="it", extras={})
    upload = load_upload(tmp_path / "it.glb", 40)
    assert upload.is_painted
    rows = (truth.cell_alpha() > 0.5).any(2).any(0).nonzero()[:, 0]
    tall = float(rows[-1] - rows[0] + 1) * 2 / 39
    is_body = upload.volume.cell_alpha() > 0.5
    own = is_body.any(2).any(0).nonzero()[:, 0]
    assert float(own[-1] - own[0] + 1) * 2 / 39 == pytest.approx(2 * HALF_SIDE, abs=0.06)
    shrunk = ((truth.cell_alpha() > 0.5).sum() * (2 * HALF_SIDE / tall) ** 3).item()
    assert is_body.sum().item() == pytest.approx(shrunk, rel=0.1)
    rgb = upload.volume.rgb()
    cap, stalk = rgb[:, 20, own[-1] - 3, 20], rgb[:, 20, own[0] + 3, 20]
    assert torch.allclose(cap, torch.tensor([0.85, 0.15, 0.1]), atol=0.04)
    assert torch.allclose(stalk, torch.tensor([0.9, 0.85, 0.7]), atol=0.04)


def test_a_mesh_without_colours_is_grey_and_said_to_be_unpainted(tmp_path):
    path = _write(tmp_path / "it.glb")
    data = path.read_bytes().replace(b'"COLOR_0":2', b'"_OTHER_":2')
    path.write_bytes(data)
    upload = load_upload(path, 16)
    assert not upload.is_painted
    assert float((upload.volume.rgb() - 0.5).abs().max()) < 1e-5


def test_vertices_that_are_doubled_at_a_seam_are_no_hole(tmp_path):
    doubled = BOX[FACES].reshape(-1, 3)
    path = _write(tmp_path / "it.glb", doubled, np.arange(len(doubled)).reshape(-1, 3))
    assert float((load_upload(path, 16).volume.cell_alpha() > 0.5).float().mean()) > 0.02


def _without_magic(path):
    path.write_bytes(b"solid it" + path.read_bytes()[8:])


def _quantised(path):
    """The indices' accessor names a type that this project does not write."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    document["accessors"][0]["componentType"] = 5121
    text = json.dumps(document, separators=(",", ":")).encode().ljust(length)
    path.write_bytes(data[:20] + text[:length] + data[20 + length :])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "is not a file. Give the path of a .glb file"),
        (_without_magic, "can't be read .*no whole GLB 2.0"),
        (_quantised, "can't be read .KeyError: 5121.; expected a GLB 2.0 file with one mesh"),
        (lambda path: _write(path, faces=FACES[:-1]), "has holes or edges of more than two faces"),
        (lambda path: _write(path, faces=FACES[:2]), "has 2 faces .expected 4 to 200000."),
        (lambda path: _write(path, BOX * [1, 1, 0]), "no extent along one of its axes"),
    ],
    ids=["no file", "no GLB", "quantised", "open", "too few faces", "flat"],
)
def test_what_can_not_be_a_first_guess_is_refused_with_what_was_found(tmp_path, spoil, message):
    path = _write(tmp_path / "it.glb")
    spoil(path)
    with pytest.raises(InputError, match=message):
        load_upload(path, 16)
