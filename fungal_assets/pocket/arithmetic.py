"""The arithmetic that the recipe runs in: bfloat16 where the CPU has units for it, else float32."""

from __future__ import annotations

import torch


def has_bfloat16_units() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware (Intel's AMX), so that it is faster than float32."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def mixed_precision() -> torch.autocast:
    """Autocast to bfloat16 on such a CPU; weights stay float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16_units())
