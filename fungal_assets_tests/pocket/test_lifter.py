"""The lifter's lessons: pictures lie before their volumes, what is changed is changed in both, training goes on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fungal_assets.forms.lifting import Lifter, look
from fungal_assets.pocket.fungarium import MORPHOTYPES, sample_portrait
from fungal_assets.pocket.lifter_training import (
    LifterSettings,
    as_batch,
    changed,
    lifting_losses,
    score_lifter,
    teach_lifter,
)
from fungal_assets.pocket.seen_volumes import SeenVolumes, see, traits_seen

LEVEL = 3.0


@pytest.fixture(scope="module")
def pairs():
    traits = [
        replace(
            sample_portrait(7, morphotype=name), habitat="dark_room", elevation_deg=LEVEL, azimuth_deg=20.0
        )
        for name in ("bolete", "bracket", "morel")
    ]
    rows = [see(one) for one in traits]
    return SeenVolumes(**{name: np.stack([row[name] for row in rows]) for name in rows[0]})


def test_a_level_picture_has_the_outline_and_the_colours_of_its_volume(pairs):
    for place in range(len(pairs)):
        column, row, half = pairs.windows[place]
        body, colours = pairs.distances[place] < 0, pairs.colours[place]
        at = np.arange(body.shape[0]) / (body.shape[0] - 1) * 2 - 1
        columns, rows = (
            np.round(middle + half * at - 0.5).astype(int).clip(0, 127) for middle in (column, row)
        )
        shown = pairs.masks[place][rows[::-1][:, None], columns]
        outline = body.any(0)
        assert (outline & shown).sum() > 0.8 * (outline | shown).sum()
        nearest = body.shape[0] - 1 - body[::-1].argmax(0)
        painted = np.take_along_axis(colours, nearest[None, None], 1)[:, 0].transpose(1, 2, 0)
        picture = pairs.pictures[place][rows[::-1][:, None], columns]
        inside = outline & shown
        # light and shade differ; how red, green and blue the whole is does not
        hues = [part[inside].mean(0) / part[inside].mean(0).max() for part in (painted, picture)]
        assert np.abs(hues[0] - hues[1]).max() < 0.1


def test_pairs_are_of_all_forms_in_turn_and_the_same_for_the_same_number():
    traits = [traits_seen(number) for number in range(32)]
    assert [one.morphotype for one in traits[:16]] == list(MORPHOTYPES) and traits[3] == traits_seen(3)
    assert {one.habitat for one in traits} == {"dark_room"}


def test_a_perfect_answer_costs_nothing_but_what_soft_edges_cost(pairs):
    batch, settings = as_batch(pairs, np.arange(3)), LifterSettings()
    right = torch.logit((0.5 - batch.cells).clamp(0, 1), 1e-6)
    losses = lifting_losses(right, torch.logit(batch.colours, 1e-6), batch, settings)
    worse = lifting_losses(right.roll(3, 3), torch.logit(batch.colours, 1e-6).roll(3, 4), batch, settings)
    assert losses["colour"] < 1e-4 and losses["inside"] < 0.1
    for name in losses:
        assert worse[name] > 2 * losses[name], name


def test_a_mirrored_picture_has_a_mirrored_volume(pairs):
    batch = as_batch(pairs, np.arange(3))
    seen = set()
    for seed in range(4):
        other = changed(batch, np.random.default_rng(seed))
        for place in range(3):
            is_mirrored = not torch.equal(other.cells[place], batch.cells[place])
            cells, mask = (
                tensor[place].flip(-1) if is_mirrored else tensor[place]
                for tensor in (batch.cells, batch.masks)
            )
            assert torch.equal(other.cells[place], cells)
            assert (other.masks[place] == mask).float().mean() > 0.95
            seen.add(is_mirrored)
    assert seen == {True, False}


def test_the_lifter_learns_and_goes_on_from_its_checkpoint(pairs, tmp_path):
    settings = LifterSettings(steps=12, batch_size=2, checkpoint_every=6, learning_rate=3e-3)

    def taught(folder, steps=12):
        torch.manual_seed(0)
        lifter = Lifter((8, 8))
        teach_lifter(lifter, pairs, {}, folder, replace(settings, steps=steps), tell=lambda _: None)
        return lifter

    whole = taught(tmp_path / "whole")
    again = Lifter((8, 8))
    teach_lifter(again, pairs, {}, tmp_path / "whole", settings, tell=lambda _: None)
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
    batch = as_batch(pairs, np.arange(3))
    losses = []
    for lifter in (Lifter((8, 8)), whole):
        with torch.no_grad():
            out = lifter(look(batch.pictures, batch.masks, batch.windows))
        losses.append(lifting_losses(*out, batch, settings))
    assert all(losses[1][name] < losses[0][name] for name in losses[0])


def test_scores_hold_lifting_and_turning_side_by_side(pairs):
    figures = score_lifter(Lifter((8, 8)), pairs)
    assert set(figures) == {"bolete", "bracket", "morel", "all"}
    assert figures["bolete"]["revolved_iou"] > figures["bracket"]["revolved_iou"] + 0.1, (
        "a bracket is not round"
    )
