"""Pictures of forms as they are kept: on the ground asked for, whole, and exactly black where nothing is."""

import numpy as np
import pytest
import torch

from fungal_assets.errors import ProvenanceError
from fungal_assets.forms.keeping import load_volume, save_volume
from fungal_assets.forms.showing import pictures
from fungal_assets.forms.views import orbit
from fungal_assets.forms.volume import Camera, Volume
from fungal_assets_tests.forms.shapes import axes, sphere, toadstool


def test_a_kept_volume_comes_back(tmp_path):
    volume = Volume(sphere().density, sphere().colour, ((-0.5, -1.0, -0.5), (0.5, 1.0, 0.5)))
    save_volume(tmp_path / "form.npz", volume, {"species": "a"})
    loaded = load_volume(tmp_path / "form.npz")
    assert torch.allclose(loaded.density, volume.density, atol=0.02)
    assert loaded.bounds == volume.bounds


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda kept: b"", id="empty"),
        pytest.param(lambda kept: b"PK", id="no archive"),
        pytest.param(lambda kept: kept[: len(kept) // 2], id="cut off"),
        pytest.param(lambda kept: kept[:400] + bytes(40) + kept[440:], id="zeros amid it"),
    ],
)
def test_a_broken_volume_is_named_with_the_command_that_grows_it_again(tmp_path, damage):
    path = tmp_path / "form.npz"
    save_volume(path, toadstool(16), {})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ProvenanceError, match="form.npz is no kept form.*--until forms_3d.*--with ancestors"):
        load_volume(path)


def test_a_haze_leaves_the_ground_exactly_black():
    body = sphere(0.4)
    z, y, x = axes(48)
    hazy = Volume(torch.where((x.abs() < 0.9) & (body.density < 0), -6.0, body.density), body.colour)
    picture = next(pictures(hazy, [Camera(0, 0)], 64))
    assert picture[:3].max() == 0 and picture[:, :3].max() == 0
    assert picture[32, 32].min() > 100


def test_a_form_anywhere_in_its_box_fills_the_picture_and_stays_inside():
    for volume in (sphere(0.2, centre=(0.5, 0.4, -0.3)), toadstool(32)):
        for picture in pictures(volume, orbit(4, elevation_deg=10), 64):
            rows, columns = np.nonzero(picture.max(2) > 20)
            assert max(np.ptp(rows), np.ptp(columns)) > 30
            assert min(rows.min(), columns.min()) > 0 and max(rows.max(), columns.max()) < 63


def test_the_ground_is_the_one_asked_for():
    picture = next(pictures(sphere(0.3), [Camera(0, 0)], 32, ground=(1.0, 0.5, 0.0)))
    assert picture[0, 0].tolist() == [255, 128, 0]
