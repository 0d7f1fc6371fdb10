import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.forms.checks import (
    check_films,
    check_guide,
    check_recognition,
    check_solidity,
)
from fungal_assets.forms.filming import film_forms, lay_out_pyramid, turn
from fungal_assets.forms.keeping import load_volume, save_volume
from fungal_assets.forms.showing import pictures
from fungal_assets.forms.video import PREVIEW_BYTES, read_mp4, write_mp4
from fungal_assets.forms.views import orbit
from fungal_assets.forms.volume import EMPTY, Camera, Volume
from fungal_assets_tests.forms.shapes import axes, sphere, toadstool

SETTINGS = {"frames": 8, "size_px": 64, "frames_per_s": 12}
GUIDE = "a" * 64


def _keep_form(root, volume, slug="red-toadstool", **changes):
    notes = {"species_id": "species-00", "cluster_id": 0, "common_name": slug.replace("-", " "), "slug": slug,
             "guide_sha256": GUIDE, "recognised": 0.9} | changes  # fmt: skip
    (root / slug).mkdir(parents=True)
    save_volume(root / slug / "form.npz", volume, notes)
    (root / "forms.json").write_text(json.dumps({"forms": [notes]}))
    return root


def _painted_toadstool():
    """Red on one side and blue on the other, so that it can be seen to turn."""
    body, x = toadstool(32), axes(32)[2]
    return Volume(body.density, torch.stack([4 * x, 0 * x, -4 * x]))


@pytest.fixture(scope="module")
def forms_3d(tmp_path_factory):
    return _keep_form(tmp_path_factory.mktemp("forms_3d"), _painted_toadstool())


