"""Pictures of the world: one drawing, near the centre, on a plain background, with its caption.

A drawing is rasterised once per concept and style; its variants differ by background and wording, and by a little in
placement and size: a small model learns what a thing is sooner if it always stands the same way. Each picture has its
own seed, made of the run's seed and its own name, so that it is the same in any batch.
Belongs here: composing pictures. Things, words and icons do not (`concepts`, `captions`, `art`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from fungal_assets.errors import InputError
from fungal_assets.pocket.world.art import Art
from fungal_assets.pocket.world.captions import caption_picture, plain_caption
from fungal_assets.pocket.world.concepts import BASKET_GIRL, CONTROLS, WORLD_CONCEPTS, Concept
from fungal_assets.pocket.world.figures import basket_lender, draw_basket_girl
from fungal_assets.pocket.world.styles import HELD_OUT_STYLE, TRAINING_STYLES

CONTROL_REPEATS = 4
_SIZE_RANGE = (0.84, 0.88)
_PLACE_RANGE = (0.45, 0.55)
_HELD_OUT_SIZE = 0.85
_LEAST_CONTRAST = 40.0

Background = tuple[str, tuple[int, int, int], float]
"""Colour word, RGB from 0 to 255, and how often it is drawn."""

_BACKGROUNDS: tuple[Background, ...] = (
    ("white", (255, 255, 255), 10.0),
    ("light blue", (205, 228, 247), 2.0),
    ("pale yellow", (253, 244, 200), 2.0),
    ("pink", (250, 205, 216), 1.5),
    ("light green", (210, 238, 208), 1.5),
    ("grey", (176, 178, 182), 1.0),
    ("blue", (58, 112, 200), 0.8),
    ("green", (62, 150, 82), 0.6),
    ("orange", (243, 152, 62), 0.5),
    ("purple", (126, 84, 170), 0.5),
    ("black", (16, 16, 18), 0.8),
)


@dataclass(frozen=True)
class WorldPicture:
    """One captioned picture.

    Attributes:
        image: uint8, shape (size_px, size_px, 3), RGB, 0 to 255.
        caption: What a prompt for it would say.
        concept: Name of the concept.
        kind: Kind of the concept.
        style: Art style.
        background: Colour word of the background, whether the caption says it or not.
        licence: SPDX identifier of the art's licence; two joined by `AND` where a drawing has two sources.
    """

    image: np.ndarray
    caption: str
    concept: str
    kind: str
    style: str
    background: str
    licence: str


def world_pictures(
    art: Art,
    *,
    concepts: int | Sequence[Concept] = 160,
    variants: int = 4,
    seed: int = 0,
    size_px: int = 128,
    styles: Sequence[str] = TRAINING_STYLES,
) -> Iterator[WorldPicture]:
    """Draw the world, concept by concept, without the held-out style.

    Args:
        art: Icons by style.
        concepts: How many of the world's concepts, the most important first; or these concepts themselves.
        variants: Pictures per concept and style; the artist's control concepts get four times as many.
        seed: Seed of the run.
        size_px: Side of a picture.
        styles: Which styles; those of `art` that are not named stay unseen.

    Yields:
        The pictures, in an order that does not depend on the seed.

    Raises:
        InputError: At the first picture: a number is out of range, or icons or styles are missing.
    """
    chosen = choose_concepts(art, concepts=concepts, styles=styles)
    if variants < 1 or size_px < 16:
        raise InputError(f"variants={variants!r} and size_px={size_px!r}; at least 1 and 16 were expected.")
    for concept in chosen:
        count = variants * (CONTROL_REPEATS if concept in CONTROLS else 1)
        for style in (style for style in styles if style in concept.icons):
            drawings = [
                draw_concept(art, concept, style, icon, size_px=2 * size_px) for icon in concept.icons[style]
            ]
            backgrounds = [legible_backgrounds(drawing) for drawing in drawings]
            for variant in range(count):
                which, rng = variant % len(drawings), _picture_rng(seed, concept.name, style, variant)
                image, word = _vary(drawings[which], backgrounds[which], rng, size_px)
                caption = caption_picture(
                    concept, style, word, rng, plain_background=backgrounds[which][0][0]
                )
                licence = _licence(art, concept, style)
                yield WorldPicture(image, caption, concept.name, concept.kind, style, word, licence)


def held_out_pictures(
    art: Art, *, concepts: int = 160, size_px: int = 128, style: str = HELD_OUT_STYLE
) -> Iterator[WorldPicture]:
    """Draw one upright, centred picture per concept in the style that no training picture has.

    The background is white, or the first colour that the drawing stands out from; the caption is
    `"a drawing of a hamburger"`.

    Raises:
        InputError: As `world_pictures`.
    """
    for concept in choose_concepts(art, concepts=concepts, styles=(style,)):
        if style not in concept.icons:
            continue
        drawing = draw_concept(art, concept, style, concept.icons[style][0], size_px=2 * size_px)
        word, colour, _ = legible_backgrounds(drawing)[0]
        image = compose(drawing, colour, size_px=size_px, scale=_HELD_OUT_SIZE, at=(0.5, 0.5))
        caption, licence = plain_caption(concept), _licence(art, concept, style)
        yield WorldPicture(image, caption, concept.name, concept.kind, style, word, licence)


def choose_concepts(
    art: Art, *, concepts: int | Sequence[Concept], styles: Sequence[str]
) -> tuple[Concept, ...]:
    """The first `concepts` concepts, or these, proven drawable in `styles`.

    Raises:
        InputError: `concepts` is out of range, or styles or icons are missing, all named at once.
    """
    if isinstance(concepts, int) and not 1 <= concepts <= len(WORLD_CONCEPTS):
        raise InputError(f"concepts={concepts!r}; a number from 1 to {len(WORLD_CONCEPTS)} was expected.")
    chosen = WORLD_CONCEPTS[:concepts] if isinstance(concepts, int) else tuple(concepts)
    absent = [style for style in styles if style not in art]
    if absent:
        raise InputError(f"The art has no style {absent!r}, only {sorted(art)!r}; read all with `read_art`.")
    missing = [
        f"{style}:{icon} ({concept.name})"
        for concept in chosen
        for style in styles
        for icon in concept.icons.get(style, ())
        if not art[style].has(icon)
    ]
    if missing:
        raise InputError(
            f"{len(missing)} icons are missing: {', '.join(missing)}. The pinned packages hold all of them; "
            f"read them again with `read_art`."
        )
    return chosen


def legible_backgrounds(drawing: Image.Image) -> list[Background]:
    """The backgrounds that a drawing's outline stands out from, white first; at least one.

    A white cloud is lost on white. Where the outline is near every colour, the best one alone is returned.
    """
    edge = _edge_colours(drawing)
    contrasts = [float(np.abs(edge - np.asarray(colour)).mean()) for _, colour, _ in _BACKGROUNDS]
    pairs = zip(_BACKGROUNDS, contrasts, strict=True)
    legible = [background for background, contrast in pairs if contrast >= _LEAST_CONTRAST]
    return legible or [_BACKGROUNDS[int(np.argmax(contrasts))]]


def _edge_colours(drawing: Image.Image) -> np.ndarray:
    """Colours of the solid pixels at a drawing's edge: float32, shape (pixels, 3), RGB, 0 to 255."""
    solid = ImageOps.expand(drawing.getchannel("A"), border=1).point(lambda alpha: 255 * (alpha > 127))
    inner = np.asarray(solid.filter(ImageFilter.MinFilter(9)))[1:-1, 1:-1]
    is_edge = (np.asarray(solid)[1:-1, 1:-1] > 0) & (inner == 0)
    is_edge = is_edge if is_edge.any() else np.asarray(drawing.getchannel("A")) > 0
    return np.asarray(drawing.convert("RGB"), dtype=np.float32)[is_edge]


