import numpy as np
import pytest

from fungal_assets.errors import InputError
from fungal_assets.galleries.judging import (
    JUDGES,
    LEAST_CONCEPTS,
    build_judge,
    common_of,
    judge_vectors,
    load_judge,
    references_of,
)


def planted(per_concept=4, noise=0.3, seed=0):
    """Vectors around three directions, and their concepts."""
    rng = np.random.default_rng(seed)
    centres = np.eye(3, 16)
    concept = np.repeat(["cat", "hat", "mushroom"], per_concept)
    vectors = np.repeat(centres, per_concept, axis=0) + noise * rng.normal(size=(3 * per_concept, 16)) / 4
    return vectors.astype(np.float32), concept


def test_planted_concepts_are_recognised_and_ranked():
    judge = build_judge("planted", *planted(), sha256="")
    vectors, concept = planted(seed=1)
    judged = judge_vectors(judge, vectors, concept.tolist())
    assert [each.nearest for each in judged] == concept.tolist()
    assert all(each.is_recognised and each.similarity > 0.5 for each in judged)
    wrong = judge_vectors(judge, vectors[:1], ["hat"])[0]
    assert not wrong.is_recognised
    assert wrong.rank in (1, 2)
    assert judge.chance == pytest.approx(1 / 3)


def test_long_references_count_no_more_than_short_ones():
    vectors, concept = planted()
    longer = vectors * np.where(np.arange(len(vectors)) % 2, 100, 1)[:, None]
    a, b = (build_judge("planted", each, concept, sha256="") for each in (vectors, longer))
    assert np.allclose(a.prototypes, b.prototypes, atol=1e-6)


def test_a_concept_that_the_judge_does_not_know_is_not_judged():
    judge = build_judge("planted", *planted(), sha256="")
    assert judge_vectors(judge, planted()[0][:2], ["teapot", None]) == [None, None]


def test_a_judge_is_read_from_a_file_of_half_precision(tmp_path):
    vectors, concept = planted()
    np.savez(tmp_path / "mine.npz", vectors=vectors.astype(np.float16), concept=concept)
    judge = load_judge(str(tmp_path / "mine.npz"))
    assert (judge.name, judge.concepts, judge.references) == ("mine", ("cat", "hat", "mushroom"), 12)
    assert judge.prototypes.dtype == np.float32
    assert len(judge.sha256) == 64


def test_the_pocket_judge_is_a_file_of_the_package():
    from fungal_assets.pocket import MODEL_DIR

    assert references_of("pocket") == MODEL_DIR.parent / "judge" / "references.npz"
    assert list(JUDGES) == ["pocket"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        pytest.param({"vectors": np.zeros((2, 4))}, "were expected", id="no-concepts"),
        pytest.param(
            {"vectors": np.zeros((2, 4)), "concept": np.array(["cat"])}, "have shape", id="lengths-differ"
        ),
        pytest.param(
            {"vectors": np.zeros((2, 4)), "concept": np.array(["a", "a"])}, "two concepts", id="one-concept"
        ),
    ],
)
def test_references_of_another_form_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_judge(str(tmp_path / "mine.npz"))


def test_a_judge_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no references"):
        load_judge(str(tmp_path / "none.npz"))


def many_things(shift):
    """Vectors around as many directions as are needed for what is common, all moved by `shift`."""
    names = [f"thing {number}" for number in range(LEAST_CONCEPTS)]
    return np.eye(LEAST_CONCEPTS, 32, dtype=np.float32) + shift, names


def test_what_all_pictures_share_hides_no_thing():
    references, names = many_things(0.0)
    judge = build_judge("planted", references, np.array(names), sha256="")
    soft = np.zeros(32, dtype=np.float32)
    soft[0] = 3.0
    painted, _ = many_things(soft)
    assert {each.nearest for each in judge_vectors(judge, painted, names)} == {"thing 0"}
    judged = judge_vectors(judge, painted, names, common=common_of(painted, names))
    assert sum(each.is_recognised for each in judged) == len(names)


def test_pictures_that_all_became_the_same_are_not_recognised_by_what_others_share():
    references, names = many_things(0.0)
    judge = build_judge("planted", references, np.array(names), sha256="")
    forgotten = np.repeat(references[:1], len(names), axis=0)
    judged = judge_vectors(judge, forgotten, names, common=common_of(references, names))
    assert [each.is_recognised for each in judged] == [True] + [False] * (len(names) - 1)


def test_of_a_few_things_nothing_is_taken_for_common():
    vectors, concept = planted()
    assert common_of(vectors, concept.tolist()) is None
