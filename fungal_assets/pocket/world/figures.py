"""The one figure that no icon shows: a girl holding a basket, one of the artist's control prompts.

The styles draw a girl's head, a dress and, some of them, a basket. Put together and given arms in the colour
of her skin they make a whole girl; a style without a basket borrows one. Other icons need nothing of this.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from fungal_assets.errors import InputError
from fungal_assets.pocket.world.art import Art

_LENDERS = ("noto", "fluent", "twemoji")

# All measures are shares of the figure's height; the middle is 0.5 across.
_HEAD_HEIGHT = 0.50
_DRESS_TOP, _DRESS_HEIGHT = 0.43, 0.57
_BASKET_TOP, _BASKET_HEIGHT = 0.60, 0.32
_FACE = (0.3, 0.5, 0.7, 0.9)
_ARM = ((0.09, 0.50), (0.19, 0.59), (0.15, 0.69))
_ARM_WIDTH = 0.055


def draw_basket_girl(art: Art, style: str, *, size_px: int) -> Image.Image:
    """Draw a girl in a dress who holds a basket in front of her, cut to her outline.

    Args:
        art: Icons by style; `girl` and `dress` must be in `style`, a `basket` in any.
        style: Which style she is drawn in.
        size_px: Height of the figure.

    Returns:
        RGBA image, not premultiplied.

    Raises:
        InputError: An icon is missing.
    """
    head = _fit_height(art[style].draw("girl", size_px=size_px), round(_HEAD_HEIGHT * size_px))
    dress = _fit_height(art[style].draw("dress", size_px=size_px), round(_DRESS_HEIGHT * size_px))
    basket = art[basket_lender(art, style)].draw("basket", size_px=size_px)
    basket = _fit_height(basket, round(_BASKET_HEIGHT * size_px))
    figure = Image.new("RGBA", (size_px, size_px))
    for part, top in ((dress, _DRESS_TOP), (head, 0.0), (basket, _BASKET_TOP)):
        figure.alpha_composite(part, ((size_px - part.width) // 2, round(top * size_px)))
    figure.alpha_composite(_draw_arms(_skin_colour(head), size_px))
    return figure.crop(figure.getbbox())


def basket_lender(art: Art, style: str) -> str:
    """The style whose basket a girl in `style` holds: its own if it has one.

    Raises:
        InputError: No style of the art has a basket.
    """
    for lender in (style, *_LENDERS):
        if lender in art and art[lender].has("basket"):
            return lender
    raise InputError(f"No basket in the styles {sorted(art)!r}; add one of {_LENDERS!r}.")


def _fit_height(drawing: Image.Image, height_px: int) -> Image.Image:
    width_px = max(1, round(drawing.width * height_px / drawing.height))
    return drawing.resize((width_px, height_px), Image.Resampling.LANCZOS)


def _skin_colour(head: Image.Image) -> tuple[int, int, int, int]:
    """The median colour of the middle of a face, opaque: eyes and mouth are the smaller part of it."""
    left, top, right, bottom = (round(share * side) for share, side in zip(_FACE, 2 * head.size, strict=True))
    face = np.asarray(head.crop((left, top, right, bottom)).convert("RGB")).reshape(-1, 3)
    red, green, blue = (int(channel) for channel in np.median(face, axis=0))
    return red, green, blue, 255


def _draw_arms(colour: tuple[int, int, int, int], size_px: int) -> Image.Image:
    """Two bent arms with round hands, drawn four times as large for smooth edges."""
    large_px = 4 * size_px
    arms = Image.new("RGBA", (large_px, large_px), (*colour[:3], 0))
    pen = ImageDraw.Draw(arms)
    radius = _ARM_WIDTH * large_px / 2
    for side in (-1, 1):
        joints = [((0.5 + side * across) * large_px, down * large_px) for across, down in _ARM]
        pen.line(joints, fill=colour, width=round(2 * radius))
        for reach, joint in zip((1.0, 1.0, 1.35), joints, strict=True):
            pen.circle(joint, reach * radius, fill=colour)
    return arms.resize((size_px, size_px), Image.Resampling.LANCZOS)
