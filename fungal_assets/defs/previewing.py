"""Previews of a complete folder for the asset page: a thumbnail inline, the whole sheet in a dialog."""

from collections.abc import Callable, Mapping
from pathlib import Path


def sheets(*patterns: str, newest: str = "", animations: str = "") -> Callable[[Path], Mapping[str, str]]:
    """Previews of the first file that each pattern finds below a folder, of the last of a series, and of animations.

    Args:
        patterns: Glob patterns of pictures, the one for the inline thumbnail first.
        newest: Glob pattern of pictures in a folder that follow each other by name; shown under the folder's name.
        animations: Glob pattern of animated WebP files; all of the first folder that has any are shown, under their
            names.
    """

    def preview(folder: Path) -> Mapping[str, str]:
        from PIL import Image

        from fungal_assets.previews import animation, sheet, thumbnail

        told: dict[str, str] = {}
        for pattern in patterns:
            for path in sorted(folder.glob(pattern))[:1]:
                with Image.open(path) as image:
                    if not told:
                        told["thumbnail"] = thumbnail(image, path.stem)
                    told[path.stem] = sheet(image, path.stem)
        for path in sorted(folder.glob(newest))[-1:] if newest else ():
            with Image.open(path) as image:
                told[path.parent.name] = sheet(image, path.parent.name)
        moving = sorted(folder.glob(animations)) if animations else []
        for path in moving:
            if path.parent == moving[0].parent:
                told[path.stem] = animation(path, path.stem)
        return told

    return preview
