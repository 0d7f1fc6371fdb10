import importlib.util

import pytest

NEEDS_RAY = "Ray is not installed: pip install 'fungal_assets[ray]'"


@pytest.fixture(scope="package")
def cluster(tmp_path_factory):
    """A real Ray cluster of two CPUs; its token is written to a home of its own."""
    ray = pytest.importorskip("ray", reason=NEEDS_RAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            "local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80_000_000,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield ray
        ray.shutdown()


@pytest.fixture
def own_cluster(monkeypatch, tmp_path):
    """`FUNGAL_COMPUTE` as a user sets it who has no cluster yet; for tests in a fresh interpreter."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip(NEEDS_RAY)
    monkeypatch.setenv("FUNGAL_COMPUTE", "ray")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def on_ray(cluster, monkeypatch):
    """Maps go to the cluster."""
    monkeypatch.setenv("FUNGAL_COMPUTE", "auto")
    return cluster


@pytest.fixture(params=["local", "ray"])
def backend(request, monkeypatch):
    """Either backend; Ray where it is installed."""
    monkeypatch.delenv("FUNGAL_COMPUTE", raising=False)
    if request.param == "ray":
        request.getfixturevalue("on_ray")
    return request.param
