"""What pictures are bred to look like: the subject of a picture, or an object seen from the front.

    portrait.png, ~/things/toad.jpg     a picture of yours with a free subject on a plain ground
    form:NAME, fungarium:MORPHOTYPE, mushroom.glb       an object, addressed as `origins` says

Belongs here: silhouettes and colours of those. How near a picture comes is `picture_fitness`'s. Heavy libraries: import
this module inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from PIL import Image

from fungal_assets.ancestors.expression import grow_seed
from fungal_assets.ancestors.fields import measure_field
from fungal_assets.ancestors.judging import photograph
from fungal_assets.ancestors.origins import is_path, read_origin
from fungal_assets.errors import InputError
from fungal_assets.forms.revolving import find_silhouette

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_CELLS = 64


@dataclass(frozen=True)
class Target:
    """A subject, to be matched on a grid of points.

    Args:
        name: As people read it.
        figure: float32, shape (N,), 0 to 1: how much of each point's surrounding it holds.
        rgb: float32, shape (3, N), sRGB: its colour there; of no meaning where it is not.
    """

    name: str
    figure: torch.Tensor
    rgb: torch.Tensor


def read_target(address: str, forms_3d: Path | None, size_px: int) -> Target:
    """The target of an address, on `size_px` points a side.

    Raises:
        InputError: There is no such object or picture, or the picture shows no subject free of its borders.
    """
    if is_path(address) and Path(address).suffix.lower() in PICTURES:
        name, picture = Path(address).stem, _open(Path(address).expanduser())
    else:
        name, body = read_origin(address, forms_3d)
        field = measure_field(name, body, cells=_CELLS)
        picture = photograph(grow_seed(field, _CELLS), first=1)[0]
    shape = find_silhouette(np.asarray(picture))
    if shape is None:
        raise InputError(
            f"{address} shows no subject that stands free on a plain ground, so there is nothing to match. Cut it out, "
            "or name another target."
        )
    mask = torch.from_numpy(shape.mask).float()[None]
    rgb = torch.from_numpy(shape.picture.copy()).movedim(-1, 0) / 255
    figure, seen = (F.adaptive_avg_pool2d(each, size_px).flatten(1) for each in (mask, rgb * mask))
    return Target(name, figure[0], seen / figure.clamp(min=1e-3))


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise InputError(f"{path} is no picture that can be opened ({error}).") from error
