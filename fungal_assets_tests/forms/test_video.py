"""Files: colours and exact black come back, players can begin at once, previews are small."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from fungal_assets.errors import InputError
from fungal_assets.forms.shooting import turn
from fungal_assets.forms.video import read_mp4, write_mp4, write_preview
from fungal_assets_tests.forms.shapes import toadstool


@pytest.fixture(scope="module")
def frames():
    return list(turn(toadstool(24), 24, 96, 96))


@pytest.fixture(scope="module")
def film(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    assert write_mp4(path, iter(frames), frames_per_s=30) == 24
    return path


def test_a_film_keeps_its_colours(tmp_path):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[16:48, 16:48] = (200, 60, 30)
    write_mp4(tmp_path / "film.mp4", [frame] * 4, frames_per_s=10)
    found = read_mp4(tmp_path / "film.mp4")[2]
    assert np.abs(found[20:44, 20:44].astype(int) - (200, 60, 30)).max() <= 6


def test_what_is_two_pixels_from_the_form_is_exactly_black_when_decoded(frames, film):
    """And brighter things are not drowned: the form's own pixels stay as they are."""
    for before, after in zip(frames, read_mp4(film), strict=True):
        ground = ~ndimage.binary_dilation(before.any(2), iterations=2)
        assert ground.mean() > 0.3 and after[ground].max() == 0
        assert np.abs(before.astype(int) - after)[before.max(2) > 60].mean() < 4


def test_noise_beside_black_leaves_it_exactly_black(tmp_path):
    """The hardest edge: without room below black the codec's ringing shows."""
    rng = np.random.default_rng(0)
    frames = [np.zeros((64, 96, 3), np.uint8) for _ in range(6)]
    for frame in frames:
        frame[:, :33] = rng.integers(0, 256, (64, 33, 1))
        frame[:, :33] |= 1
    write_mp4(tmp_path / "film.mp4", frames, frames_per_s=10)
    assert max(int(frame[:, 36:].max()) for frame in read_mp4(tmp_path / "film.mp4")) == 0


def test_the_decoded_circle_closes(film):
    found = [frame.astype(int) for frame in read_mp4(film)]
    steps = [np.abs(a - b).mean() for a, b in zip(found, found[1:] + found[:1], strict=True)]
    assert steps[-1] <= 1.5 * max(steps[:-1])


def test_the_index_of_a_film_stands_before_its_data(film):
    data = film.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_a_film_is_of_the_kind_that_every_player_takes(film):
    import av

    with av.open(str(film)) as opened:
        stream = opened.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 30 and stream.frames == 24
        assert stream.codec_context.color_range == 1 and stream.codec_context.colorspace == 1


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_says_the_same(film):
    fields = "codec_name,pix_fmt,r_frame_rate,color_range,color_space"
    command = ["ffprobe", "-v", "error", "-show_entries", f"stream={fields}", "-of", "csv=p=0", str(film)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert told == "h264,yuv420p,tv,bt709,30/1"


def test_an_odd_side_is_refused(tmp_path):
    with pytest.raises(InputError, match="even sides"):
        write_mp4(tmp_path / "film.mp4", [np.zeros((63, 64, 3), np.uint8)], frames_per_s=10)


def test_no_frame_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match="film.mp4 would have no frame"):
        write_mp4(tmp_path / "film.mp4", [], frames_per_s=10)


def test_a_preview_is_small_moves_loops_and_lasts_as_long(frames, tmp_path):
    path = tmp_path / "film.webp"
    write_preview(path, frames * 2, frames_per_s=30)
    with Image.open(path) as preview:
        assert preview.n_frames == 24 and preview.info["loop"] == 0
        preview.load()
        assert preview.info["duration"] == round(2000 / 30)


def test_a_preview_of_noise_still_fits(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (90, 160, 3), dtype=np.uint8) for _ in range(12)]
    write_preview(tmp_path / "film.webp", noise, frames_per_s=30, most_bytes=12_000)
    assert (tmp_path / "film.webp").stat().st_size <= 12_000
    with Image.open(tmp_path / "film.webp") as preview:
        assert preview.size[0] > preview.size[1]
