"""Snapshots: a rendered fungus as an amateur's camera meets it, amid the clutter of a real place.

Renders alone are too tidy: a model that has seen nothing else takes the litter and the grass of a photograph for
part of the fungus. So the fungus is cut out and set into a dead-leaves picture: opaque shapes of all sizes that hide
each other, whose edges and spectrum are those of natural scenes (Lee, Mumford and Huang 2001; Baradad et al. 2021,
arXiv:2106.05963). Depth of field, exposure, white balance, vignetting and grain follow.
Belongs here: how clutter and camera look. Torch only through `rendering`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from fungal_assets.pocket.fungarium.rendering import render_picture
from fungal_assets.pocket.fungarium.traits import Traits

Colour = tuple[int, int, int]
Outline = list[tuple[float, float]]

_FRAME_PX = 256
"""Side of the canvas that clutter is drawn on, before it is scaled to the picture."""


@dataclass(frozen=True)
class _Stuff:
    """What lies about in one kind of place.

    Attributes:
        ground: sRGB colour below everything.
        shade: what is left of a colour in the shadow of a shape, 0 to 1.
        shapes: per kind of shape how many there are, their least and greatest length in px of the canvas, and colours.
    """

    ground: Colour
    shapes: tuple[tuple[str, int, float, float, tuple[Colour, ...]], ...]
    shade: float = 0.35


_GREENS: tuple[Colour, ...] = ((70, 110, 36), (96, 140, 52), (52, 84, 30), (128, 160, 70), (150, 150, 84))
_BROWNS: tuple[Colour, ...] = (
    (128, 92, 58),
    (92, 66, 44),
    (158, 124, 84),
    (70, 52, 40),
    (124, 104, 88),
    (148, 82, 46),
)
_GREYS: tuple[Colour, ...] = ((112, 104, 98), (84, 78, 74), (150, 142, 132), (62, 56, 54))
_MOSSES: tuple[Colour, ...] = ((104, 128, 34), (140, 158, 56), (72, 92, 26), (58, 70, 24), (168, 176, 84))
_SANDS: tuple[Colour, ...] = ((206, 182, 146), (180, 152, 116), (222, 204, 172), (150, 132, 110))
_SNOWS: tuple[Colour, ...] = ((240, 243, 250), (222, 230, 242), (250, 250, 252), (198, 208, 226))
_PAPERS: tuple[Colour, ...] = (
    (226, 222, 214),
    (186, 152, 112),
    (150, 152, 158),
    (240, 240, 240),
    (92, 110, 128),
)

_PLACES: dict[str, _Stuff] = {
    "field": _Stuff(
        (34, 48, 20),
        (("leaf", 30, 14, 40, _BROWNS), ("blade", 420, 30, 130, _GREENS), ("leaf", 14, 14, 34, _GREENS)),
    ),
    "moss": _Stuff(
        (36, 46, 18),
        (("blob", 700, 4, 22, _MOSSES), ("blade", 120, 8, 26, _MOSSES), ("leaf", 12, 14, 44, _BROWNS)),
    ),
    "leaf_litter": _Stuff(
        (44, 32, 24),
        (
            ("leaf", 240, 18, 90, _BROWNS),
            ("needle", 130, 24, 120, _BROWNS),
            ("blob", 120, 3, 10, _BROWNS),
            ("leaf", 10, 14, 46, _GREENS),
        ),
    ),
    "log": _Stuff(
        (58, 46, 36),
        (
            ("grain", 420, 30, 150, _GREYS + _BROWNS),
            ("blob", 160, 4, 16, _MOSSES),
            ("blob", 80, 3, 10, _GREYS),
        ),
    ),
    "tree_trunk": _Stuff(
        (48, 40, 34),
        (
            ("bark", 420, 30, 150, _GREYS + _BROWNS),
            ("blob", 120, 4, 16, _MOSSES),
            ("blob", 80, 3, 12, _GREYS),
        ),
    ),
    "sand": _Stuff(
        (188, 162, 126),
        (("blob", 620, 3, 14, _SANDS), ("needle", 24, 20, 80, _BROWNS), ("leaf", 6, 14, 34, _BROWNS)),
        shade=0.6,
    ),
    "snow": _Stuff(
        (222, 228, 240),
        (("blob", 320, 8, 60, _SNOWS), ("needle", 16, 20, 80, _BROWNS), ("leaf", 8, 14, 34, _BROWNS)),
        shade=0.85,
    ),
}


def render_snapshot(traits: Traits, *, size_px: int, supersample: int = 1) -> np.ndarray:
    """The fungus of these traits in a cluttered place; in `dark_room` it lies on paper or a table.

    Args:
        traits: what to show; their seed decides the clutter and the camera too.
        size_px: side of the square picture.
        supersample: rays per pixel along each side, of the fungus.

    Returns:
        uint8, shape (size_px, size_px, 3), sRGB.
    """
    rng = np.random.default_rng([traits.seed, 2])
    picture = render_picture(traits, size_px=size_px, supersample=supersample)
    fungus, mask = picture.image.clamp(0, 1).numpy(), picture.mask.numpy()[..., None]
    scene = _resize(paint_clutter(traits.habitat, rng), size_px)
    if traits.elevation_deg < 35:
        scene = _blur_the_distance(scene, mask, rng)
    scene = scene * _dapple(rng, size_px) * _contact_shadow(mask, rng)
    skin = 1 + 0.3 * (_noise(rng, size_px, (8, 16, 32, 64)) - 0.5)
    image = scene + (fungus * skin - scene) * mask
    if traits.elevation_deg < 35 and traits.habitat in ("field", "moss", "leaf_litter"):
        image = _overgrow(image, mask[..., 0], traits.habitat, rng)
    return (_expose(image, rng) * 255).round().astype(np.uint8)


def paint_clutter(habitat: str, rng: np.random.Generator) -> np.ndarray:
    """A picture of what lies about: float32, shape (256, 256, 3), sRGB 0 to 1."""
    if habitat not in _PLACES:
        tone = np.array(_PAPERS[rng.integers(len(_PAPERS))], np.float32) / 255
        return (
            tone
            * (0.85 + 0.3 * _noise(rng, _FRAME_PX, (2, 3)))
            * (0.97 + 0.06 * _noise(rng, _FRAME_PX, (64, 128)))
        )
    stuff, px = _PLACES[habitat], _FRAME_PX
    canvas = Image.new("RGB", (px, px), stuff.ground)
    draw = ImageDraw.Draw(canvas)
    whole = [
        (kind, low, high, colours)
        for kind, count, low, high, colours in stuff.shapes
        for _ in range(round(count * rng.uniform(0.5, 1.2)))
    ]
    cast, light = rng.normal(1, 0.06, 3), rng.uniform(0.7, 1.25)
    for number in rng.permutation(len(whole)):
        kind, low, high, colours = whole[number]
        length = (low**-1.5 - rng.random() * (low**-1.5 - high**-1.5)) ** (-1 / 1.5)
        outline = _move(_SHAPES[kind](rng), length, _turn_of(kind, rng), *rng.uniform(-0.05, 1.05, 2) * px)
        colour = np.array(colours[rng.integers(len(colours))]) * cast * light
        colour = colour * rng.uniform(1 - (1 - stuff.shade) * 0.7, 1.0 + 0.45 * (1 - stuff.shade))
        drop = max(1.0, 0.05 * length)
        draw.polygon([(x + drop, y + 1.4 * drop) for x, y in outline], fill=_fill(colour * stuff.shade))
        draw.polygon(outline, fill=_fill(colour))
        if kind == "leaf":
            draw.line([outline[0], outline[len(outline) // 2]], fill=_fill(colour * 1.25), width=1)
    drawn = np.asarray(canvas, np.float32) / 255
    return drawn * (0.75 + 0.5 * _noise(rng, px, (16, 32, 64, 128)))


def _leaf(rng: np.random.Generator) -> Outline:
    along = np.linspace(0, 1, 9)
    half = rng.uniform(0.16, 0.36) * np.sin(math.pi * along) ** rng.uniform(0.7, 1.2)
    bend = rng.normal(0, 0.12) * np.sin(math.pi * along)
    wave = rng.normal(0, 0.02, (2, len(along)))
    upper = list(zip(along - 0.5, bend + half + wave[0], strict=True))
    lower = list(zip(along - 0.5, bend - half + wave[1], strict=True))
    return upper + lower[::-1]


def _strip(width: float, curve: float) -> Callable[[np.random.Generator], Outline]:
    def draw(rng: np.random.Generator) -> Outline:
        along = np.linspace(0, 1, 6)
        bend = rng.normal(0, curve) * along**2
        half = width * rng.uniform(0.6, 1.4) * (1 - 0.8 * along)
        return (
            list(zip(along - 0.5, bend + half, strict=True))
            + list(zip(along - 0.5, bend - half, strict=True))[::-1]
        )

    return draw


def _blob(rng: np.random.Generator) -> Outline:
    angle = np.linspace(0, 2 * math.pi, 9)[:-1]
    radius = 0.5 * rng.uniform(0.7, 1.2, len(angle))
    return list(zip(radius * np.cos(angle), rng.uniform(0.6, 1.0) * radius * np.sin(angle), strict=True))


_SHAPES: dict[str, Callable[[np.random.Generator], Outline]] = {
    "leaf": _leaf,
    "blob": _blob,
    "blade": _strip(0.022, 0.25),
    "needle": _strip(0.012, 0.06),
    "grain": _strip(0.08, 0.04),
    "bark": _strip(0.1, 0.04),
}


def _turn_of(kind: str, rng: np.random.Generator) -> float:
    """How far a shape is turned, in radians: grass stands, bark runs up, the grain of a log along it."""
    upright = {"blade": (-math.pi / 2, 0.45), "bark": (-math.pi / 2, 0.08), "grain": (0.0, 0.08)}
    return rng.normal(*upright[kind]) if kind in upright else rng.uniform(0, 2 * math.pi)


def _move(outline: Outline, length: float, turn: float, x: float, y: float) -> Outline:
    c, s = math.cos(turn) * length, math.sin(turn) * length
    return [(x + c * u - s * v, y + s * u + c * v) for u, v in outline]


def _fill(colour: np.ndarray) -> Colour:
    red, green, blue = colour.clip(0, 255).astype(int).tolist()
    return red, green, blue


def _resize(image: np.ndarray, size_px: int) -> np.ndarray:
    """Float (H, W, 3) of 0 to 1 at another size, each pixel the mean of what it covers."""
    channels = [
        np.asarray(Image.fromarray(channel).resize((size_px, size_px), Image.Resampling.BOX))
        for channel in np.moveaxis(image.astype(np.float32), -1, 0)
    ]
    return np.stack(channels, -1)


def _noise(rng: np.random.Generator, size_px: int, cells: tuple[int, ...]) -> np.ndarray:
    """Octaves of smooth noise, float32 (size_px, size_px, 1), about 0 to 1."""
    total = np.zeros((size_px, size_px), np.float32)
    for count in cells:
        field = Image.fromarray(rng.random((count + 1, count + 1), dtype=np.float32))
        total += np.asarray(field.resize((size_px, size_px), Image.Resampling.BICUBIC)) / len(cells)
    return total[..., None]


def _blur_the_distance(scene: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What is above the fungus' foot lies further off: softer the higher it is."""
    px = len(scene)
    foot = _foot_row(mask[..., 0])
    radius_px = px * rng.uniform(0.0, 0.045)
    share = np.clip((foot - np.arange(px)) / (0.6 * px), 0, 1)[:, None, None]
    return scene + (gaussian_filter(scene, (radius_px, radius_px, 0)) - scene) * np.minimum(1, 1.6 * share)


