"""The rows of a batch and gradients as processes share them, with a group of one."""

import pytest
import torch

from fungal_assets.diffusion.batches import Batch
from fungal_assets.diffusion.team import BUCKET_NUMBERS, Alone, Together, _buckets


@pytest.fixture
def batch():
    numbers = torch.arange(5.0)
    return Batch(
        numbers.view(5, 1, 1, 1), numbers.long(), numbers.view(5, 1, 1), numbers.view(5, 1, 1, 1), numbers, 3
    )


def test_the_parts_of_all_processes_are_the_batch(batch):
    bounds = [5 * at // 3 for at in range(4)]
    parts = [batch.rows(first, last) for first, last in zip(bounds, bounds[1:], strict=False)]
    assert [len(part.x_t) for part in parts] == [1, 2, 2]
    assert [part.specimens for part in parts] == [1, 2, 0]
    for name in ("x_t", "timesteps", "text", "target", "weight"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))


def test_a_group_of_one_has_the_gradients_of_one_process_alone(batch, tmp_path):
    def losses(batch):
        return (weight * batch.weight.view(-1, 1) ** 2).square().sum(1)

    weight = torch.nn.Parameter(torch.tensor([0.5, -2.0, 3.0]))
    expected = Alone().backward(batch, losses, [weight], parts=1)
    gradient, weight.grad = weight.grad, None
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        team = Together()
        told = team.backward(batch, losses, [weight], parts=1)
        torch.testing.assert_close(told, expected)
        torch.testing.assert_close(weight.grad, gradient)
        weight.grad = None
        torch.testing.assert_close(team.backward(batch, losses, [weight], parts=3), expected)
        torch.testing.assert_close(weight.grad, gradient)
        team.heed()
        with team.stepping():
            team.stop()
            team.heed()
            weight.grad = None
            team.backward(batch, losses, [weight], parts=1)
            with pytest.raises(KeyboardInterrupt):
                team.heed()
        with pytest.raises(KeyboardInterrupt):
            team.stop()
    finally:
        torch.distributed.destroy_process_group()


def test_gradients_travel_in_order_in_groups_of_one_type():
    sizes = [BUCKET_NUMBERS // 2, BUCKET_NUMBERS // 2, 1, BUCKET_NUMBERS * 2, 3]
    gradients = [torch.empty(size, device="meta") for size in sizes]
    gradients.append(torch.empty(4, dtype=torch.bfloat16, device="meta"))
    buckets = list(_buckets(gradients))
    assert [[item.numel() for item in bucket] for bucket in buckets] == [
        sizes[:2],
        sizes[2:3],
        sizes[3:4],
        [3],
        [4],
    ]
