"""The pictures, films and meshes of the guide, under `media/`.

Pictures become WebP; films and meshes are copied as they are. Specimens are cut out of the clusters' montage, because
the guide does not read the specimens themselves.
Belongs here: files and their names on the site. What is said about them does not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.exhibition.wording import to_href
from fungal_assets.morphology.maps import MONTAGE_TILE_PX, ROW_LABEL_PX
from fungal_assets.store import write_atomically

QUALITY = 90
THUMB_PX = 16


class Shelf:
    """Puts files under `media/` and gives their links from the site's root.

    Args:
        folder: The site's root.
    """

    def __init__(self, folder: Path):
        self._folder = folder / "media"
        self._folder.mkdir(exist_ok=True)
        self.picture_count = 0

    def put_picture(self, image: Image.Image, name: str) -> str:
        """Write a picture as `<name>.webp`."""
        target = self._folder / f"{name}.webp"
        temporary = target.with_name(f".{target.name}")
        image.convert("RGB").save(temporary, "WEBP", quality=QUALITY, method=4)
        temporary.replace(target)
        self.picture_count += 1
        return to_href(f"media/{target.name}")

    def put_copy(self, source: Path, name: str) -> str:
        """Copy a file under a new stem, its suffix kept."""
        target = self._folder / f"{name}{source.suffix}"
        temporary = target.with_name(f".{target.name}")
        shutil.copyfile(source, temporary)
        temporary.replace(target)
        return to_href(f"media/{target.name}")

    def put_script(self, values: Mapping[str, Any], variable: str, name: str) -> str:
        """Write JSON values as `<name>.js`, which adds them to a global variable of the page."""
        target = self._folder / f"{name}.js"
        text = json.dumps(values, separators=(",", ":"), ensure_ascii=True)
        write_atomically(
            target, f"globalThis.{variable} = Object.assign(globalThis.{variable} || {{}}, {text});\n"
        )
        return to_href(f"media/{target.name}")


def open_picture(path: Path) -> Image.Image:
    """A picture, RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")


def read_first_frame(video: Path) -> Image.Image:
    """The first frame of a film.

    Raises:
        InputError: It holds no frame.
    """
    import av

    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            return frame.to_image()
    raise InputError(
        f"{video} holds no frame; a film was expected. Film it again: fungal grow --until videos_3d"
    )


def choose_typical(pictures: Sequence[Image.Image]) -> int:
    """The picture that is nearest to all the others, by colour at 16 x 16: a failed sample is never it."""
    small = [
        picture.convert("RGB").resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX) for picture in pictures
    ]
    points = np.stack([np.asarray(each, np.float32).ravel() for each in small])
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1).sum(axis=1)
    return int(np.argmin(apart))


def cut_montage(montage: Image.Image, counts: Sequence[int]) -> list[list[Image.Image]]:
    """The first tiles of each row of a clusters' montage: the medoid, then the members nearest to it.

    Args:
        montage: As `morphology.maps.draw_montage` draws it.
        counts: How many tiles of each row, one entry per cluster.

    Raises:
        InputError: Its size is not that of so many rows and tiles.
    """
    rows = len(counts)
    gap_px, rest = divmod(montage.height - rows * MONTAGE_TILE_PX, rows + 1)
    step_px = MONTAGE_TILE_PX + gap_px
    columns, surplus = divmod(montage.width - ROW_LABEL_PX - gap_px, step_px)
    if rest or surplus or gap_px < 0 or columns < max(counts):
        raise InputError(
            f"montage.webp is {montage.width} x {montage.height} px; expected {rows} rows of at least "
            f"{max(counts)} tiles of {MONTAGE_TILE_PX} px. Find the clusters again: fungal grow --until clusters"
        )
    side_px = MONTAGE_TILE_PX
    rows_of_tiles = []
    for row, count in enumerate(counts):
        top = gap_px + row * step_px
        lefts = [ROW_LABEL_PX + gap_px + column * step_px for column in range(count)]
        rows_of_tiles.append([montage.crop((left, top, left + side_px, top + side_px)) for left in lefts])
    return rows_of_tiles
