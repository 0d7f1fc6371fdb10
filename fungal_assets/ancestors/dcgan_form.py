"""A form begun from a picture that a DCGAN drew: its silhouette, turned about its axis, seen from four sides.

It is what forms of the main road begin as, before their guide makes more of them. Here it stays as it begins, and is
kept as a mesh too, which `forms_3d.first_meshes` takes for the first guess of a species and `cppn_forms.ancestors` for
an ancestor. Belongs here: the choice, the sheet and the mesh. Silhouettes are in `forms.revolving`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets.galleries.grids import save_webp
from fungal_assets.previews import contact_sheet

GRID_SIZE, VIEWS, VIEW_PX, MAX_FACES = 48, 4, 128, 6000


def draw_form(images: Sequence[Image.Image], path: Path) -> int | None:
    """Write a sheet of the picture with the fittest silhouette, that, and the form turned from it; and the form as GLB.

    Args:
        images: Drawn pictures, RGB.
        path: The sheet; the mesh stands beside it. Neither is written where no picture shows a free, upright subject.

    Returns:
        Which picture it is, or None.
    """
    from fungal_assets.forms.gltf import write_glb
    from fungal_assets.forms.meshing import mesh_volume
    from fungal_assets.forms.revolving import best_silhouette, find_silhouette, revolve
    from fungal_assets.forms.showing import pictures
    from fungal_assets.forms.views import orbit

    best = best_silhouette([np.asarray(image) for image in images])
    if best is None:
        return None
    volume = revolve(best, GRID_SIZE)
    mesh = mesh_volume(volume, max_faces=MAX_FACES)
    write_glb(path.with_suffix(".glb"), mesh, name="drawn by a DCGAN", extras={})
    views = pictures(volume, orbit(VIEWS), VIEW_PX)
    tiles = [Image.fromarray(best.picture), Image.fromarray(best.mask), *map(Image.fromarray, views)]
    labels = ["drawn", "its silhouette", "turned", *[""] * (VIEWS - 1)]
    save_webp(contact_sheet(tiles, columns=len(tiles), labels=labels, tile_px=VIEW_PX), path)
    shapes = (find_silhouette(np.asarray(image)) for image in images)
    return next(at for at, shape in enumerate(shapes) if shape and np.array_equal(shape.mask, best.mask))
