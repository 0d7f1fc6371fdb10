"""Which device does the arithmetic, and in what way.

The device is found, never configured: a setting that names hardware would make the same config mean two
things.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pick_device() -> torch.device:
    """The best device of this machine: CUDA, then Apple's MPS, then the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """Autocast to bfloat16 on CUDA; plain float32 elsewhere, where bfloat16 costs time."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a CPU let only deterministic algorithms run, so that a resumed run is bit-equal to an unbroken one.

    On a GPU the kernels stay free: the same run differs there in the last bits.
    """
    import torch

    was_on = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(was_on or device.type == "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on)
