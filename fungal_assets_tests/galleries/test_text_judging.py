"""The judge by names, on the vectors of the pictures that the judge by references compares with."""

import numpy as np
import pytest

from fungal_assets.errors import InputError
from fungal_assets.galleries.judging import load_judge, references_of
from fungal_assets.galleries.text_judging import hash_text_judge, load_text_judge
from fungal_assets.pocket import JUDGE_DIR
from fungal_assets.store import hash_folder


@pytest.fixture(scope="module")
def judge():
    return load_text_judge("pocket", load_judge("pocket").concepts)


def test_pictures_of_known_things_are_named_aright(judge):
    with np.load(references_of("pocket")) as arrays:
        vectors, concepts = arrays["vectors"].astype(np.float32)[::7], arrays["concept"][::7].tolist()
    found = judge.judge(vectors, concepts)
    assert np.mean([each.is_recognised for each in found]) > 0.65, "guessing finds 0.01"
    turned = concepts[1:] + concepts[:1]
    asked_otherwise = [
        each.is_recognised
        for each, asked, was in zip(judge.judge(vectors, turned), turned, concepts, strict=True)
        if asked != was
    ]
    assert np.mean(asked_otherwise) < 0.05


def test_what_it_does_not_know_is_not_judged(judge):
    vectors = np.ones((2, 1280), np.float32)
    found = judge.judge(vectors, ["teapot of mine", None])
    assert found == [None, None]


def test_a_judge_is_told_by_hash_and_nobody_is_no_judge():
    assert hash_text_judge("pocket") == hash_folder(JUDGE_DIR / "clip")
    assert hash_text_judge("") == "" and load_text_judge("", ["cat"]) is None
    with pytest.raises(InputError, match=r"text_judge 'nobody' is not at .*Give one of pocket"):
        hash_text_judge("nobody")
