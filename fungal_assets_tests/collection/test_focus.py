"""The square of a picture is cut about its subject, however the file lies, and from the centre where none is."""

import io

import numpy as np
import pytest
from PIL import Image

from fungal_assets.collection.admission import admit_images
from fungal_assets.collection.decoding import CENTRE, TURNS, read_specimen, read_square
from fungal_assets.collection.focus import LEAST_PROBABILITY, find_focus, place_square
from fungal_assets.errors import InputError
from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.shards import read_rows
from fungal_assets_tests.collection.drawing import LENIENT, encode


class Eye:
    """Sees a fungus where a picture is brightest: what the place of a square is worth, not the network."""

    def __init__(self, probability=1.0):
        self.probability = probability

    def locate(self, images):
        heat = np.stack([np.asarray(image.convert("L").resize((7, 7)), np.float32) for image in images])
        return np.full(len(images), self.probability, np.float32), heat


def spot(size, at):
    """A grey picture with a white disc of an eighth of its shorter side about a place, in shares of its sides."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    is_spot = np.hypot(x - at[0] * width, y - at[1] * height) < min(size) / 8
    return Image.fromarray(np.where(is_spot, 255, 60).astype(np.uint8)).convert("RGB")


def middle_of(image):
    pixels = np.asarray(image.convert("L")) > 150
    return np.argwhere(pixels).mean(axis=0)[::-1] / image.width


@pytest.mark.parametrize("at", [0.1, 0.35, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("size", [(600, 300), (300, 600)], ids=["wide", "high"])
def test_the_square_holds_a_subject_wherever_it_lies(size, at):
    place = (at, 0.5) if size[0] > size[1] else (0.5, at)
    image = spot(size, place)
    focus = find_focus(image, Eye())
    middle = middle_of(read_square(encode(image), 128, focus=focus).image)
    along = middle[0] if size[0] > size[1] else middle[1]
    if 0.3 < at < 0.8:
        assert along == pytest.approx(0.5, abs=0.08)
    assert 0.15 < along < 0.85


@pytest.mark.parametrize("tag", [1, *TURNS])
def test_a_focus_is_of_the_upright_picture_however_the_file_lies(tag):
    image = spot((600, 300), (0.8, 0.4))
    inverse = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = image if tag == 1 else image.transpose(inverse.get(tag, TURNS[tag]))
    exif = Image.Exif()
    exif[0x0112] = tag
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=95, exif=exif)
    plain = np.asarray(read_square(encode(image), 128, focus=0.9).image, int)
    turned = np.asarray(read_square(buffer.getvalue(), 128, focus=0.9).image, int)
    assert np.abs(plain - turned).mean() < 3


def test_the_ends_of_a_picture_are_reached_and_not_passed():
    heat = np.zeros((7, 7))
    heat[:, 0] = 1
    assert place_square(heat, (400, 300)) == 0
    assert place_square(heat[:, ::-1], (400, 300)) == 1
    assert place_square(heat.T, (300, 400)) == 0
    assert place_square(np.ones((7, 7)), (400, 300)) == CENTRE


def test_no_fungus_leaves_the_centre_and_a_square_is_not_looked_at():
    assert find_focus(spot((600, 300), (0.1, 0.5)), Eye(probability=0.19)) == CENTRE
    assert find_focus(spot((300, 300), (0.1, 0.5)), eye=None) == CENTRE


def test_the_network_finds_a_fungus_beside_the_centre():
    """A specimen of the package, the one that it most takes for a fungus, at either end of an empty field."""
    eye = EfficientNetLite0()
    field = Image.new("RGB", (448, 224), (90, 120, 60))
    mushroom = best_known(eye).resize((224, 224))
    left, right = field.copy(), field.copy()
    left.paste(mushroom, (0, 0))
    right.paste(mushroom, (224, 0))
    assert (eye.locate([left, right])[0] >= LEAST_PROBABILITY).all()
    assert find_focus(left, eye) < 0.25
    assert find_focus(right, eye) > 0.75


def best_known(eye):
    from fungal_assets.pocket import SPECIMENS_DIR

    pictures = [Image.open(path).convert("RGB") for path in sorted(SPECIMENS_DIR.glob("specimen-*.webp"))]
    return pictures[int(eye.judge(pictures).argmax())]


@pytest.fixture
def photographs(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "wide.jpg").write_bytes(encode(spot((640, 320), (0.2, 0.5)), "JPEG"))
    return source


@pytest.mark.parametrize("crop", ["subject", "centre"])
def test_specimens_keep_their_focus_and_are_read_by_it(tmp_path, photographs, monkeypatch, crop):
    monkeypatch.setattr("fungal_assets.collection.looking._classifier", Eye)
    folder = tmp_path / "raw"
    folder.mkdir()
    admit_images(folder, source=str(photographs), **LENIENT | {"crop": crop})
    (row,) = read_rows(folder)
    assert (row["focus"] < 0.2) if crop == "subject" else (row["focus"] == CENTRE)
    strip = read_specimen(row, 128).crop((45, 0, 60, 128)).convert("L")
    assert (strip.getextrema()[1] > 200) == (crop == "subject")


@pytest.mark.parametrize("settings", [{}, {"ground": "black"}], ids=["white", "black"])
def test_specimens_keep_the_ground_that_they_lie_on(tmp_path, settings):
    """A grey disc that is cut out is as grey on any ground, which fills the corners of whatever is cut of it."""
    source, folder = tmp_path / "source", tmp_path / "raw"
    source.mkdir(), folder.mkdir()
    disc = spot((128, 128), (0.5, 0.5)).convert("L")
    cut = Image.merge("LA", [Image.new("L", disc.size, 90), disc.point(lambda light: 255 * (light > 200))])
    (source / "cut.png").write_bytes(encode(cut))
    admit_images(folder, source=str(source), **LENIENT | settings)
    (row,) = read_rows(folder)
    square = read_specimen(row, 64)
    ground = 0 if settings else 255
    assert square.getpixel((1, 1)) == (ground,) * 3 and square.getpixel((32, 32)) == (90, 90, 90)
    before = {name: value for name, value in row.items() if name != "ground"}
    assert read_specimen(before, 64).getpixel((1, 1)) == (255, 255, 255), "rows of before lie on white"
    sheet = Image.open(folder / "contact_sheet.webp").convert("RGB")
    assert abs(sheet.getpixel((4, 4))[0] - ground) < 40


@pytest.mark.parametrize("ground", ["mossy", "#12", "#ff000080"])
def test_a_ground_that_is_no_opaque_colour_is_refused(tmp_path, photographs, ground):
    with pytest.raises(InputError, match=f"ground is '{ground}'; expected an opaque colour"):
        admit_images(tmp_path, source=str(photographs), **LENIENT | {"ground": ground})


def test_an_unknown_crop_is_refused_with_those_that_there_are(tmp_path, photographs):
    with pytest.raises(InputError, match="crop is 'smart'; expected 'subject' or 'centre'"):
        admit_images(tmp_path, source=str(photographs), **LENIENT | {"crop": "smart"})


def test_a_copy_is_found_whatever_its_own_focus(tmp_path, monkeypatch):
    """The classifier, hardly sure, sees a fungus in the larger file and none in the smaller one."""
    source, folder = tmp_path / "source", tmp_path / "raw"
    source.mkdir()
    folder.mkdir()
    image = spot((640, 320), (0.2, 0.5))
    (source / "large.jpg").write_bytes(encode(image, "JPEG"))
    (source / "small.jpg").write_bytes(encode(image.resize((480, 240)), "JPEG"))

    class Unsure(Eye):
        def locate(self, images):
            self.probability = 0.21 if images[0].width > 500 else 0.19
            return super().locate(images)

    monkeypatch.setattr("fungal_assets.collection.looking._classifier", Unsure)
    figures = admit_images(folder, source=str(source), **LENIENT | {"crop": "subject"})
    assert (figures["admitted"], figures["rejected_near_duplicate"]) == (1, 1)
