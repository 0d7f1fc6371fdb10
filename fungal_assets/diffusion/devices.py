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
    from diffusers import DiffusionPipeline


def pick_device() -> torch.device:
    """The best device of this machine: CUDA, then Apple's MPS, then the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def mixed_precision(device: torch.device, *, on_cpu: bool = False) -> AbstractContextManager[None]:
    """Autocast to bfloat16 on CUDA, and with `on_cpu` on a CPU that multiplies in it; plain float32 elsewhere.

    Without `on_cpu` every CPU comes to the same answer up to rounding in float32, whatever units it has.
    """
    import torch

    is_faster = on_cpu and has_bfloat16_units() if device.type == "cpu" else device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=is_faster)


def has_bfloat16_units() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (Intel's AMX, or AVX-512 BF16 as AMD has since Zen 4)."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def suit_attention(denoiser: torch.nn.Module, device: torch.device) -> None:
    """Write attention out on a CPU: backwards, torch's fused kernel costs more there than all convolutions together.

    `benchmarks/pocket_step.py` holds both against each other. Of UNets alone: a transformer's is of another kind.
    """
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    if device.type == "cpu" and isinstance(denoiser, UNet2DConditionModel):
        denoiser.set_attn_processor(AttnProcessor())


def suit_memory(pipeline: DiffusionPipeline) -> None:
    """Lay denoiser and autoencoder of `load_pipeline` out channels last on a CPU whose widest units are AVX2.

    A step of the pocket UNet takes about 0.9 of the time so; with AVX-512 it takes 1.05 (`docs/log.md`). What a gallery
    draws with is left as it is, so that a plain call of diffusers makes the same picture to the bit.
    """
    import torch

    if pipeline.device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2":
        for part in (pipeline.unet, pipeline.vae):
            part.to(memory_format=torch.channels_last)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a CPU let only deterministic algorithms run, so that a resumed run is bit-equal to an unbroken one.

    On a GPU the kernels stay free: the same run differs there in the last bits. Memory is not filled before it is
    written, as torch does beside: that only makes reading it before a constant fault, and costs a part of each step.
    """
    import torch

    was_on, filled = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic
    was_filled = filled.fill_uninitialized_memory
    torch.use_deterministic_algorithms(was_on or device.type == "cpu")
    filled.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on)
        filled.fill_uninitialized_memory = was_filled
