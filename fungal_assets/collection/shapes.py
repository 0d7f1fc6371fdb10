"""Shapes of prepared pictures: squares, or for each picture the nearest of a few shapes with about as many pixels.

A model of squares learns that photographs are squares, and of a picture of 3:2 a third is never seen. Models learn as
well from other shapes of about the same area, which cost what the square does: NovelAI's aspect ratio bucketing (2022),
and the sizes that Stable Diffusion XL was trained at (Podell et al. 2023, arXiv:2307.01952, appendix I). Here the sides
are so many sixteenths of the square's:

    16:16    17:15    18:14    19:13    21:12,    upright and lying

which are XL's own at 1024 px. A picture is cut to the one that is nearest in log(width / height), so that of any
between 1:2 and 2:1 at most an eighth is lost, and of 4:3, 3:2 and 16:9 less than four hundredths. As the sides are
whole sixteenths at each resolution, smaller ones are still had from larger ones by means of whole pixels.

Belongs here: which shapes there are, and which one a picture gets. Cutting is in `decoding`.
"""

from __future__ import annotations

import math

from fungal_assets.errors import InputError

SQUARE, BUCKETS = "square", "buckets"
SHAPES = (SQUARE, BUCKETS)
PARTS = 16
SIXTEENTHS = ((16, 16), (17, 15), (18, 14), (19, 13), (21, 12))
LEAST_PX = 128
"""Of a smaller square, a sixteenth is no multiple of what a latent stands for, 8 pixels."""


def sizes_at(size_px: int, shape: str) -> list[tuple[int, int]]:
    """Widths and heights, pixels, that pictures of a resolution may have.

    Raises:
        InputError: There are no such shapes, or none but squares at this resolution.
    """
    if shape == SQUARE:
        return [(size_px, size_px)]
    if shape != BUCKETS:
        raise InputError(f"prepared_images.shape is {shape!r}, one of {SHAPES!r} expected.")
    if size_px % LEAST_PX:
        raise InputError(
            f"prepared_images.shape is 'buckets' at {size_px} px; expected a multiple of {LEAST_PX}, as sides are "
            "whole sixteenths and multiples of 8. Use a larger resolution, or shape=square."
        )
    unit = size_px // PARTS
    lying = [(longer * unit, shorter * unit) for longer, shorter in SIXTEENTHS]
    return [*lying, *((width, height) for height, width in lying[1:])]


def nearest_size(size: tuple[int, int], size_px: int) -> tuple[int, int]:
    """The one of `sizes_at` whose shape is nearest to that of a picture of that width and height."""
    aspect = math.log(size[0] / size[1])
    return min(sizes_at(size_px, BUCKETS), key=lambda known: abs(aspect - math.log(known[0] / known[1])))


def size_for(size: tuple[int, int], size_px: int, shape: str) -> tuple[int, int]:
    """Width and height, pixels, that a picture of this upright size gets at a resolution."""
    return (size_px, size_px) if shape == SQUARE else nearest_size(size, size_px)
