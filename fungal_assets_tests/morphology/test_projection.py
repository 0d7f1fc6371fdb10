import numpy as np

from fungal_assets.morphology import projection
from fungal_assets.morphology.projection import Projection, fit_projection, pick_rows, to_unit


def test_points_in_a_plane_keep_their_angles():
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.normal(size=(40, 2)))[0].T
    flat = rng.normal(size=(60, 2))
    vectors = (flat @ plane + 3).astype(np.float32)
    points = fit_projection(vectors).project(vectors)
    expected = to_unit(flat - flat.mean(axis=0))
    assert np.allclose(points @ points.T, expected @ expected.T, atol=1e-3)


def test_a_projection_survives_its_file(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(30, 20)).astype(np.float32)
    fitted = fit_projection(vectors)
    fitted.save(tmp_path / "projection.npz")
    again = Projection.load(tmp_path / "projection.npz")
    assert np.array_equal(again.mean, fitted.mean) and np.array_equal(again.components, fitted.components)
    assert np.array_equal(again.project(vectors), fitted.project(vectors))


def test_components_are_orthonormal_and_grow_with_the_collection():
    rng = np.random.default_rng(2)
    for count, expected in ((6, 5), (30, 8), (200, 20), (1000, 64)):
        components = fit_projection(rng.normal(size=(count, 100))).components
        assert components.shape == (expected, 100)
        assert np.allclose(components @ components.T, np.eye(expected), atol=1e-4)


def test_of_many_rows_some_are_picked_by_chance_in_their_order_whatever_the_blocks(monkeypatch):
    rows = np.arange(50, dtype=np.float32)[:, None]
    assert np.array_equal(pick_rows([rows[:20], rows[20:]], 50, 0), rows)
    monkeypatch.setattr(projection, "MAX_FIT_IMAGES", 12)
    picked = pick_rows([rows[:20], rows[20:]], 50, 0)
    assert len(picked) == 12 and (np.diff(picked[:, 0]) > 0).all()
    assert np.array_equal(picked, pick_rows([rows[at : at + 7] for at in range(0, 50, 7)], 50, 0))
    assert not np.array_equal(picked, pick_rows([rows], 50, 1))


def test_a_row_of_zeros_stays():
    assert np.array_equal(
        to_unit(np.array([[0.0, 0.0], [3.0, 4.0]])), np.array([[0, 0], [0.6, 0.8]], np.float32)
    )