@pytest.fixture(scope="module")
def videos_3d(forms_3d, tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos_3d")
    film_forms(forms_3d, folder, **SETTINGS)
    return folder


@pytest.fixture
def damaged(forms_3d, videos_3d, tmp_path):
    shutil.copytree(forms_3d, tmp_path / "forms_3d")
    shutil.copytree(videos_3d, tmp_path / "videos_3d")
    return tmp_path


# -- pictures


def test_a_kept_volume_comes_back(tmp_path):
    volume = Volume(sphere().density, sphere().colour, ((-0.5, -1.0, -0.5), (0.5, 1.0, 0.5)))
    save_volume(tmp_path / "form.npz", volume, {"species": "a"})
    loaded = load_volume(tmp_path / "form.npz")
    assert torch.allclose(loaded.density, volume.density, atol=0.02)
    assert loaded.bounds == volume.bounds


def test_a_broken_volume_is_named(tmp_path):
    (tmp_path / "form.npz").write_bytes(b"PK")
    with pytest.raises(ProvenanceError, match="form.npz is no kept form"):
        load_volume(tmp_path / "form.npz")


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


# -- films


def test_films_have_their_frames_and_sides(videos_3d):
    frames = read_mp4(videos_3d / "red-toadstool" / "turntable.mp4")
    assert len(frames) == 8 and frames[0].shape == (64, 64, 3)
    assert read_mp4(videos_3d / "red-toadstool" / "pyramid.mp4")[0].shape == (160, 160, 3)


def test_a_film_keeps_colours_and_exact_black(tmp_path):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[16:48, 16:48] = (200, 60, 30)
    write_mp4(tmp_path / "film.mp4", [frame] * 4, frames_per_s=10)
    found = read_mp4(tmp_path / "film.mp4")[2]
    assert np.abs(found[20:44, 20:44].astype(int) - (200, 60, 30)).max() <= 6
    assert found[:8].max() == 0


def test_the_index_of_a_film_stands_before_its_data(videos_3d):
    data = (videos_3d / "red-toadstool" / "turntable.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_an_odd_side_is_refused(tmp_path):
    with pytest.raises(InputError, match="even sides"):
        write_mp4(tmp_path / "film.mp4", [np.zeros((63, 64, 3), np.uint8)], frames_per_s=10)


@pytest.mark.parametrize("changes", [{"frames": 10}, {"frames": 4}, {"size_px": 60}])
def test_frames_and_sizes_that_cannot_be_filmed_are_refused(forms_3d, tmp_path, changes):
    with pytest.raises(InputError, match="multiple of 4"):
        film_forms(forms_3d, tmp_path, **SETTINGS | changes)


def test_the_preview_is_small_moves_and_loops(videos_3d):
    path = videos_3d / "red-toadstool" / "turntable.webp"
    with Image.open(path) as preview:
        assert preview.n_frames == 4 and preview.info["loop"] == 0
    assert path.stat().st_size <= PREVIEW_BYTES


def test_the_last_frame_leads_into_the_first():
    z, y, x = axes(24)
    arm = Volume(
        torch.where((x > 0) & (z.abs() < 0.2) & (y.abs() < 0.2), 20.0, EMPTY), torch.zeros(3, 24, 24, 24)
    )
    frames = [frame.astype(int) for frame in turn(arm, 24, 32)]
    steps = [np.abs(a - b).mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)]
    assert steps[-1] <= 1.2 * max(steps[:-1])


def test_films_that_are_there_are_kept(forms_3d, videos_3d):
    path = videos_3d / "red-toadstool" / "turntable.mp4"
    before = path.stat().st_mtime_ns
    film_forms(forms_3d, videos_3d, **SETTINGS)
    assert path.stat().st_mtime_ns == before


# -- the pyramid


def _letter_f(value):
    view = np.zeros((32, 32, 3), np.uint8)
    view[4:28, 12:15] = view[4:7, 12:22] = view[14:17, 12:19] = value
    return view


def test_each_tile_is_its_view_flipped_with_the_top_outward():
    views = [_letter_f(value) for value in (50, 100, 150, 200)]
    canvas = lay_out_pyramid(views)
    assert canvas.shape == (80, 80, 3)
    for quarter, view in enumerate(views):
        south = np.rot90(canvas, -quarter)[48:80, 24:56]
        letter = south == view.max()
        assert np.array_equal(letter[::-1], view == view.max())


def test_the_tiles_go_round_counter_clockwise_from_the_south():
    canvas = lay_out_pyramid([np.full((32, 32, 3), value, np.uint8) for value in (50, 100, 150, 200)])
    assert [int(canvas[place][0]) for place in ((70, 40), (40, 70), (10, 40), (40, 10))] == [
        50,
        100,
        150,
        200,
    ]
    assert canvas[32:48, 32:48].max() == 0
    assert canvas[0, 0].max() == 0


# -- checks


def _weights(folder, sha256, base="b" * 64):
    folder.mkdir()
    (folder / "weights.json").write_text(
        json.dumps({"pipeline_sha256": sha256, "base_model": {"sha256": base}})
    )
    return folder


def _renote(root, **changes):
    forms = json.loads((root / "forms.json").read_text())["forms"]
    (root / "forms.json").write_text(json.dumps({"forms": [form | changes for form in forms]}))


def test_good_forms_and_films_pass(forms_3d, videos_3d, tmp_path):
    verdicts = [
        check_guide(forms_3d, _weights(tmp_path / "weights", GUIDE)),
        check_solidity(forms_3d), check_recognition(forms_3d), check_films(videos_3d),
    ]  # fmt: skip
    assert [verdict.finding for verdict in verdicts if not verdict.passed] == []


def test_a_form_guided_by_the_base_model_is_caught(forms_3d, tmp_path):
    verdict = check_guide(forms_3d, _weights(tmp_path / "weights", "c" * 64, base=GUIDE))
    assert not verdict.passed and "red toadstool was guided by the untuned base model" in verdict.finding


def test_a_form_guided_by_older_weights_is_caught(forms_3d, tmp_path):
    verdict = check_guide(forms_3d, _weights(tmp_path / "weights", "c" * 64))
    assert not verdict.passed and "other weights (aaaaaaaaaaaa)" in verdict.finding


@pytest.mark.parametrize(
    ("volume", "finding"),
    [
        (
            Volume(torch.where(sphere(0.6, 24).density > 0, -2.5, EMPTY), torch.zeros(3, 24, 24, 24)),
            "is glassy",
        ),
        (sphere(0.12, 24), "covers"),
    ],
    ids=["ghost", "speck"],
)
def test_a_form_that_is_not_solid_is_caught(tmp_path, volume, finding):
    verdict = check_solidity(_keep_form(tmp_path / "forms_3d", volume))
    assert not verdict.passed and finding in verdict.finding


def test_a_form_taken_for_another_species_is_caught(damaged):
    _renote(damaged / "forms_3d", recognised=0.25)
    verdict = check_recognition(damaged / "forms_3d")
    assert not verdict.passed and "weak: red toadstool (25%)" in verdict.finding


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda frames: frames[:5], "has 5 frames, expected 8"),
        (lambda frames: [frames[0]] * 8, "is frozen"),
        (lambda frames: [np.zeros_like(frames[0])] * 8, "is black all over"),
        (lambda frames: [frame // 2 + 40 for frame in frames], "has corners up to"),
    ],
    ids=["short", "frozen", "black", "grey-ground"],
)
def test_a_faulty_film_is_caught(damaged, change, finding):
    path = damaged / "videos_3d" / "red-toadstool" / "turntable.mp4"
    frames = read_mp4(path)
    frames = [np.roll(frame, index, 1) for index, frame in enumerate(frames)]
    write_mp4(path, change(frames), frames_per_s=12)
    verdict = check_films(damaged / "videos_3d")
    assert not verdict.passed and finding in verdict.finding


@pytest.mark.parametrize("keep_bytes", [0, 40, 900])
def test_a_film_that_does_not_decode_is_caught(damaged, keep_bytes):
    path = damaged / "videos_3d" / "red-toadstool" / "turntable.mp4"
    path.write_bytes(path.read_bytes()[:keep_bytes])
    assert not check_films(damaged / "videos_3d").passed


def test_missing_outputs_are_failed_verdicts_not_errors(tmp_path):
    for check in (check_solidity, check_recognition, check_films):
        assert not check(tmp_path).passed
    assert not check_guide(tmp_path, tmp_path).passed
