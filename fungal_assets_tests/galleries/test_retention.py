import pytest

from fungal_assets.errors import InputError
from fungal_assets.galleries.retention import (
    Course,
    Pair,
    advise,
    measure_groups,
    measure_retention,
    phrase_verdict,
)

BOTH, LOST, GAINED, NEITHER = Pair(True, True), Pair(True, False), Pair(False, True), Pair(False, False)


def test_retention_is_tuned_over_base():
    found = measure_retention([BOTH] * 6 + [LOST] * 2 + [NEITHER] * 2)
    assert (found.base_recognised, found.tuned_recognised, found.retention) == (0.8, 0.6, 0.75)
    low, high = found.interval
    assert 0 <= low < 0.75 < high <= 1


def test_an_untouched_base_keeps_all_without_doubt():
    found = measure_retention([BOTH] * 5 + [NEITHER] * 5)
    assert (found.retention, found.interval) == (1.0, (1.0, 1.0))
    assert advise(found, min_retention=0.8) == "Nothing needs to change."


def test_a_model_that_draws_better_than_its_base_has_more_than_all():
    assert measure_retention([BOTH, GAINED]).retention == 2.0


def test_a_base_that_is_never_recognised_leaves_retention_undefined_and_says_so():
    found = measure_retention([NEITHER, GAINED])
    assert found.retention is None
    assert found.interval is None
    assert "not defined" in phrase_verdict(found, min_retention=0.8)
    assert "num_inference_steps" in advise(found, min_retention=0.8)


def test_no_pairs_are_refused():
    with pytest.raises(InputError, match="controls of 1 or more"):
        measure_retention([])


def test_more_pairs_make_the_interval_narrower_and_it_is_the_same_each_time():
    few, many = ([BOTH] * 3 * n + [LOST] * 2 * n for n in (2, 40))
    width = lambda pairs: measure_retention(pairs).interval[1] - measure_retention(pairs).interval[0]  # noqa: E731
    assert width(many) < width(few) / 3
    assert measure_retention(few) == measure_retention(few)


@pytest.mark.parametrize(
    ("pairs", "setting"),
    [
        pytest.param(
            [BOTH] * 5 + [Pair(True, False, False, True)] * 5, "rehearsal_share", id="turned-to-fungi"
        ),
        pytest.param([BOTH] * 1 + [LOST] * 9, "max_steps", id="nearly-all-lost"),
        pytest.param([BOTH] * 6 + [LOST] * 4, "learning_rate", id="partly-lost"),
    ],
)
def test_the_advice_names_the_one_setting_to_change(pairs, setting):
    found = measure_retention(pairs)
    assert setting in advise(found, min_retention=0.8)
    assert "lost" in phrase_verdict(found, min_retention=0.8)


@pytest.mark.parametrize(
    ("course", "advice"),
    [
        (
            Course(rehearsal_share=0.0, last_enough=20),
            "raise rehearsal_share of fine_tuned_weights (try 0.25)",
        ),
        (Course(rehearsal_share=0.25, last_enough=20), "lower max_steps of fine_tuned_weights (try 20)"),
        (
            Course(rehearsal_share=0.25, first_short=15),
            "lower learning_rate of fine_tuned_weights (try a third)",
        ),
        (Course(), "lower max_steps of fine_tuned_weights (try half)"),
    ],
    ids=["nothing rehearsed", "went late", "gone at once", "nothing known"],
)
def test_what_is_known_of_the_training_decides_the_advice(course, advice):
    assert advice in advise(measure_retention([BOTH] + [LOST] * 9), min_retention=0.8, course=course)
    assert advise(measure_retention([BOTH]), min_retention=0.8, course=course) == "Nothing needs to change."


def test_a_verdict_on_few_recognised_pictures_says_so():
    assert "rests on only 2" in phrase_verdict(
        measure_retention([BOTH] * 2 + [NEITHER] * 8), min_retention=0.8
    )


def test_groups_come_worst_first_and_undefined_last():
    groups = measure_groups({"animals": [BOTH], "sky": [NEITHER], "food": [LOST], "toys": [BOTH, LOST]})
    assert [each["name"] for each in groups] == ["food", "toys", "animals", "sky"]
    assert groups[-1]["retention"] is None
