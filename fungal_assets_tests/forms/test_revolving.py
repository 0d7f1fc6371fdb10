"""The first guess: what is found in a picture, and what becomes of it when it is turned."""

import numpy as np
import pytest
from PIL import Image

from fungal_assets.forms.revolving import best_silhouette, find_backdrop, find_silhouette, revolve
from fungal_assets.forms.views import orbit
from fungal_assets.forms.volume import Camera, render
from fungal_assets_tests.forms.shapes import BEIGE, RED, mushroom

SIZE = 128


@pytest.mark.parametrize("ground", [(4, 4, 4), (240, 240, 244)])
def test_the_subject_is_found_on_a_dark_and_on_a_light_ground(ground):
    shape = find_silhouette(mushroom(ground=ground))
    truth = mushroom(ground=(0, 0, 0)).any(-1)
    overlap = (shape.mask & truth).sum() / (shape.mask | truth).sum()
    assert overlap > 0.85 and shape.axis_px == pytest.approx(64, abs=1) and shape.symmetry > 0.9


def test_a_picture_without_a_free_subject_gives_no_silhouette():
    plain = np.full((SIZE, SIZE, 3), 9, dtype=np.uint8)
    assert find_silhouette(plain) is None
    assert find_silhouette(mushroom(at=14)) is None
    assert best_silhouette([plain, mushroom(at=14)]) is None


def test_a_floor_is_no_part_of_the_subject_and_makes_the_backdrop():
    picture = mushroom()
    picture[94:][(picture[94:] == 4).all(-1)] = 40
    shape, backdrop = find_silhouette(picture), find_backdrop([picture], lightness=0.05)
    assert not shape.mask[:, :16].any() and shape.mask[100, 64]
    assert backdrop.shape == (3, SIZE)
    assert float(backdrop[0, 40]) == pytest.approx(4 / 255, abs=0.01)
    assert float(backdrop[0, 120]) == pytest.approx(40 / 255, abs=0.01)
    moved = find_backdrop([picture], lightness=0.05, shift=0.25)
    assert float(moved[0, 72]) == pytest.approx(40 / 255, abs=0.01)
    assert float(find_backdrop([picture], lightness=0.9).min()) == pytest.approx(0.9)


def test_a_dark_gap_between_cap_and_stem_is_bridged():
    picture = mushroom()
    picture[62:67] = 4
    shape = find_silhouette(picture)
    assert shape.mask[40, 64] and shape.mask[100, 64] and shape.share > 0.95


def test_the_most_upright_picture_is_chosen():
    leaning, upright = mushroom(lean=20), mushroom()
    assert (best_silhouette([leaning, upright]).picture == upright).all()


def test_a_cap_on_a_stem_has_more_appeal_than_a_ball():
    ball = np.full((SIZE, SIZE, 3), 4, dtype=np.uint8)
    ball[np.hypot(*(np.indices((SIZE, SIZE)) - 63.5)) < 34] = BEIGE
    shapes = find_silhouette(ball), find_silhouette(mushroom())
    assert shapes[0].merit > 0.95 and shapes[0].appeal < 0.75
    assert shapes[1].appeal > shapes[0].appeal + 0.1
    assert (best_silhouette([ball, mushroom()]).picture == mushroom()).all()


@pytest.mark.parametrize("size_px", [64, 128, 512])
def test_the_size_of_a_picture_makes_no_difference(size_px):
    picture = np.asarray(Image.fromarray(mushroom()).resize((size_px, size_px), Image.Resampling.BICUBIC))
    shape, usual = find_silhouette(picture), find_silhouette(mushroom())
    overlap = (shape.mask & usual.mask).sum() / (shape.mask | usual.mask).sum()
    assert shape.mask.shape == (SIZE, SIZE) and overlap > 0.9


def test_a_subject_that_runs_out_of_the_picture_is_none():
    picture = mushroom()
    picture[100:, 56:72] = BEIGE
    assert find_silhouette(picture) is None


def test_a_turned_silhouette_looks_like_its_picture_from_all_sides():
    volume = revolve(find_silhouette(mushroom()), 48)
    for camera in orbit(4, elevation_deg=0):
        view = render(volume, Camera(camera.azimuth_deg, 0, fov_deg=29), SIZE)
        widths = (view.alpha.numpy() > 0.5).sum(1)
        assert 68 <= widths.max() <= 90 and 10 <= np.median(widths[80:100]) <= 26
        cap, stem = (view.rgb[:, rows, 60:68].mean((1, 2)) for rows in (slice(36, 52), slice(88, 98)))
        assert cap[0] > 2 * cap[1] and stem[1] > 0.5


def test_the_picture_is_painted_in_front_and_behind_and_mirrored_on_both_sides():
    picture = mushroom()
    picture[:60, :64][(picture[:60, :64] == RED).all(-1)] = (30, 60, 220)
    volume = revolve(find_silhouette(picture), 48)
    for azimuth_deg, is_mirrored in ((0, False), (90, True), (180, False), (270, True)):
        view = render(volume, Camera(azimuth_deg, 0, fov_deg=29), SIZE)
        left, right = view.rgb[:, 40:50, 48:60].mean((1, 2)), view.rgb[:, 40:50, 68:80].mean((1, 2))
        blue, red = (right, left) if is_mirrored else (left, right)
        assert blue[2] > 2 * blue[0] and red[0] > 2 * red[2], azimuth_deg


def test_branches_stand_out_on_all_sides_and_stay_apart():
    """Three arms beside a trunk: a body of revolution would close the gaps between them."""
    picture = mushroom()
    picture[:] = 4
    picture[54:104, 58:70] = BEIGE
    picture[54:64, 30:98] = BEIGE
    for left in (30, 59, 88):
        picture[24:60, left : left + 10] = BEIGE
    shape = find_silhouette(picture)
    volume = revolve(shape, 64)
    for camera in orbit(12, elevation_deg=0):
        alpha = render(volume, Camera(camera.azimuth_deg, 0, fov_deg=29), SIZE).alpha.numpy() > 0.5
        arms = alpha[36]
        assert 3 <= np.diff(arms.astype(int), prepend=0).clip(0).sum() <= 5, camera.azimuth_deg
        assert np.ptp(np.flatnonzero(arms)) > 40, camera.azimuth_deg
        assert 8 <= alpha[90].sum() <= 16, "the trunk is one"
    front = render(volume, Camera(0, 0, fov_deg=29), SIZE).alpha.numpy() > 0.5
    assert (front & shape.mask).sum() > 0.8 * shape.mask.sum()


def test_a_subject_that_is_dark_on_one_side_has_less_appeal():
    lopsided = mushroom()
    lopsided[:60, :50][(lopsided[:60, :50] == RED).all(-1)] = (40, 10, 8)
    spotted = mushroom()
    for x in (40, 56, 72, 88):
        spotted[40:46, x - 3 : x + 3] = (240, 240, 240)
    plain, lopsided, spotted = (find_silhouette(picture) for picture in (mushroom(), lopsided, spotted))
    assert plain.evenness > 0.97 and spotted.evenness > 0.95
    assert lopsided.evenness < 0.92 and lopsided.appeal < 0.9 * plain.appeal


def test_a_turned_silhouette_is_opaque_inside_and_empty_outside():
    volume = revolve(find_silhouette(mushroom()), 48)
    alpha = volume.cell_alpha().numpy()
    assert alpha[24, 30, 24] > 0.5
    assert max(alpha[0].max(), alpha[:, 0].max(), alpha[:, -1].max()) < 0.01
