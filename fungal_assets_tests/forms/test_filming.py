"""The stage `videos_3d`: every format of every form, and what is wrong with one is found."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.defs.previewing import sheets
from fungal_assets.errors import InputError
from fungal_assets.forms.film_checks import check_films
from fungal_assets.forms.filming import FORMATS, film_forms
from fungal_assets.forms.keeping import save_volume
from fungal_assets.forms.quilts import cut_quilt, get_display, lay_out_quilt
from fungal_assets.forms.shooting import PREVIEWS_BYTES
from fungal_assets.forms.video import read_mp4, write_mp4
from fungal_assets.forms.volume import Volume
from fungal_assets_tests.forms.shapes import axes, toadstool

SLUG = "red-toadstool"
QUILT, QUILT_FILM = "quilt_qs8x6a0.75.png", "quilt_qs8x6a0.75.mp4"
SETTINGS = {
    "frames": 8,
    "size_px": 64,
    "frames_per_s": 30,
    "formats": [name for name in FORMATS if name != "quilt_film"],
    "pyramid_screen": "below",
    "screen_mm": 70.0,
    "orientation": "portrait",
    "display": "portrait",
    "quilt_px": 240,
    "individuals": 3,
    "seed": 0,
}


@pytest.fixture(scope="module")
def forms_3d(tmp_path_factory):
    """One toadstool, red on one side and blue on the other, so that it can be seen to turn."""
    root, (_, y, x) = tmp_path_factory.mktemp("forms_3d"), axes(24)
    notes = {"species_id": "species-00", "common_name": "red toadstool", "slug": SLUG}
    (root / SLUG).mkdir()
    save_volume(
        root / SLUG / "form.npz", Volume(toadstool(24).density, torch.stack([4 * x, y, -4 * x])), notes
    )
    (root / "forms.json").write_text(json.dumps({"forms": [notes]}))
    return root


@pytest.fixture(scope="module")
def videos_3d(forms_3d, tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos_3d")
    film_forms(forms_3d, folder, **SETTINGS)
    return folder


@pytest.fixture
def damaged(videos_3d, tmp_path):
    return shutil.copytree(videos_3d, tmp_path / "videos_3d")


def test_every_format_has_its_file_and_size(videos_3d):
    sizes = {
        "turntable.mp4": (64, 64),
        "pyramid.mp4": (160, 160),
        "black.mp4": (64, 114),
        "vertical.mp4": (64, 114),
        "group.mp4": (114, 64),
    }
    for name, size in sizes.items():
        frames = read_mp4(videos_3d / SLUG / name)
        assert len(frames) == 8 and frames[0].shape[1::-1] == size, name
    with Image.open(videos_3d / SLUG / QUILT) as quilt, Image.open(videos_3d / SLUG / "group.png") as group:
        assert (quilt.size, group.size) == ((240, 240), (228, 128))
    previews = {path.stem for path in (videos_3d / SLUG).glob("*.webp")}
    assert previews == set(SETTINGS["formats"]) - {"group_film"}
    assert (videos_3d / "pyramid_template.svg").exists() and (videos_3d / "pyramid_template.pdf").exists()


def test_the_list_says_what_is_there(videos_3d):
    listed = json.loads((videos_3d / "videos.json").read_text())
    (film,) = listed["videos"]
    there = {path.name for path in (videos_3d / SLUG).iterdir() if path.suffix in (".mp4", ".png")}
    assert set(film["files"]) == there and film["slug"] == SLUG
    assert film["files"]["pyramid.mp4"] == {"width_px": 160, "height_px": 160, "frames": 8}
    assert film["files"][QUILT]["display"] == "portrait"


def test_all_previews_together_fit_one_event(videos_3d):
    size = sum(path.stat().st_size for path in (videos_3d / SLUG).glob("*.webp"))
    assert 0 < size <= PREVIEWS_BYTES and PREVIEWS_BYTES * 4 / 3 < 90_000


def test_the_asset_page_shows_each_format_in_one_event_under_100_kb(videos_3d):
    shown = sheets(animations="*/*.webp")(videos_3d)
    assert set(shown) == {"turntable", "pyramid", "black", "vertical", "quilt", "group"}
    assert all(text.startswith(f"![{name}](data:image/webp") for name, text in shown.items())
    assert sum(map(len, shown.values())) < 95_000


def test_placements_lie_beside_the_group(videos_3d):
    placed = json.loads((videos_3d / SLUG / "group.json").read_text())
    assert len(placed["individuals"]) == 3 and {"x", "z", "turn_deg", "scale", "lean"} <= set(
        placed["individuals"][0]
    )


def test_another_seed_places_another_group(forms_3d, videos_3d, tmp_path):
    film_forms(forms_3d, tmp_path, **SETTINGS | {"formats": ["group"], "seed": 1})
    assert (tmp_path / SLUG / "group.json").read_text() != (videos_3d / SLUG / "group.json").read_text()
    assert not (tmp_path / "pyramid_template.svg").exists() and not (tmp_path / SLUG / "pyramid.mp4").exists()


def test_what_is_filmed_is_kept_and_what_was_cut_off_is_made_again(forms_3d, damaged):
    path = damaged / SLUG / "turntable.mp4"
    whole, before = path.read_bytes(), path.stat().st_mtime_ns
    film_forms(forms_3d, damaged, **SETTINGS)
    assert path.stat().st_mtime_ns == before
    (damaged / SLUG / "film.json").unlink()
    path.write_bytes(whole[:500])
    film_forms(forms_3d, damaged, **SETTINGS | {"formats": ["vertical"]})
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 10}, "frames is 10; expected a multiple of 4, at least 8"),
        ({"frames": 4}, "frames is 4; expected a multiple of 4, at least 8"),
        ({"size_px": 60}, "size_px is 60; expected a multiple of 8"),
        ({"formats": ["cube", "pyramid"]}, r"formats has \['cube'\]; expected some of turntable, pyramid"),
        ({"pyramid_screen": "beside"}, "pyramid_screen is 'beside'; expected below or above"),
        (
            {"orientation": "square", "frames": 9},
            "frames is 9.*; orientation is 'square'; expected landscape or",
        ),
        ({"display": "tv"}, "display is 'tv'; expected portrait or go"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_be_filmed_are_refused(forms_3d, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        film_forms(forms_3d, tmp_path, **SETTINGS | changes)


# -- checks


def test_good_films_pass(forms_3d, videos_3d):
    verdict = check_films(videos_3d, forms_3d)
    assert verdict.passed, verdict.finding
    assert verdict.figures == {"films": 5, "stills": 2, "faulty": 0}


def test_a_quilt_is_filmed_turning_and_its_order_checked(forms_3d, tmp_path):
    film_forms(forms_3d, tmp_path, **SETTINGS | {"formats": ["quilt_film"], "quilt_px": 400})
    frames = read_mp4(tmp_path / SLUG / QUILT_FILM)
    assert len(frames) == 8 and frames[0].shape == (396, 400, 3)
    assert check_films(tmp_path, forms_3d).passed
    display = get_display("portrait")
    turned = [lay_out_quilt(display, cut_quilt(display, frame)[::-1]) for frame in frames]
    write_mp4(tmp_path / SLUG / QUILT_FILM, turned, frames_per_s=30)
    verdict = check_films(tmp_path, forms_3d)
    assert not verdict.passed and "shows as view 0 what belongs to view" in verdict.finding


@pytest.mark.parametrize("name", ["turntable.mp4", "pyramid.mp4", "black.mp4", "vertical.mp4", "group.mp4"])
@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda frames: frames[:5], "has 5 frames, expected 8"),
        (lambda frames: [frames[0]] * 8, "is frozen"),
        (lambda frames: [np.zeros_like(frames[0])] * 8, "is black all over"),
        (lambda frames: [frame // 2 + 40 for frame in frames], "has a ground up to"),
        (lambda frames: [frame[:-2] for frame in frames], "expected"),
    ],
    ids=["short", "frozen", "black", "grey-ground", "small"],
)
def test_a_faulty_film_is_caught(forms_3d, damaged, name, change, finding):
    path = damaged / SLUG / name
    write_mp4(path, change(read_mp4(path)), frames_per_s=12)
    verdict = check_films(damaged, forms_3d)
    assert not verdict.passed and verdict.figures["faulty"] == 1
    assert f"red toadstool's {name} " in verdict.finding and finding in verdict.finding


def test_a_film_that_does_not_close_its_circle_is_caught(forms_3d, tmp_path):
    film_forms(forms_3d, tmp_path, **SETTINGS | {"formats": [], "frames": 48})
    path = tmp_path / SLUG / "turntable.mp4"
    frames = read_mp4(path)
    write_mp4(path, [frames[index // 2] for index in range(48)], frames_per_s=30)
    verdict = check_films(tmp_path, forms_3d)
    assert not verdict.passed and "jumps from its last frame to its first" in verdict.finding


@pytest.mark.parametrize(
    "order",
    [
        np.arange(48)[::-1],
        np.arange(48).reshape(6, 8)[::-1].ravel(),
        np.arange(48).reshape(6, 8)[:, ::-1].ravel(),
    ],
    ids=["reversed", "top-row-first", "rightmost-first"],
)
def test_a_quilt_whose_views_are_out_of_order_is_caught(forms_3d, damaged, order):
    display, path = get_display("portrait"), damaged / SLUG / QUILT
    views = cut_quilt(display, np.asarray(Image.open(path)))
    Image.fromarray(lay_out_quilt(display, [views[index] for index in order])).save(path)
    verdict = check_films(damaged, forms_3d)
    assert not verdict.passed and "what belongs to view" in verdict.finding


@pytest.mark.parametrize("name", ["turntable.mp4", "pyramid.mp4", "group.mp4", "group.png", QUILT])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.6])
def test_a_file_that_is_cut_off_is_caught(forms_3d, damaged, name, share):
    path = damaged / SLUG / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    verdict = check_films(damaged, forms_3d)
    assert not verdict.passed and f"red toadstool's {name}" in verdict.finding


@pytest.mark.parametrize("name", ["black.mp4", QUILT])
def test_a_file_that_is_gone_is_caught(forms_3d, damaged, name):
    (damaged / SLUG / name).unlink()
    assert not check_films(damaged, forms_3d).passed


def test_missing_and_empty_outputs_are_failed_verdicts_not_errors(forms_3d, tmp_path):
    assert not check_films(tmp_path, forms_3d).passed
    (tmp_path / "videos.json").write_text('{"videos": []}')
    assert "lists no film" in check_films(tmp_path, forms_3d).finding
