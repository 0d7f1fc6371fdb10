from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from fungal_assets.morphology import density
from fungal_assets.morphology.density import fit_density, fit_density_again, try_density
from fungal_assets.morphology.partition import assign_points, draw_rows
from fungal_assets.morphology.projection import to_unit


def _arcs(per_arc: int, seed: int = 0):
    """Three long arcs side by side on the sphere, which no round clusters part, and a few points between them."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(3), per_arc)
    along = rng.uniform(0, 2.4, len(kind))
    heights = np.array([-0.7, 0.0, 0.7])[kind] + rng.normal(0, 0.02, len(kind))
    points = np.stack([np.cos(along), np.sin(along), heights], axis=1)
    return to_unit(points), kind


def test_long_clusters_that_lie_side_by_side_are_parted():
    points, kind = _arcs(150)
    labels, centroids = fit_density(points, 80, 0)
    assert adjusted_rand_score(kind, labels) > 0.95
    assert centroids.shape == (3, 3) and np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)


def test_every_point_has_a_cluster_though_some_lie_in_thin_places():
    points, _ = _arcs(100)
    strays = to_unit(np.array([[-0.6, -0.8, 0.1], [0.0, -1.0, 0.6], [-0.1, -1.0, -0.7]]))
    labels, centroids = fit_density(np.concatenate([points, strays]), 60, 0)
    assert len(labels) == 303 and labels.min() == 0 and labels.max() == len(centroids) - 1
    assert (labels[-3:] == assign_points(strays, centroids)[0]).all()


def test_of_many_points_a_sample_is_clustered_and_the_others_join_it(monkeypatch):
    monkeypatch.setattr(density, "MAX_TRIAL_POINTS", 300)
    points, kind = _arcs(200)
    labels, centroids = fit_density(points, 60, 0)
    sample = draw_rows(600, 300, 0)
    assert len(centroids) == 3 and adjusted_rand_score(kind[sample], labels[sample]) > 0.95
    others = np.setdiff1d(np.arange(600), sample)
    assert (labels[others] == assign_points(points[others], centroids)[0]).all()


def test_one_cloud_is_no_split():
    cloud = to_unit(np.random.default_rng(0).normal(size=(60, 8)) * 0.05 + np.eye(8)[0])
    labels, centroids = fit_density(cloud, 30, 0)
    assert (labels == -1).all() and centroids.shape == (0, 8)
    assert try_density(cloud, 30, 0) is None
    assert all((again == 0).all() for again in fit_density_again(cloud, 30, 0))


@pytest.mark.parametrize("least", [80, 100])
def test_what_is_there_comes_back(least):
    trial = try_density(_arcs(150)[0], least, 0)
    assert trial.k == 3 and trial.weakest > 0.9 and trial.stability > 0.9
    assert trial == try_density(_arcs(150)[0], least, 0)
