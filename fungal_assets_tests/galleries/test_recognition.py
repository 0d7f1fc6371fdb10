import numpy as np
import pytest

from fungal_assets.errors import InputError
from fungal_assets.galleries.recognition import likeness, own_clusters, summarise
from fungal_assets_tests.galleries.conftest import write_clusters


def test_shares_are_means_over_species_whatever_their_number_of_pictures():
    rows = [{"species_id": "species-00"}] * 4 + [{"species_id": "species-01"}] * 2
    own, found = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 2, 2, 2])
    similarity = np.tile(np.array([0.5, 0.25, 0.75], np.float32), (6, 1))
    summary = summarise(rows, own, found, similarity)
    assert [each["recognised"] for each in summary["species"]] == [0.75, 0.0]
    assert [each["most_taken_for"] for each in summary["species"]] == [0, 2]
    assert [each["similarity"] for each in summary["species"]] == [0.5, 0.25]
    assert (summary["species_recognised"], summary["pictures"]) == (0.375, 6)
    assert summary["chance"] == pytest.approx(1 / 3, abs=1e-4)


def test_species_follow_the_order_of_clusters_and_missing_ones_are_all_named(tmp_path):
    clusters = write_clusters(tmp_path)
    assert own_clusters(["species-02", "species-00"], clusters).tolist() == [2, 0]
    with pytest.raises(InputError, match=r"'species-03', 'species-11'"):
        own_clusters(["species-11", "species-03", "species-00"], clusters)


def test_a_likeness_that_all_pictures_share_does_not_count():
    centres = np.eye(4, 8, dtype=np.float32)
    own = np.repeat(np.arange(4), 3)
    painted = centres[own] + 5 * np.ones(8, dtype=np.float32) * np.arange(8)
    assert likeness(painted, own, centres).argmax(axis=1).tolist() == own.tolist()
    collapsed = np.repeat(painted[:1], len(own), axis=0)
    assert (likeness(collapsed, own, centres).argmax(axis=1) == own).mean() <= 0.25
