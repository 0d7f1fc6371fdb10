"""Light for forms that have none of their own: a lamp from above, and shade where the air is shut in.

Evolved forms have plain colours. For pictures the light is multiplied into the colours of the surface (the lamp turns
with the form); meshes keep the plain colours, since their viewers have light. Belongs here: that light. Torch kernel.
"""

from __future__ import annotations

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from scipy import ndimage  # noqa: TID253

from fungal_assets.forms.volume import Volume

_LAMP = (0.45, 0.75, 0.55)
_AMBIENT, _DIRECT, _BOUNCE = 0.6, 0.56, 0.14
_SHADES = ((5, 0.35), (13, 0.45))


def shine(volume: Volume) -> Volume:
    """The volume with lit colours."""
    matter = (volume.cell_alpha() > 0.5).float()
    smooth = _blur(matter, 5)
    slopes = torch.gradient(smooth)
    normal = -torch.stack([slopes[2], slopes[1], slopes[0]])
    normal = normal / normal.norm(dim=0).clamp(min=1e-4)
    lamp = F.normalize(torch.tensor(_LAMP, device=matter.device), dim=0)
    facing = (normal * lamp[:, None, None, None]).sum(0)
    openness = torch.ones_like(matter)
    for width, strength in _SHADES:
        openness = openness - strength * (_blur(matter, width) - 0.5).clamp(min=0) * 2
    light = _AMBIENT * (0.75 + 0.25 * normal[1]) + _DIRECT * ((facing + 0.25) / 1.25).clamp(min=0)
    light = (light + _BOUNCE * (-normal[1]).clamp(min=0)) * openness
    rgb = (volume.rgb() * light).clamp(0.002, 0.998)
    return Volume(volume.density, torch.logit(rgb), volume.bounds)


def _blur(field: torch.Tensor, width: int) -> torch.Tensor:
    """Mean over a cube of that odd width, twice: float, the field's shape."""
    one = field.numpy()
    for _ in range(2):
        one = ndimage.uniform_filter(one, width, mode="constant")
    return torch.from_numpy(one)
