import pytest

from fungal_assets.nomenclature.persistence import LEAST_OVERLAP, match_clusters


def _of(text):
    """`"a:123 b:45"` as clusters of one-letter images."""
    return {name: frozenset(ids) for name, ids in (part.split(":") for part in text.split())}


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        pytest.param("a:123 b:456", "0:123 1:456", {"0": "a", "1": "b"}, id="unchanged"),
        pytest.param("a:123 b:456", "0:456 1:123", {"0": "b", "1": "a"}, id="renumbered"),
        pytest.param("a:123 b:456", "0:123789xyz 1:456w", {"0": "a", "1": "b"}, id="grown threefold"),
        pytest.param("a:123 b:4567", "0:12 1:47", {"0": "a", "1": "b"}, id="images taken away"),
        pytest.param(
            "a:12345 b:6", "0:123 1:45 2:6", {"0": "a", "2": "b"}, id="split, the greater part goes on"
        ),
        pytest.param("a:1234", "0:12 1:34", {"0": "a"}, id="split in halves, one goes on"),
        pytest.param("a:123456", "0:12 1:34 2:56", {}, id="split in thirds, none goes on"),
        pytest.param("a:123 b:45", "0:12345", {"0": "a"}, id="merged, the greater goes on"),
        pytest.param("a:123 b:456", "0:123", {"0": "a"}, id="vanished"),
        pytest.param("a:123", "0:123 1:xyz", {"0": "a"}, id="a new one of new images"),
        pytest.param("a:123 b:456", "0:14 1:25 2:36", {}, id="shuffled"),
        pytest.param("a:123", "0:789", {}, id="nothing in common"),
        pytest.param("", "0:1", {}, id="none before"),
    ],
)
def test_a_cluster_goes_on_from_the_one_it_shares_half_its_members_with(before, now, same):
    assert match_clusters(_of(before), _of(now)) == same


def test_the_sum_of_likeness_decides_where_two_want_the_same():
    """Both ask for `a`; 0 is the more like it."""
    assert match_clusters(_of("a:12345678"), _of("0:12345 1:678")) == {"0": "a"}


def test_half_is_enough():
    assert LEAST_OVERLAP == 0.5
