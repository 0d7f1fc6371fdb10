"""The rules of looks: when there is one, which is best, and when a run ends."""

import pytest

from fungal_assets.diffusion.watching import Watching, tell_of_looks
from fungal_assets_tests.diffusion.conftest import UNWATCHED


def watching(**changes):
    return Watching(**UNWATCHED | {"watch_every_steps": 10} | changes)


def look(step, retention=1.0, recognised=0.5, likeness=0.3, held_out=0.2):
    return {
        "step": step,
        "learning_rate": 1e-3,
        "loss": 0.1,
        "held_out_loss": held_out,
        "retention": retention,
        "species_recognised": recognised,
        "species_likeness": likeness,
    }


def test_there_is_a_look_before_training_at_every_so_many_steps_and_at_the_end():
    assert [step for step in range(26) if watching().is_due(step, 25)] == [0, 10, 20, 25]
    assert not any(watching(watch_every_steps=0).is_due(step, 25) for step in range(26))


def test_a_run_ends_at_the_first_look_below_the_floor_and_keeps_the_best_of_those_above():
    rules = watching(stops_below_retention=0.8)
    looks = [look(0, recognised=0.9), look(10, 0.9, 0.6), look(20, 0.8, 0.7), look(30, 0.9, 0.65)]
    assert all(rules.why_stop(looks[:end]) is None for end in range(5))
    looks.append(look(40, 0.79, 0.95))
    assert "retention is 79% after 40 steps, below stops_below_retention of 80%" in rules.why_stop(looks)
    assert rules.best(looks, 1)["step"] == 20, "neither the base model nor what has forgotten"
    assert watching().why_stop(looks) is None


def test_without_any_look_above_the_floor_none_is_best():
    assert watching(stops_below_retention=0.8).best([look(0), look(10, 0.5)], 1) is None


def test_equal_shares_are_told_apart_by_likeness_and_then_by_the_loss_on_held_out_pictures():
    rules = watching(patience_looks=9)
    assert rules.best([look(10), look(20, likeness=0.4), look(30)], 1)["step"] == 20
    assert rules.best([look(10), look(20, held_out=0.1), look(30)], 1)["step"] == 20
    assert rules.best([look(10), look(20)], 1)["step"] == 10


def test_what_has_seen_every_row_goes_before_what_has_not_as_long_as_retention_is_enough():
    rules = watching(stops_below_retention=0.8)
    looks = [look(10, recognised=0.9), look(20, recognised=0.6), look(30, recognised=0.7)]
    assert rules.best(looks, 20)["step"] == 30
    assert rules.best([*looks[:1], look(20, 0.5)], 20)["step"] == 10


def test_retention_that_cannot_be_measured_ends_nothing():
    assert watching(stops_below_retention=0.8).why_stop([look(0, None), look(10, None)]) is None


def test_patience_ends_a_run_once_neither_fit_nor_loss_has_gained_for_so_many_looks():
    rules = watching(patience_looks=2)
    looks = [look(0, held_out=0.3), look(10, held_out=0.2), look(20, held_out=0.25)]
    assert rules.why_stop(looks) is None
    fitter = [*looks, look(30, recognised=0.6, held_out=0.3), look(40, held_out=0.3)]
    assert rules.why_stop(fitter) is None
    worse = [*looks, look(30, held_out=0.21)]
    assert "2 looks up to step 30 brought neither a better fit nor less loss" in rules.why_stop(worse)


def test_what_was_not_measured_decides_nothing():
    unknown = {"recognised": None, "likeness": None, "retention": None}
    looks = [look(0, **unknown), look(10, held_out=0.1, **unknown), look(20, **unknown)]
    assert watching(patience_looks=1).best(looks, 1)["step"] == 10
    assert watching(patience_looks=1).why_stop(looks) is not None


@pytest.mark.parametrize(
    ("share", "steps", "expected"),
    [(0.5, 300, 150), (0.5, 30, 20), (0.5, 20, None), (0.0, 300, None)],
)
def test_a_loss_must_have_fallen_within_a_share_of_the_steps_but_no_run_is_judged_while_it_warms_up(
    share, steps, expected
):
    assert watching(must_learn_within=share).must_have_learnt_at(steps) == expected


def test_what_is_told_of_looks_is_of_the_weights_that_are_kept():
    told = tell_of_looks([look(0), look(10, 0.75, 0.6), look(20, 0.5)], 10)
    assert told == {
        "watched_looks": 3,
        "watched_retention": 0.75,
        "watched_species_recognised": 0.6,
        "watched_species_likeness": 0.3,
    }
    assert tell_of_looks([], 10) == {"watched_looks": 0}


def test_settings_that_cannot_be_are_all_named():
    faults = watching(
        watch_every_steps=0, watch_inference_steps=0, stops_below_retention=1.5, watched_controls=0
    ).faults()
    assert len(faults) == 4
    assert "watch_inference_steps is 0, at least 1 expected" in faults
    assert watching(stops_below_retention=0.5, patience_looks=3).faults() == []
