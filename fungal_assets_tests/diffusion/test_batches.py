import collections

import pytest
import torch

from fungal_assets.diffusion.batches import Batches
from fungal_assets.diffusion.encoding import Choices, EncodedDataset
from fungal_assets.diffusion.objectives import Objective
from fungal_assets.diffusion.rehearsal import Rehearsal

ROWS, POINTS, CLASS_TEXT, NAME = 7, 5, 30, 31


def batches(
    *,
    size: int = 4,
    share: float = 0.25,
    class_share: float = 0.0,
    name_share: float = 0.0,
    seed: int = 0,
) -> Batches:
    """Every latent of row r is r, and of its mirror image r + 100; the kept predictions are 50 and 60.

    Row r has r % 3 + 1 wordings: the texts r + 1, r + 11 and r + 21; each has the same class wording and the same name.
    """
    values = torch.arange(ROWS, dtype=torch.float32)
    latents = torch.stack([values, values + 100], dim=1).view(ROWS, 2, 1, 1, 1).expand(-1, -1, 4, 8, 8)
    told = [[row + 1 + 10 * number for number in range(row % 3 + 1)] for row in range(ROWS)]
    starts = torch.tensor([0, *map(len, told)]).cumsum(0)
    wordings = Choices(torch.tensor([text for texts in told for text in texts]), starts)
    nameless = Choices(torch.full((ROWS,), CLASS_TEXT), torch.arange(ROWS + 1))
    names = Choices(torch.full((ROWS,), NAME), torch.arange(ROWS + 1))
    told = [str(number) for number in range(32)]
    texts = torch.arange(32.0).view(-1, 1, 1)
    encoded = EncodedDataset(latents, wordings, nameless, names, told, texts)
    plane = torch.ones(POINTS, 4, 8, 8)
    texts = torch.tensor([0.0, 70, 71, 72, 73, 74]).view(-1, 1, 1)
    points = Rehearsal(plane, torch.arange(POINTS), torch.arange(POINTS) + 1, 50 * plane, 60 * plane, texts)
    objective = Objective(torch.linspace(0.999, 0.001, 1000), "epsilon", 5.0)
    return Batches(
        encoded=encoded,
        rehearsal=points if share else None,
        objective=objective,
        batch_size=size,
        rehearsal_share=share,
        class_share=class_share,
        name_share=name_share,
        seed=seed,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize(("size", "share"), [(4, 0.25), (4, 0.0), (3, 0.4), (1, 0.5)])
def test_each_epoch_sees_every_row_once(size, share):
    plan = batches(size=size, share=share)
    rows = torch.cat([plan.rows_of(step) for step in range(60)]).tolist()
    for epoch in range(len(rows) // ROWS):
        assert sorted(rows[epoch * ROWS : (epoch + 1) * ROWS]) == list(range(ROWS))
    assert rows[:ROWS] != rows[ROWS : 2 * ROWS]


@pytest.mark.parametrize(("size", "share"), [(4, 0.25), (3, 0.4), (1, 0.5), (8, 0.3)])
def test_the_share_of_rehearsal_is_met_over_time(size, share):
    plan = batches(size=size, share=share)
    drawn = [plan.at(step) for step in range(100)]
    assert {len(batch.x_t) for batch in drawn} == {size}
    assert sum(size - batch.specimens for batch in drawn) == pytest.approx(100 * size * share, abs=1)


def test_a_step_is_the_same_whenever_it_is_drawn_and_another_seed_draws_another():
    first, again, other = batches().at(17), batches().at(17), batches(seed=1).at(17)
    assert torch.equal(first.x_t, again.x_t) and torch.equal(first.timesteps, again.timesteps)
    assert not torch.equal(first.x_t, other.x_t)
    assert not torch.equal(first.x_t, batches().at(18).x_t)


def test_mirror_images_captions_and_the_empty_prompt_come_in_their_shares():
    plan, seen = batches(size=8), collections.Counter()
    for step in range(200):
        batch, rows = plan.at(step), plan.rows_of(step)
        count = batch.specimens
        signal = plan.objective.alpha_bar[batch.timesteps[:count]].sqrt().view(-1, 1, 1, 1)
        noise = (1 - signal**2).sqrt()
        found = ((batch.x_t[:count] - noise * batch.target[:count]) / signal).mean(dim=(1, 2, 3)).round()
        assert torch.equal(found % 100, rows.float())
        text = batch.text[:count].flatten()
        assert ((text == 0) | (text % 10 == rows + 1)).all()
        seen += collections.Counter(
            total=count, flips=int((found >= 100).sum()), empty=int((text == 0).sum())
        )
    assert seen["flips"] / seen["total"] == pytest.approx(0.5, abs=0.05)
    assert seen["empty"] / seen["total"] == pytest.approx(0.1, abs=0.03)


def test_a_rehearsed_row_has_the_target_of_the_text_it_comes_with():
    plan = batches(size=8, share=0.5)
    for step in range(50):
        batch = plan.at(step)
        text, target = batch.text[batch.specimens :].flatten(), batch.target[batch.specimens :, 0, 0, 0]
        assert torch.equal(target, torch.where(text == 0, 60.0, 50.0))
        assert torch.equal(text[text > 0] - 70, batch.timesteps[batch.specimens :][text > 0].float())


def test_rows_seen_counts_what_a_short_run_reaches():
    plan = batches(size=4, share=0.25)
    assert [plan.rows_seen(steps) for steps in (1, 2, 3, 100)] == [3, 6, 7, 7]
    assert plan.epochs(7) == 3


@pytest.mark.parametrize(("size", "share"), [(4, 0.25), (1, 0.0), (8, 0.5), (3, 0.9)])
def test_the_steps_for_every_row_are_the_fewest_that_see_all(size, share):
    plan = batches(size=size, share=share)
    steps = plan.steps_for_every_row()
    assert plan.rows_seen(steps) == plan.encoded.row_count > plan.rows_seen(steps - 1)


def test_the_probe_is_fixed_and_covers_the_rows():
    plan = batches()
    assert torch.equal(plan.probe(1, 4).x_t, plan.probe(1, 4).x_t)
    texts = torch.cat([plan.probe(number, 4).text.flatten() for number in range(2)])
    assert set(texts.tolist()) == set(range(1, ROWS + 1))


@pytest.mark.parametrize(("size", "share", "class_share"), [(4, 0.25, 0.15), (1, 0.5, 0.2), (3, 0.0, 0.5)])
def test_the_share_of_wordings_without_a_name_is_met_over_time(size, share, class_share):
    plan = batches(size=size, share=share, class_share=class_share)
    for steps in (1, 7, 40, 200):
        drawn = torch.cat([plan.texts_of(step) for step in range(steps)])
        assert abs(int((drawn == CLASS_TEXT).sum()) - class_share * len(drawn)) < 1
    counts = plan.count_texts(200)
    assert counts["specimens_drawn"] == len(drawn)
    assert counts["class_texts_drawn"] == int((drawn == CLASS_TEXT).sum())
    assert counts["texts_drawn"] == len(set(drawn.tolist())) == ROWS + 4 + 2 + 1


@pytest.mark.parametrize(("class_share", "name_share"), [(0.15, 0.4), (0.0, 0.3), (0.5, 0.45)])
@pytest.mark.parametrize("size", [1, 4])
def test_the_share_of_names_alone_is_met_over_time_beside_that_of_wordings_without_one(
    size, class_share, name_share
):
    plan = batches(size=size, share=0.25, class_share=class_share, name_share=name_share)
    for steps in (1, 7, 40, 200):
        drawn = torch.cat([plan.texts_of(step) for step in range(steps)])
        assert abs(int((drawn == CLASS_TEXT).sum()) - class_share * len(drawn)) < 1
        assert abs(int((drawn == NAME).sum()) - name_share * len(drawn)) < 2
    counts = plan.count_texts(200)
    assert counts["names_drawn"] == int((drawn == NAME).sum())
    assert counts["class_texts_drawn"] == int((drawn == CLASS_TEXT).sum())


def test_every_wording_of_a_row_is_drawn_equally_often():
    plan, seen = batches(size=7, share=0.0), collections.Counter()
    for step in range(900):
        seen += collections.Counter(plan.texts_of(step).tolist())
    for row in range(ROWS):
        for number in range(row % 3 + 1):
            assert seen[row + 1 + 10 * number] == pytest.approx(900 / (row % 3 + 1), rel=0.15)


def test_the_texts_of_a_step_are_the_same_whenever_they_are_drawn_and_differ_from_step_to_step():
    plan, again = batches(class_share=0.2), batches(class_share=0.2)
    drawn = [plan.texts_of(step).tolist() for step in range(40)]
    assert drawn == [again.texts_of(step).tolist() for step in reversed(range(40))][::-1]
    assert drawn != [batches(class_share=0.2, seed=1).texts_of(step).tolist() for step in range(40)]
    rows = [plan.rows_of(step).tolist() for step in range(40)]
    told = {
        (row, text)
        for own, texts in zip(rows, drawn, strict=True)
        for row, text in zip(own, texts, strict=True)
    }
    assert len({text for row, text in told if row == 2}) == 4


def test_a_batch_has_the_texts_of_its_step():
    plan = batches(size=8, class_share=0.3)
    for step in range(30):
        batch = plan.at(step)
        text = batch.text[: batch.specimens].flatten()
        assert torch.equal(text[text > 0], plan.texts_of(step).float()[text > 0])
