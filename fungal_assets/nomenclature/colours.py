"""The eleven basic colour terms, and the shares of a set of pixels that each names.

A pixel takes the term of the nearest of several examples in CIE Lab, with lightness counted at
`_LIGHTNESS_WEIGHT`, because shade changes a thing's lightness and not its name. The terms are those of
Berlin and Kay (1969). Belongs here: naming of colours. Which pixels are the subject's (`subjects`) is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

EXAMPLES: Mapping[str, str] = {
    "black": "000000 141012 201c1c 2a2624 1a140f",
    "white": "ffffff f4efe4 ece6d8 e2ddd4 d8d8d8 e6e9f0 f5ecd0 dcd2c0 e8dcc0",
    "grey": "808080 a09c98 6a6a6a b4b2b0 565656 8c8680 9aa0a8 78726a",
    "red": "c41e16 a01818 e0281c 8c1420 b83030 d24038 6e1014",
    "orange": "e87818 f08c28 d8681c c86018 f0a050 dc8440 e8a468 d49444 b8641c c8803c c89058 d8a068",
    "yellow": "f0d030 ecc634 f8e468 d8b428 c8a838 f0dc90 e8cc60 dcbc70 c49c3c d8ac4c",
    "green": "5c883a 3c6420 7ca048 a0b86c 2c4a20 4c9050 8cb890 6c8050 30805c",
    "blue": "3a68ba 244c90 6090d0 90b4e0 182c60 4878a0 68b0c8",
    "purple": "7c4298 5a2c74 9c6cb4 b494c8 482450 8c5078 6c5080 a890a8 907890",
    "pink": "e892a4 f0b4bc d87088 f0c8c4 dc8c8c e0a0b4 c86c7c",
    "brown": "804e2a 5c3a20 9c6c40 70421c 442a18 a8805c c09c70 8c5c38 6c5440 94785c b89878",
}
COLOUR_TERMS = tuple(EXAMPLES)
_LIGHTNESS_WEIGHT = 0.65
_SHADED_WHITE, _SHADED_WARM = 0.25, 0.7
"""From which ratio to its shade on, grey and brown, a colour is thought to be lit from one side."""
_WARM = ("red", "orange", "yellow")


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of sRGB pixels: uint8, shape (..., 3) to float32 of the same shape."""
    from skimage.color import rgb2lab

    return rgb2lab(rgb).astype(np.float32)


@cache
def _examples() -> tuple[np.ndarray, np.ndarray]:
    """Examples in weighted Lab, float32 (n, 3), and the index of each one's term, int (n,)."""
    codes = [(index, code) for index, term in enumerate(COLOUR_TERMS) for code in EXAMPLES[term].split()]
    rgb = np.array([list(bytes.fromhex(code)) for _, code in codes], np.uint8)
    return _weigh(to_lab(rgb[None])[0]), np.array([index for index, _ in codes])


def _weigh(lab: np.ndarray) -> np.ndarray:
    return lab * np.array([_LIGHTNESS_WEIGHT, 1.0, 1.0], np.float32)


def name_pixels(lab: np.ndarray) -> np.ndarray:
    """Index into `COLOUR_TERMS` for each pixel: float32 Lab, shape (n, 3) to int, shape (n,)."""
    examples, terms = _examples()
    distances = ((_weigh(lab)[:, None] - examples[None]) ** 2).sum(-1)
    return terms[distances.argmin(1)]


def colour_shares(lab: np.ndarray) -> dict[str, float]:
    """Share of each basic term among Lab pixels, shape (n, 3), n at least 1; the shares sum to 1.

    Grey beside enough white is white in the shade and counts as white; brown beside enough red, orange or yellow
    counts as the greatest of these.
    """
    counts = np.bincount(name_pixels(lab), minlength=len(COLOUR_TERMS))
    shares = {term: float(count / len(lab)) for term, count in zip(COLOUR_TERMS, counts, strict=True)}
    if shares["white"] >= _SHADED_WHITE * shares["grey"]:
        shares["white"] += shares["grey"]
        shares["grey"] = 0.0
    warmest = max(_WARM, key=lambda term: shares[term])
    if shares[warmest] >= _SHADED_WARM * shares["brown"]:
        shares[warmest] += shares["brown"]
        shares["brown"] = 0.0
    return shares


def main_colours(shares: Mapping[str, float], *, least_share: float, most: int = 2) -> tuple[str, ...]:
    """The terms with at least `least_share`, greatest first, at most `most` and at least the greatest one."""
    ranked = sorted(shares, key=lambda term: (-shares[term], term))
    return tuple(
        term for index, term in enumerate(ranked[:most]) if index == 0 or shares[term] >= least_share
    )
