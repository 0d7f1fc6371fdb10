"""Known forms: fungi of the fungarium as volumes, for whoever must know what a perfect form would be.

Their distance and paint are read at the samples of a grid, so shape and colour are right by construction; there is no
light and no shadow in them. Benchmarks fit them, judges are proven with them, silhouettes are compared with theirs.
Belongs here: turning traits into a volume. Torch kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch  # noqa: TID253

from fungal_assets.forms.volume import Volume, density_across

if TYPE_CHECKING:
    from fungal_assets.pocket.fungarium.traits import Traits

HALF_SIDE = 0.55
"""Half of the longer side of a known form, in world units: about what a first guess has."""
_COLUMNS = 128
_PROBES = 40


@torch.no_grad()
def known_volume(traits: Traits, grid_size: int) -> Volume:
    """The first fruiting body of these traits, upright, in the middle of the box.

    Args:
        traits: Of which morphotype, colour and growth; where it stands and how it is seen do not count.
        grid_size: Samples along each side.
    """
    from fungal_assets.pocket.fungarium.bodies import build_body
    from fungal_assets.pocket.fungarium.palette import to_srgb
    from fungal_assets.pocket.fungarium.skins import paint_skin

    form, skin = build_body(traits, columns=_COLUMNS)
    around = torch.linspace(-form.reach, form.reach, _PROBES)
    rough = torch.stack(torch.meshgrid(around, around, around, indexing="ij"), -1).reshape(-1, 3)
    rough[:, 1] += form.middle
    filled = rough[form.distance(rough) < 2 * form.reach / _PROBES * form.damping * 0.5]
    low, high = filled.amin(0), filled.amax(0)
    scale = 2 * HALF_SIDE / float((high - low).max())
    line = torch.linspace(-1, 1, grid_size)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    points = torch.stack([x, y, z], -1).reshape(-1, 3) / scale + (low + high) / 2
    distance = form.distance(points) / form.damping * scale
    cells = -distance * (grid_size - 1) / 2
    colour = torch.full((3, len(points)), 0.5)
    near = (cells > -3).nonzero()[:, 0]
    colour[:, near] = to_srgb(paint_skin(skin, form, points[near])).clamp(0.02, 0.98).T
    shape = (grid_size,) * 3
    return Volume(density_across(cells).reshape(shape), torch.logit(colour).reshape(3, *shape))
