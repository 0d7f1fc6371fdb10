"""Progress: told at a bearable rate, the last item always."""

from fungal_assets.progress import Ticker, follow


def test_the_last_item_is_always_told_and_the_rest_seldom():
    lines = []
    assert list(follow(range(1000), lines.append, "counting", 1000)) == list(range(1000))
    assert len(lines) == 2
    assert lines[-1].startswith("counting: 1000 of 1000, 0 s left")


def test_figures_are_told():
    lines = []
    Ticker(lines.append, "training", 2).tick(2, {"loss": 0.125})
    assert lines == ["training: 2 of 2, 0 s left, loss 0.125"]