def _foot_row(mask: np.ndarray) -> int:
    rows = np.flatnonzero(mask.max(1) > 0.5)
    return int(rows[-1]) if len(rows) else len(mask)


def _dapple(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Spots of sun and shade, float32 (size_px, size_px, 1), about 0.5 to 1.3."""
    depth = rng.uniform(0, 0.8)
    return 1 + depth * (np.clip(3 * (_noise(rng, size_px, (3, 5)) - 0.5) + 0.5, 0, 1) - 0.55)


def _contact_shadow(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How much light is left beside the fungus, float32 (H, W, 1), 0 to 1."""
    px = len(mask)
    moved = np.roll(
        mask, (int(rng.integers(0, 1 + px // 25)), int(rng.integers(-px // 20, px // 20))), (0, 1)
    )
    radius_px = px * rng.uniform(0.015, 0.04)
    return 1 - rng.uniform(0.3, 0.75) * gaussian_filter(moved, (radius_px, radius_px, 0))


def _overgrow(image: np.ndarray, mask: np.ndarray, habitat: str, rng: np.random.Generator) -> np.ndarray:
    """Blades and leaves before the foot."""
    px, foot = len(image), _foot_row(mask)
    columns = np.flatnonzero(mask[min(foot, px - 1)] > 0.5) if foot < px else np.arange(px)
    middle = float(columns.mean()) if len(columns) else px / 2
    scale = _FRAME_PX / px
    layer = Image.new("RGBA", (_FRAME_PX, _FRAME_PX))
    draw = ImageDraw.Draw(layer)
    kind, colours = {"field": ("blade", _GREENS), "moss": ("blob", _MOSSES)}.get(habitat, ("leaf", _BROWNS))
    for _ in range(rng.integers(4, 16)):
        length = rng.uniform(14, 44)
        at = (middle + rng.normal(0, 0.14 * px)) * scale, (foot + rng.uniform(0, 0.06) * px) * scale
        colour = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.6, 1.2)
        draw.polygon(_move(_SHAPES[kind](rng), length, _turn_of(kind, rng), *at), fill=(*_fill(colour), 255))
    small = np.asarray(layer.resize((px, px), Image.Resampling.BOX), np.float32) / 255
    return image + (small[..., :3] - image) * small[..., 3:]


def _expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, white balance, saturation, vignetting and grain of a small camera."""
    px = len(image)
    at = np.linspace(-1, 1, px)
    vignette = 1 - rng.uniform(0, 0.3) * (at[:, None] ** 2 + at[None] ** 2)[..., None] / 2
    image = image * rng.uniform(0.75, 1.2) * rng.normal(1, 0.04, 3) * vignette
    grey = image.mean(-1, keepdims=True)
    image = grey + rng.uniform(0.7, 1.2) * (image - grey)
    return np.clip(image + rng.normal(0, rng.uniform(0.004, 0.025), image.shape), 0, 1)
