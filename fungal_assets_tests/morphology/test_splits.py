"""The reason for a number of clusters says what decided."""

from __future__ import annotations

import numpy as np
import pytest

from fungal_assets.morphology.partition import Trial, choose_trial
from fungal_assets.morphology.splits import Search, SplitTraits, explain

TRAITS = SplitTraits(0.5, -0.1, [], np.zeros((0, 0)))


def trial(k, weakest, *, silhouette=0.3, is_sane=True):
    return Trial(k, 0.9, weakest, silhouette, 10, is_sane)


def why(*trials):
    nothing = np.zeros(0)
    search = Search(trials, "of 2 to 9 clusters tried", choose_trial(trials), nothing, nothing, nothing, [])
    return explain(search, TRAITS, smallest=10)


def test_of_splits_that_come_back_the_finest_that_is_as_tight_is_said():
    found = why(trial(4, 0.9), trial(6, 0.8), trial(8, 0.8, silhouette=0.1))
    assert found.startswith(
        "6 clusters, of 2 to 9 clusters tried: it is the finest split of which every cluster"
    )
    assert (
        "of those that are nearly as tight as any (agreement 0.90 of 1, the weakest cluster 0.80, 0.75"
        in found
    )


@pytest.mark.parametrize(
    ("other", "told"),
    [
        pytest.param(trial(6, 0.5), "of no split do all clusters come back", id="none"),
        pytest.param(
            trial(6, 0.9, is_sane=False),
            "of no split without a tiny cluster do all clusters come back",
            id="tiny",
        ),
    ],
)
def test_where_no_cluster_comes_back_it_is_said_of_which_splits(other, told):
    found = why(trial(4, 0.6), other)
    assert told in found and "borders are partly chance" in found


def test_what_clusters_account_for_is_never_less_than_nothing():
    found = why(trial(4, 0.9))
    assert found.endswith("account for 50% of the differences in colour and 0% of those in outline.")
