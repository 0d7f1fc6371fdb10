import numpy as np
import pytest
from PIL import ImageFilter, ImageOps

from fungal_assets.galleries import originals
from fungal_assets.galleries.copies import CANDIDATES, CANDIDATES_BY_LAYOUT, layouts
from fungal_assets.galleries.originals import read_images, read_originals
from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets_tests.galleries.specimens import KINDS, PAINTED, TRAINED, trained, unseen, write_split


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Training images, and held-out ones that are the gallery's own pictures."""
    folder = tmp_path_factory.mktemp("dataset")
    write_split(folder, "train", [trained(kind) for kind in KINDS])
    write_split(folder, "test", [unseen(kind) for kind in KINDS])
    return folder


@pytest.fixture(scope="module")
def extractor():
    return EfficientNetLite0()


@pytest.fixture(scope="module")
def pictures(extractor):
    return extractor.embed([image for kind in KINDS for image in unseen(kind)])


@pytest.fixture(scope="module")
def laid_out():
    return np.stack([layouts(image) for kind in KINDS for image in unseen(kind)])


def test_candidates_are_the_nearest_training_images_and_never_held_out_ones(
    dataset, extractor, pictures, laid_out
):
    found = read_originals(dataset, pictures, laid_out, extractor, shown=2).nearest
    ids = [f"{number}-{index}" for number in range(len(KINDS)) for index in range(TRAINED)]
    cosines = pictures @ extractor.embed([image for kind in KINDS for image in trained(kind)]).T
    order = np.argsort(-cosines, axis=1)[:, :CANDIDATES]
    assert found.image_ids.tolist() == [[ids[at] for at in row] for row in order]
    assert found.cosines == pytest.approx(np.take_along_axis(cosines, order, axis=1), abs=1e-5)


def test_a_picture_painted_softly_by_heart_finds_its_original_by_layout_whatever_vectors_say(
    dataset, extractor
):
    """Vectors that say nothing stand for those of a painting that is softer than anything in the dataset."""
    softened = ImageFilter.GaussianBlur(4)
    by_heart = [
        ImageOps.mirror(trained(KINDS[number])[number].filter(softened)) for number in range(len(KINDS))
    ]
    nothing = np.zeros((len(KINDS), extractor.dimensions), np.float32)
    found = read_originals(
        dataset, nothing, np.stack([layouts(image) for image in by_heart]), extractor, shown=2
    )
    assert [row[0] for row in found.alike.image_ids] == [f"{n}-{n}" for n in range(len(KINDS))]
    assert all(f"{n}-{n}" in found.candidates(n) for n in range(len(KINDS)))
    assert len(found.candidates(0)) <= CANDIDATES + CANDIDATES_BY_LAYOUT


def test_real_images_of_a_species_are_all_its_own_but_no_more_than_are_held(
    dataset, extractor, pictures, laid_out, monkeypatch
):
    found = read_originals(dataset, pictures, laid_out, extractor, shown=2)
    assert found.images == len(KINDS) * (TRAINED + PAINTED)
    assert {name: len(rows) for name, rows in found.vectors.items()} == {
        f"species-{number:02d}": TRAINED + PAINTED for number in range(len(KINDS))
    }
    assert all(len(names) == 2 for names in found.shown.values())
    monkeypatch.setattr(originals, "MOST_REAL", 3)
    few = read_originals(dataset, pictures, laid_out, extractor, shown=2)
    assert {len(rows) for rows in few.vectors.values()} == {3}
    assert np.array_equal(few.nearest.image_ids, found.nearest.image_ids)


def test_images_are_found_again_by_id_in_either_split(dataset):
    found = read_images(dataset, ["1-2", "test-2-0"])
    assert found["1-2"].tobytes() == trained(KINDS[1])[2].tobytes()
    assert found["test-2-0"].tobytes() == unseen(KINDS[2])[0].tobytes()
