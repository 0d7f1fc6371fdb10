"""Map a function over items: on the cores of this machine, or on the machines of a Ray cluster.

Belongs here: which backend is in force. `local` starts processes, `on_ray` gives tasks to Ray, `outcomes` is what both
promise of results and errors. What is computed does not belong here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from fungal_assets.compute import local
from fungal_assets.compute.outcomes import Listing, settle
from fungal_assets.compute.workers import cores, end_with_parent, end_with_starter
from fungal_assets.errors import InputError
from fungal_assets.progress import Tell, stay_silent

__all__ = ["cores", "end_with_parent", "end_with_starter", "map", "ray_address"]

Item = TypeVar("Item")
Result = TypeVar("Result")
BACKEND_VARIABLE = "FUNGAL_COMPUTE"


def map(  # noqa: A001 - compute.map is what it is called everywhere
    fn: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    processes: int,
    cpus: int = 1,
    gpus: float = 0,
    name: Callable[[Item], str] = str,
    tell: Tell = stay_silent,
) -> list[Result]:
    """`[fn(item) for item in items]`, several items at once.

    `$FUNGAL_COMPUTE` says where: `local` (processes of this machine, the default), `ray` (a Ray cluster of this
    machine, which ends with the map), `auto` (the cluster that this machine is part of, or `$RAY_ADDRESS`), or
    `ray://HOST:10001` (a cluster elsewhere).

    An item that fails stops no other: all are tried, then the first failure in the items' order is raised. Items and
    results travel between machines, so both must be small, paths and figures; what is large the function reads from and
    writes to the store, which all machines must see at the same path. On Ray an item whose machine is lost is run once
    more, so the function must bear to find its own half-done work.

    Args:
        fn: A function at the top level of a module.
        items: What it is called with, one by one.
        processes: Worker processes of this machine at most; with 1, or a single item, everything runs in this process.
            A Ray cluster runs as many items at once as it has CPUs and GPUs for.
        cpus: CPUs, and so threads, of an item on Ray; the processes of this machine share out its cores.
        gpus: GPUs of an item on Ray, or a share of one; an item that asks for none sees none. In a cluster without any
            GPU it runs on CPUs. The processes of this machine all see its GPUs.
        name: What an item is called in messages.
        tell: Told of each item that is done.

    Returns:
        One result per item, in the items' order.

    Raises:
        InputError: `$FUNGAL_COMPUTE` is none of these, or its cluster can't be joined.
        MissingExtraError: It asks for Ray, which is not installed.
        FungalError: An item failed so, or its worker died; the message begins with the item's name, the class is the
            item's.
        Exception: Any other failure, as it was, with a note that names the item.
    """
    if processes < 1:
        raise ValueError(f"processes is {processes}; it must be 1 or more")
    address = ray_address()
    listing = Listing([name(item) for item in items], tell)
    if address is None or not items:
        return settle(local.run(fn, items, processes, listing), listing)
    from fungal_assets.compute import on_ray

    return settle(on_ray.run(fn, items, listing, address=address, cpus=cpus, gpus=gpus), listing)


def ray_address() -> str | None:
    """What `ray.init` is to be given; None for the processes of this machine."""
    chosen = os.environ.get(BACKEND_VARIABLE) or "local"
    if chosen == "local":
        return None
    if chosen == "ray":
        return "local"  # Ray's own word for a cluster that it starts here
    if chosen == "auto" or (chosen.startswith("ray://") and chosen != "ray://"):
        return chosen
    raise InputError(
        f"{BACKEND_VARIABLE} is {chosen!r}; there is 'local' (processes of this machine), 'ray' (a Ray cluster started "
        "here), 'auto' (the Ray cluster of this machine, or $RAY_ADDRESS) and 'ray://HOST:10001' (one elsewhere)."
    )
