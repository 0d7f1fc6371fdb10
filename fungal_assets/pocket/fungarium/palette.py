"""The eleven colour words of the fungarium and the paint that each stands for.

Belongs here: the named colours and the road between sRGB and linear light. Which morphotype wears which
colour belongs to `morphotypes`.
"""

from __future__ import annotations

import torch

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (196, 30, 22),
    "orange": (232, 120, 24),
    "yellow": (236, 198, 52),
    "brown": (128, 78, 42),
    "white": (240, 234, 222),
    "grey": (140, 138, 136),
    "purple": (124, 66, 152),
    "blue": (58, 104, 186),
    "green": (92, 136, 58),
    "pink": (232, 146, 164),
    "black": (40, 36, 38),
}


def to_linear(srgb: torch.Tensor) -> torch.Tensor:
    """Turns sRGB values (any shape, 0 to 1) into linear light."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp_min(0.0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: torch.Tensor) -> torch.Tensor:
    """Turns linear light (any shape, 0 and up) into sRGB, clipped to 0 to 1."""
    light = linear.clamp(0.0, 1.0)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(1e-6) ** (1 / 2.4) - 0.055)


def paint(name: str) -> torch.Tensor:
    """Returns the named colour as linear light, float32, shape (3,), 0 to 1."""
    return to_linear(torch.tensor(COLORS[name], dtype=torch.float32) / 255.0)


def rgb(red: float, green: float, blue: float) -> torch.Tensor:
    """Returns an sRGB colour of 0 to 255 as linear light, float32, shape (3,)."""
    return to_linear(torch.tensor((red, green, blue), dtype=torch.float32) / 255.0)
