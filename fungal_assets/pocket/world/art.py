"""Reading emoji art from npm packages in the iconify format, and drawing one icon of it.

A package is one `.tgz` whose `package/icons.json` holds every icon as the inside of an SVG. It is fetched
with `npm pack` if missing, checked against its pinned hash, and read in memory: nothing is extracted to disk.
Belongs here: packages, icons by name, rasterising. Which icons mean what does not (`concepts`).
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.errors import FungalError, InputError, MissingExtraError, ProvenanceError
from fungal_assets.pocket.world.styles import STYLES, ArtStyle
from fungal_assets.progress import Tell, stay_silent

_ICONS_MEMBER = "package/icons.json"
_FAINT_ALPHA = 8


@dataclass(frozen=True)
class IconSet:
    """The icons of one style.

    Attributes:
        style: Where they come from.
        table: The parsed `icons.json`: `icons`, `aliases`, and the default `width` and `height` of an icon.
    """

    style: ArtStyle
    table: Mapping[str, Any]

    def has(self, icon: str) -> bool:
        """Whether there is an icon or alias of this name."""
        return icon in self.table["icons"] or icon in self.table.get("aliases", {})

    def svg(self, icon: str) -> str:
        """The icon as a whole SVG document.

        Args:
            icon: Name of an icon or of an alias.

        Raises:
            InputError: This style has no such icon, or its alias leads nowhere.
        """
        body, is_mirrored = self._resolve(icon)
        left, top = body.get("left", 0), body.get("top", 0)
        width = body.get("width", self.table.get("width", 16))
        height = body.get("height", self.table.get("height", 16))
        inside = body["body"]
        if is_mirrored:
            inside = f'<g transform="translate({2 * left + width} 0) scale(-1 1)">{inside}</g>'
        names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        return f'<svg {names} viewBox="{left} {top} {width} {height}">{inside}</svg>'

    def _resolve(self, icon: str) -> tuple[Mapping[str, Any], bool]:
        name, is_mirrored, aliases = icon, False, self.table.get("aliases", {})
        for _ in range(len(aliases) + 1):
            if name in self.table["icons"]:
                return self.table["icons"][name], is_mirrored
            if name not in aliases:
                break
            is_mirrored ^= aliases[name].get("hFlip", False)
            name = aliases[name]["parent"]
        raise InputError(
            f"The style {self.style.name!r} has no icon {icon!r}; {self.style.package} {self.style.version} "
            f"was expected to hold it. Correct the name in pocket/world/concepts.py."
        )

    def draw(self, icon: str, *, size_px: int) -> Image.Image:
        """Rasterise an icon and cut away the empty margin around it.

        Args:
            icon: Name of an icon or of an alias.
            size_px: Longest side of the whole icon before the margin is cut.

        Returns:
            RGBA image, not premultiplied, at most `size_px` on a side.

        Raises:
            InputError: No such icon, or it is empty.
        """
        drawing = rasterise(self.svg(icon), size_px=size_px)
        box = drawing.getchannel("A").point(lambda alpha: 255 * (alpha > _FAINT_ALPHA)).getbbox()
        if box is None:
            raise InputError(f"The icon {icon!r} of the style {self.style.name!r} is empty; choose another.")
        return drawing.crop(box)


Art = Mapping[str, IconSet]


def rasterise(svg: str, *, size_px: int) -> Image.Image:
    """Draw an SVG document to an RGBA image whose longest side is `size_px`.

    Raises:
        MissingExtraError: `resvg_py` is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise MissingExtraError("Drawing the art needs resvg_py: pip install resvg-py==0.5.0") from error
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size_px, height=size_px, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def read_art(folder: Path | str, *, styles: Sequence[ArtStyle] = STYLES, tell: Tell = stay_silent) -> Art:
    """Read the art packages, fetching those that are missing.

    Args:
        folder: Where the `.tgz` files are or go; made if missing.
        styles: The packages to read.
        tell: Hears what is being fetched.

    Returns:
        The icons of each style, by the style's name.

    Raises:
        FungalError: A package is missing and npm is not there or fails.
        ProvenanceError: A package is not the pinned one.
    """
    folder = Path(folder)
    for style in styles:
        if not (folder / style.file_name).exists():
            tell(f"fetching {style.package} {style.version}")
            fetch_package(style, folder)
    _check_hashes(folder, styles)
    return {style.name: IconSet(style, _read_icons(folder / style.file_name)) for style in styles}


def fetch_package(style: ArtStyle, folder: Path) -> Path:
    """Bring one package into `folder` with `npm pack` and return its path.

    Raises:
        FungalError: npm is missing, or fails.
    """
    wanted = f"{style.package}@{style.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise FungalError(
            f"{style.file_name!r} is not in {str(folder)!r} and npm is not installed. Install Node.js, or "
            f"run `npm pack {wanted}` on another machine and copy the file there."
        )
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", wanted, "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    path = folder / style.file_name
    if done.returncode != 0 or not path.exists():
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise FungalError(
            f"`npm pack {wanted}` ended with code {done.returncode}: {reason[0]}. {path} was expected; check "
            f"the network, or run the command yourself in {str(folder)!r}."
        )
    return path


def _check_hashes(folder: Path, styles: Sequence[ArtStyle]) -> None:
    faults = []
    for style in styles:
        found = hashlib.sha256((folder / style.file_name).read_bytes()).hexdigest()
        if found != style.sha256:
            faults.append(f"{style.file_name}: found sha256 {found}, expected {style.sha256}")
    if faults:
        raise ProvenanceError(
            f"Art packages in {str(folder)!r} are not the pinned ones. {'; '.join(faults)}. "
            f"Delete these files and run again to fetch them."
        )


def _read_icons(path: Path) -> Mapping[str, Any]:
    with tarfile.open(path, "r:gz") as package:
        for entry in package:
            member = package.extractfile(entry) if entry.name == _ICONS_MEMBER else None
            if member is not None:
                return json.load(member)
    raise ProvenanceError(f"{path} holds no file {_ICONS_MEMBER}; an iconify package was expected.")
