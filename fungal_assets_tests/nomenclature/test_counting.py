"""Groups are told by feature vectors; that they are told truly stands in `test_caption_truth`."""

import numpy as np
from PIL import Image

from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.nomenclature.counting import COUNTS_PATH, group_chances
from fungal_assets.pocket import references


def test_chances_are_between_none_and_one_for_each_vector():
    vectors = EfficientNetLite0().embed([Image.new("RGB", (64, 64), colour) for colour in ("red", "white")])
    chances = group_chances(vectors)
    assert chances.shape == (2,) and ((chances > 0) & (chances < 1)).all()
    np.testing.assert_allclose(group_chances(vectors[1:]), chances[1:])


def test_the_weights_are_those_of_a_logistic_regression_on_unit_vectors():
    with np.load(COUNTS_PATH) as arrays:
        weights, bias = arrays["weights"], float(arrays["bias"])
    along = weights / np.linalg.norm(weights)
    expected = 1 / (1 + np.exp(-(np.linalg.norm(weights) + bias)))
    np.testing.assert_allclose(group_chances(along[None]), [expected], rtol=1e-5)


def test_the_recipe_learns_what_it_was_shown_and_writes_the_same_bytes_again(tmp_path, monkeypatch):
    """At a small size: twelve pictures of 32 px."""
    monkeypatch.setattr(references, "COUNTED", 12)
    monkeypatch.setattr(references, "COUNTED_PX", 32)
    lines: list[str] = []
    assert references.write_counts(tmp_path / "a.npz", tell=lines.append) == 12
    references.write_counts(tmp_path / "b.npz", tell=lines.append)
    with np.load(tmp_path / "a.npz") as first, np.load(tmp_path / "b.npz") as again:
        assert np.array_equal(first["weights"], again["weights"]) and first["weights"].shape == (1280,)
        counts = [references.COUNTS[index % 6] for index in range(12)]
        images = np.stack([references._counted(index, count) for index, count in enumerate(counts)])
        scores = references.embed(images) @ first["weights"] + first["bias"]
    assert ((scores > 0) == (np.array(counts) >= 3)).all()
