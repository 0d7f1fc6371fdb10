import numpy as np
import pytest

from fungal_assets.galleries.novelty import find_neighbour, measure_reaches

OPPOSITE = np.array([[1.0, 0.0], [-1.0, 0.0]])


def at_cosines(*cosines):
    """Points at these cosines to the first axis."""
    return np.array([[cosine, np.sqrt(1 - cosine**2)] for cosine in cosines])


def test_three_quarters_of_a_clusters_images_lie_within_its_reach():
    reaches = measure_reaches(
        {0: at_cosines(0.9, 0.8, 0.7, 0.6, 0.1), 1: at_cosines(-1, -1, -1, -1, 0.5)}, OPPOSITE
    )
    assert reaches == pytest.approx({0: 0.4, 1: 0})


def test_the_neighbour_is_the_cluster_that_a_species_is_deepest_in_for_its_reach():
    similarity = np.array([[0.2, 0.7, 0.5], [0.2, 0.5, 0.3]])
    found = find_neighbour(similarity, 0, {0: 0.9, 1: 0.1, 2: 0.5})
    assert (found.cluster_id, found.distance, found.reach) == (2, pytest.approx(0.6), 0.5)
    assert found.is_apart
    assert not find_neighbour(similarity, 0, {1: 0.1, 2: 0.61}).is_apart


def test_a_single_cluster_has_no_neighbour():
    assert find_neighbour(np.array([[1.0]]), 0, {0: 0.2}) is None
