"""What several tests of the ancestors share."""

import pytest

from fungal_assets_tests.ancestors import dcgan_world


@pytest.fixture(scope="session")
def dcgan_squares(tmp_path_factory):
    return dcgan_world.write_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="session")
def dcgan_trained(dcgan_squares, tmp_path_factory):
    """A run of six steps that nothing broke."""
    folder = tmp_path_factory.mktemp("dcgan_weights")
    dcgan_world.train(dcgan_squares, folder)
    return folder
