"""What several tests of the ancestors share."""

import pytest

from fungal_assets.ancestors.bodies import mend
from fungal_assets.ancestors.evolving import evolve_forms
from fungal_assets.ancestors.fields import measure_field
from fungal_assets_tests.ancestors import dcgan_world
from fungal_assets_tests.ancestors.solids import ball, body_of, toadstool

SMALL = {
    "ancestors": ["fungarium:bolete"],
    "population": 10,
    "generations": 3,
    "fitness": "novelty",
    "target": "",
    "words": "",
    "forms": 2,
    "grid_size": 20,
    "form_grid_size": 32,
    "max_faces": 2000,
    "seed": 3,
}


@pytest.fixture(scope="session")
def ball_field():
    return measure_field("ball", mend(body_of(ball()), name="ball"), cells=48)


@pytest.fixture(scope="session")
def toadstool_field():
    return measure_field("toadstool", mend(body_of(toadstool()), name="toadstool"), cells=48)


@pytest.fixture(scope="session")
def evolved(tmp_path_factory):
    """A small output of the stage `cppn_forms`."""
    folder = tmp_path_factory.mktemp("cppn_forms")
    figures = evolve_forms(None, [], folder, **SMALL)
    return folder, figures


@pytest.fixture(scope="session")
def dcgan_squares(tmp_path_factory):
    return dcgan_world.write_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="session")
def dcgan_trained(dcgan_squares, tmp_path_factory):
    """A run of six steps that nothing broke."""
    folder = tmp_path_factory.mktemp("dcgan_weights")
    dcgan_world.train(dcgan_squares, folder)
    return folder
