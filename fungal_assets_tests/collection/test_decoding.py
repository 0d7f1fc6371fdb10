from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from fungal_assets.collection.decoding import decode, open_image, read_square, upright_size
from fungal_assets_tests.collection.drawing import CORNERS, corners, encode, picture, quarters

# How a camera stores the upright picture for each EXIF orientation: the transform that a viewer must undo.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _turned(orientation: int, kind: str) -> bytes:
    upright = quarters(128, 64)
    stored = upright.transpose(STORED[orientation]) if STORED[orientation] is not None else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(stored, kind, exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_exif_turn_comes_out_upright(orientation, kind):
    data = _turned(orientation, kind)
    assert upright_size(open_image(data)) == (128, 64)
    assert np.allclose(corners(read_square(data, 32).image), CORNERS, atol=30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_allowed_format_becomes_an_rgb_square(kind):
    square = read_square(encode(quarters(120, 90), kind), 48)
    assert (square.image.mode, square.image.size, square.original_side_px) == ("RGB", (48, 48), 90)
    assert np.allclose(corners(square.image), CORNERS, atol=30)


def test_the_square_is_the_centre_of_the_picture():
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    assert np.asarray(read_square(encode(wide), 50).image).reshape(-1, 3)[:, 2].min() > 240


def test_decoding_small_is_near_to_decoding_whole():
    data = encode(picture(3, 1024, 1024), "JPEG", quality=95)
    small, whole = (
        read_square(data, 64).image,
        Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.LANCZOS),
    )
    assert np.abs(np.asarray(small, float) - np.asarray(whole, float)).mean() < 2


def test_sixteen_bit_grey_keeps_its_tones():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(64, axis=0)
    grey = np.asarray(read_square(encode(Image.fromarray(ramp)), 64).image)[32, :, 0].astype(float)
    assert np.allclose(grey, np.linspace(0, 255, 64), atol=3)


def test_dark_sixteen_bit_grey_stays_dark():
    dark = np.full((64, 64), 128, np.uint16)
    assert np.asarray(read_square(encode(Image.fromarray(dark)), 32).image).max() <= 1


@pytest.mark.parametrize("top", [1.0, 255.0], ids=["0-to-1", "0-to-255"])
def test_float_pictures_keep_their_tones(top):
    ramp = np.linspace(0, top, 64, dtype=np.float32)[None].repeat(64, axis=0)
    grey = np.asarray(read_square(encode(Image.fromarray(ramp), "TIFF"), 64).image)[32, :, 0].astype(float)
    assert np.allclose(grey, np.linspace(0, 255, 64), atol=3)


def test_cmyk_becomes_the_colours_that_it_means():
    data = encode(quarters().convert("CMYK"), "JPEG", quality=95)
    assert np.allclose(corners(read_square(data, 48).image), CORNERS, atol=30)
    assert decode(open_image(data), data, 48).damage is None, "what only Pillow decodes is not damaged"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(
    ("settings", "colour"),
    [({}, (255, 255, 255)), ({"ground": "#20c060"}, (32, 192, 96))],
    ids=["white", "green"],
)
def test_what_is_transparent_lies_on_a_ground(mode, settings, colour):
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (32, 0, 64, 64))
    pixels = np.asarray(read_square(encode(clear.convert(mode)), 64, **settings).image)
    assert np.allclose(pixels[:, :24], colour, atol=3) and pixels[:, 40:].max() < 5


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert corners(read_square(data, 20).image)[0] == (255, 0, 0)


def test_a_colour_profile_is_converted_to_srgb():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    in_lab = ImageCms.profileToProfile(
        quarters(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    square = read_square(encode(in_lab, "TIFF", icc_profile=lab), 48)
    assert not square.is_profile_ignored
    assert np.allclose(corners(square.image), CORNERS, atol=12)


def _swapped_profile() -> bytes:
    """The profile of sRGB with the primaries of red and blue, and their curves, exchanged."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for one, other in ((b"rXYZ", b"bXYZ"), (b"rTRC", b"bTRC")):
        assert data.count(one) == data.count(other) == 1
        data = data.replace(one, b"????").replace(other, one).replace(b"????", other)
    return data


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_profile_of_a_plain_picture_counts_whatever_decodes_it(kind, options):
    """Where red and blue are exchanged, a picture whose red and blue are exchanged shows what it means."""
    stored = Image.merge("RGB", quarters().split()[::-1])
    options = options if kind == "JPEG" else {}
    square = read_square(encode(stored, kind, icc_profile=_swapped_profile(), quality=95, **options), 48)
    assert not square.is_profile_ignored
    assert np.allclose(corners(square.image), CORNERS, atol=30)


def test_the_ground_is_the_colour_that_was_chosen_whatever_profile_the_picture_has():
    """The profile counts for the picture's own colours alone."""
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    clear.paste((220, 30, 30, 255), (32, 0, 64, 64))
    data = encode(clear, icc_profile=_swapped_profile())
    pixels = np.asarray(read_square(data, 64, ground="#20c060").image)
    assert np.allclose(pixels[:, :24], (32, 192, 96), atol=1)
    assert np.allclose(pixels[:, 40:], (30, 30, 220), atol=12)


def test_a_profile_that_cannot_be_used_is_told():
    square = read_square(encode(quarters(), icc_profile=b"not a profile"), 48)
    assert square.is_profile_ignored
    assert np.allclose(corners(square.image), CORNERS, atol=3)


def test_a_truncated_file_raises():
    data = encode(picture(1, 400, 400), "JPEG")
    with pytest.raises(OSError, match="truncated"):
        read_square(data[: len(data) // 2], 64)


@pytest.mark.parametrize("side_px", [32, 64, 125, 250])
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"subsampling": 2}, {"progressive": True}], ids=str
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_plain_jpegs_have_the_pixels_that_pillow_decodes(mode, options, side_px):
    data = encode(picture(9, 333, 251).convert(mode), "JPEG", **options)
    found = decode(open_image(data), data, side_px)
    whole = open_image(data)
    whole.draft(None, (333 * side_px // 251, side_px))
    assert found.damage is None
    assert np.array_equal(found.image, whole.convert("RGB"))
    assert side_px <= min(found.image.size) < 2 * side_px or min(found.image.size) == 251


def test_damage_inside_a_jpeg_is_told_and_the_picture_is_there():
    data = bytearray(encode(picture(9, 256, 256), "JPEG"))
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(range(1, 201)) * 2
    found = decode(open_image(bytes(data)), bytes(data), 64)
    assert found.damage.startswith("damaged inside: ")
    assert found.image.size == (64, 64)


def test_a_jpeg_whose_size_pillow_read_otherwise_is_decoded_by_pillow_alone():
    """No other size than that which was judged is decoded, whatever another reader makes of the bytes."""
    small, large = (encode(picture(4, px, px), "JPEG") for px in (64, 512))
    found = decode(open_image(small), large, 64)
    assert np.array_equal(found.image, Image.open(io.BytesIO(small)))
    assert found.damage is None
