"""The colour of a form's surface: what a camera sees that looks at it from straight above the place.

A short ray enters along the normal and meets the matter front to back, as in `volume`:

    a_i = 1 - exp(-sigma_i d),   colour = sum_i T_i a_i c_i / sum_i T_i a_i

so that neither the colour of the air nor that of the inside, which no camera ever saw, shows on the surface.
Belongs here: colours at places. Where they go, vertices or texture, does not. Torch kernel: import this module inside
functions only.
"""

from __future__ import annotations

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253

from fungal_assets.forms.volume import DENSITY_SCALE, Volume

_ABOVE_CELLS, _BELOW_CELLS, _STEP_CELLS = 1.0, 3.0, 0.5
_FAINT = 1e-9


@torch.inference_mode()
def paint(volume: Volume, places: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Colours of places on a form's surface.

    Args:
        volume: The form.
        places: float, shape (n, 3): x, y, z in the volume's world.
        normals: float, shape (n, 3), length 1, outward.

    Returns:
        float32, shape (n, 3): sRGB, 0 to 1.
    """
    step = _STEP_CELLS * min(volume.steps)
    along = torch.arange(_ABOVE_CELLS, -_BELOW_CELLS - 1e-6, -_STEP_CELLS) * min(volume.steps)
    start = torch.from_numpy(np.asarray(places, np.float32))
    outward = torch.from_numpy(np.asarray(normals, np.float32))
    density, colours = _look_up(volume, start + along[:, None, None] * outward)
    opacity = 1 - torch.exp(-F.softplus(density) * DENSITY_SCALE * step)
    passed = torch.cumprod(torch.cat([torch.ones_like(opacity[:1]), 1 - opacity]), 0)[:-1]
    weights = (opacity * passed + _FAINT)[..., None]
    return ((weights * colours).sum(0) / weights.sum(0)).numpy()


def _look_up(volume: Volume, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Density before its activation, (k, n), and sRGB, (k, n, 3), at places (k, n, 3), trilinear."""
    low, high = (torch.tensor(corner, dtype=torch.float32) for corner in volume.bounds)
    grid = (2 * (places - low) / (high - low) - 1)[None, None]
    fields = torch.cat([volume.density[None], volume.colour])[None]
    found = F.grid_sample(fields, grid, align_corners=True, padding_mode="border")[0, :, 0]
    return found[0], torch.sigmoid(found[1:]).movedim(0, -1)
