import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from fungal_assets.galleries.copies import MIN_CORRELATION, Traced, find_original, relief
from fungal_assets_tests.galleries.specimens import KINDS, SIDE_PX, trained, unseen


def saved_anew(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def cropped(image, share=0.8):
    side = round(SIDE_PX * share)
    return image.crop((0, 0, side, side)).resize(image.size, Image.Resampling.BICUBIC)


EDITS = {
    "the same": lambda image: image,
    "saved anew": saved_anew,
    "cropped": cropped,
    "mirrored": ImageOps.mirror,
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "in grey": lambda image: image.convert("L").convert("RGB"),
    "softened": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
    "mirrored, cropped and saved anew": lambda image: saved_anew(cropped(ImageOps.mirror(image), 0.87)),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_of_a_training_image_correlates_with_it(kind, edit):
    found = [Traced(EDITS[edit](image)).correlation(image) for image in trained(kind)[:4]]
    assert min(found) >= MIN_CORRELATION


@pytest.mark.parametrize("kind", KINDS)
def test_another_picture_of_the_same_kind_does_not(kind):
    found = [Traced(image).correlation(other) for image in unseen(kind) for other in trained(kind)[:6]]
    assert max(found) < MIN_CORRELATION


def test_the_original_is_found_among_its_like_and_a_strangers_is_not_named_a_copy():
    candidates = [(str(index), 0.5, image) for index, image in enumerate(trained(KINDS[0])[:5])]
    found = find_original(cropped(ImageOps.mirror(trained(KINDS[0])[3])), candidates)
    assert (found.image_id, found.is_copied, found.cosine) == ("3", True, 0.5)
    assert not find_original(unseen(KINDS[1])[0], candidates).is_copied


def test_a_blank_picture_is_a_copy_of_nothing():
    blank = Image.new("RGB", (SIDE_PX, SIDE_PX), "grey")
    image = trained(KINDS[0])[0]
    for picture, original in ((blank, image), (image, blank), (blank, blank)):
        assert Traced(picture).correlation(original) == pytest.approx(0, abs=1e-6)


def test_a_relief_knows_nothing_of_light():
    image = trained(KINDS[0])[0]
    lit = Image.fromarray((np.asarray(image) // 2 + 60).astype(np.uint8))
    plain, of_lit = relief(image, 48).ravel(), relief(lit, 48).ravel()
    assert np.corrcoef(plain, of_lit)[0, 1] > 0.99
    assert abs(plain.mean()) < 2
