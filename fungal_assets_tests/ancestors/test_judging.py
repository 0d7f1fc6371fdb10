"""The judge calls fungi fungi, and not everything that is rendered as they are."""

import pytest

from fungal_assets.ancestors.expression import grow_seed
from fungal_assets.ancestors.fields import measure_field
from fungal_assets.ancestors.judging import FungusJudge, photograph
from fungal_assets.ancestors.origins import read_origin
from fungal_assets_tests.ancestors.solids import ball, body_of, box


@pytest.fixture(scope="module")
def judge():
    return FungusJudge()


def views_of(name, body):
    return photograph(grow_seed(measure_field(name, body, cells=64), 40))


@pytest.mark.parametrize("morphotype", ["fly_agaric", "morel", "coral"])
def test_fungi_are_called_fungi(judge, morphotype):
    assert judge.is_fungus(views_of(*read_origin(f"fungarium:{morphotype}"))).mean() > 0.5


@pytest.mark.parametrize(
    ("name", "mesh", "colour"),
    [("ball", ball(), (0.1, 0.2, 0.9)), ("box", box((1, 1, 1)), (0.5, 0.5, 0.5))],
    ids=["a blue ball", "a grey box"],
)
def test_plain_solids_are_not_called_fungi(judge, name, mesh, colour):
    """A yellow ring, though, is called a cup fungus."""
    views = views_of(name, body_of(mesh, colour))
    assert judge.is_fungus(views).mean() <= 0.5, judge.call(views)
