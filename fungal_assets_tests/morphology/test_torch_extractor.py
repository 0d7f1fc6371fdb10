from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fungal_assets.morphology.extractors import find_extractor
from fungal_assets.morphology.torch_extractor import TorchExtractor, cut_square
from fungal_assets_tests.morphology.conftest import KINDS, draw_specimen
from fungal_assets_tests.morphology.models import save_clip_vision, save_dinov2, save_vgg16

PICTURES = [draw_specimen(kind, seed) for kind in KINDS for seed in range(2)]


@pytest.fixture(
    scope="module", params=[save_dinov2, save_clip_vision, save_vgg16], ids=["dinov2", "clip", "vgg16"]
)
def extractor(request, tmp_path_factory):
    return find_extractor(str(request.param(tmp_path_factory.mktemp("model"))))


def test_vectors_are_unit_float32(extractor):
    vectors = extractor.embed(PICTURES)
    assert vectors.shape == (6, extractor.dimensions) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_same_pictures_give_the_same_vectors(extractor):
    again = find_extractor(extractor.name)
    assert again is not extractor and np.array_equal(again.embed(PICTURES), extractor.embed(PICTURES))


def test_a_picture_has_the_same_vector_in_any_batch(extractor):
    assert np.allclose(extractor.embed(PICTURES)[4], extractor.embed([PICTURES[4]])[0], atol=1e-5)


def test_no_picture_gives_no_vector(extractor):
    assert extractor.embed([]).shape == (0, extractor.dimensions)


@pytest.mark.parametrize(
    ("size", "box"),
    [((300, 200), (50, 0, 250, 200)), ((200, 300), (0, 50, 200, 250)), ((20, 20), (0, 0, 20, 20))],
    ids=["wide", "high", "small"],
)
def test_of_pictures_of_any_size_the_centre_square_counts(extractor, size, box):
    image = Image.effect_noise(size, 90)
    assert np.allclose(extractor.embed([image]), extractor.embed([image.crop(box)]), atol=1e-6)


def test_threads_share_one_network():
    loads = []

    def load(device):
        loads.append(device)
        return lambda pixels: pixels.mean((2, 3)) + 1

    def prepare(images):
        return np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) for image in images])

    extractor = TorchExtractor("means", "0" * 64, 3, 128, prepare, load)
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda picture: extractor.embed([picture])[0], PICTURES * 4))
    assert len(loads) == 1 and np.array_equal(vectors, np.tile(extractor.embed(PICTURES), (4, 1)))


def test_a_square_is_cut_from_the_middle_and_not_scaled():
    image = Image.new("L", (7, 4))
    image.putpixel((3, 1), 200)
    square = cut_square(image)
    assert square.size == (4, 4) and square.mode == "RGB" and square.getpixel((2, 1)) == (200, 200, 200)