def compose(
    drawing: Image.Image,
    colour: tuple[int, int, int],
    *,
    size_px: int,
    scale: float,
    at: tuple[float, float],
) -> np.ndarray:
    """Set a drawing on a plain colour.

    Args:
        drawing: RGBA, not premultiplied.
        colour: RGB of the background, 0 to 255.
        size_px: Side of the picture.
        scale: Longest side of the drawing as a share of the picture's side, above 0 and at most 1.
        at: Where in the free room the drawing sits, 0 to 1 from the left and from the top.

    Returns:
        uint8, shape (size_px, size_px, 3), RGB.
    """
    ratio = scale * size_px / max(drawing.size)
    width, height = (max(1, round(side * ratio)) for side in drawing.size)
    small = drawing.resize((width, height), Image.Resampling.LANCZOS)
    picture = Image.new("RGBA", (size_px, size_px), (*colour, 255))
    picture.alpha_composite(small, (round(at[0] * (size_px - width)), round(at[1] * (size_px - height))))
    return np.asarray(picture.convert("RGB"))


def draw_concept(art: Art, concept: Concept, style: str, icon: str, *, size_px: int) -> Image.Image:
    """Draw one concept without a background, cut to its outline.

    Args:
        art: Icons by style.
        concept: What to draw.
        style: In which style.
        icon: Which of the concept's icons in that style.
        size_px: Side of the icon's grid.

    Returns:
        RGBA image, not premultiplied.
    """
    if concept.name == BASKET_GIRL:
        return draw_basket_girl(art, style, size_px=size_px)
    return art[style].draw(icon, size_px=size_px)


def _vary(
    drawing: Image.Image, backgrounds: Sequence[Background], rng: np.random.Generator, size_px: int
) -> tuple[np.ndarray, str]:
    """A picture of a drawing with chance in all but the drawing, and the colour word of its background."""
    weights = np.array([weight for *_, weight in backgrounds])
    word, colour, _ = backgrounds[rng.choice(len(backgrounds), p=weights / weights.sum())]
    scale, left, top = rng.uniform(*_SIZE_RANGE), rng.uniform(*_PLACE_RANGE), rng.uniform(*_PLACE_RANGE)
    image = compose(drawing, colour, size_px=size_px, scale=scale, at=(left, top))
    return image, word


def _licence(art: Art, concept: Concept, style: str) -> str:
    sources = [style, basket_lender(art, style)] if concept.name == BASKET_GIRL else [style]
    return " AND ".join(sorted({art[source].style.licence for source in sources}))


def _picture_rng(seed: int, *names: str | int) -> np.random.Generator:
    """A generator of its own for the picture of these names, the same on every machine."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])
