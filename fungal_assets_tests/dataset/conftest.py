import pytest

from fungal_assets_tests.nomenclature.growths import grow


@pytest.fixture(scope="session")
def growth(tmp_path_factory):
    return grow(tmp_path_factory.mktemp("growth"))
