"""Pictures that have come before: the same bytes, or the same picture saved anew.

Belongs here: the marks that two copies share, and the search among them. What happens to a copy is decided in
`admission`. Two photographs of one specimen are no copies: both marks of the second kind have to agree, the
64-bit perceptual hash (what the light does) and a grid of mean colours (where it does it).

Perceptual hash: sign of the 8x8 lowest DCT coefficients of a 32x32 grey picture about their median.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

MAX_HASH_BITS = 4
MAX_COLOUR_STEP = 4.0
GRID_PX = 16
_ORDER, _PLACE = np.arange(8)[:, None], np.arange(32)[None, :]
_DCT = np.cos(np.pi * _ORDER * (2 * _PLACE + 1) / 64)


@dataclass(frozen=True)
class Marks:
    """What two copies of a picture share.

    Args:
        sha256: Hex digest of the bytes.
        bits: The perceptual hash, 64 bits.
        grid: Mean colours, float32, shape (16, 16, 3), 0 to 255.
    """

    sha256: str
    bits: int
    grid: np.ndarray


def mark_image(sha256: str, square: Image.Image) -> Marks:
    """The marks of a picture, from its bytes' digest and its centre square in RGB, 32 px or larger."""
    grid = square.resize((GRID_PX, GRID_PX), Image.Resampling.BOX)
    return Marks(sha256, _hash_bits(square), np.asarray(grid, np.float32))


def _hash_bits(square: Image.Image) -> int:
    grey = np.asarray(square.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    waves = (_DCT @ grey @ _DCT.T).ravel()
    is_high = waves > np.median(waves[1:])
    return int.from_bytes(np.packbits(is_high).tobytes(), "big")


class SeenImages:
    """The pictures that have been admitted so far, searchable by their marks."""

    def __init__(self) -> None:
        self._origins: list[str] = []
        self._by_sha256: dict[str, str] = {}
        self._bits = np.zeros(1024, np.uint64)
        self._grids = np.zeros((1024, GRID_PX, GRID_PX, 3), np.uint8)

    def add(self, marks: Marks, origin: str) -> None:
        """Remember a picture."""
        place = len(self._origins)
        if place == len(self._bits):
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)])
            self._grids = np.concatenate([self._grids, np.zeros_like(self._grids)])
        self._bits[place], self._grids[place] = marks.bits, marks.grid
        self._origins.append(origin)
        self._by_sha256[marks.sha256] = origin

    def find_same_bytes(self, sha256: str) -> str | None:
        """Origin of the remembered picture with these very bytes, or None."""
        return self._by_sha256.get(sha256)

    def find_same_picture(self, marks: Marks) -> str | None:
        """Origin of the first remembered picture that this is a copy of, rescaled or saved anew, or None."""
        bits = self._bits[: len(self._origins)]
        near = np.flatnonzero(np.bitwise_count(bits ^ np.uint64(marks.bits)) <= MAX_HASH_BITS)
        for place in near:
            if np.abs(self._grids[place] - marks.grid).mean() <= MAX_COLOUR_STEP:
                return self._origins[place]
        return None
