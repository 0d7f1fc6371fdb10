"""What a recipe renders, shared out over processes of this machine.

Unlike `compute.map` each has one thread, whatever the machine, so that a recipe's pictures are the same everywhere.
Belongs here: starting them and telling how far they are. What they render does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from fungal_assets.progress import Tell, follow

Item = TypeVar("Item")


def in_processes(
    render: Callable[[Item], None], items: Sequence[Item], *, processes: int, what: str, tell: Tell
) -> None:
    """Render every item, several at once; none starts a process where there are no items.

    Args:
        render: A function at the top level of a module, or a `partial` of one; it keeps what it makes.
        items: What it is called with, one by one; they can be pickled.
        processes: How many at once.
        what: What the items are called in messages.
        tell: Told of progress.
    """
    with ProcessPoolExecutor(processes, get_context("spawn"), _take_one_thread) as pool:
        for _ in follow(pool.map(render, items), tell, what, len(items)):
            pass


def _take_one_thread() -> None:
    import torch

    torch.set_num_threads(1)
