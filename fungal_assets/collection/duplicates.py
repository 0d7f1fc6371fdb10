"""Pictures that have come before: the same bytes, or the same picture saved anew, perhaps mirrored.

Belongs here: the marks that two copies share, and the search among them. What happens to a copy is decided in
`admission`. Two photographs of one specimen are no copies: both marks of the second kind have to agree, the
64-bit perceptual hash (what the light does) and a grid of mean colours (where it does it).

Perceptual hash: sign of the 8x8 lowest DCT coefficients of a 32x32 grey picture about their median.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

MAX_HASH_BITS = 4
MAX_COLOUR_STEP = 4.0
GRID_PX = 16
_RECORD_BYTES = GRID_PX * GRID_PX * 3
_ORDER, _PLACE = np.arange(8)[:, None], np.arange(32)[None, :]
_MIRRORED = np.where(_ORDER[:, 0] % 2, -1, 1)
"""Signs of the coefficients along the width in a mirrored picture."""
_DCT = np.cos(np.pi * _ORDER * (2 * _PLACE + 1) / 64)


@dataclass(frozen=True)
class Marks:
    """What two copies of a picture share.

    Args:
        bits: The perceptual hash, 64 bits.
        mirrored_bits: That of the mirrored picture.
        grid: Mean colours of cells whose edges are soft, float32, shape (16, 16, 3), 0 to 255.
    """

    bits: int
    mirrored_bits: int
    grid: np.ndarray

    @property
    def mirrored(self) -> Marks:
        """The marks of the mirrored picture."""
        return Marks(self.mirrored_bits, self.bits, self.grid[:, ::-1])


class Match(NamedTuple):
    """A picture that has come before.

    Args:
        place: As `SeenImages.add` returned it.
        is_mirrored: It is the other's mirror image.
    """

    place: int
    is_mirrored: bool


def mark_image(square: Image.Image) -> Marks:
    """The marks of a picture, from its upright centre square in RGB, 32 px or larger."""
    grid = square.resize((GRID_PX, GRID_PX), Image.Resampling.HAMMING)
    grey = np.asarray(square.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    waves = _DCT @ grey @ _DCT.T
    return Marks(_hash(waves), _hash(waves * _MIRRORED), np.asarray(grid, np.float32))


def _hash(waves: np.ndarray) -> int:
    is_high = waves > np.median(waves.ravel()[1:])
    return int.from_bytes(np.packbits(is_high).tobytes(), "big")


class SeenImages:
    """The pictures that have come so far, searchable by their marks: the bits in memory, the rest in a file.

    Args:
        path: The file; made anew.
    """

    def __init__(self, path: Path) -> None:
        self._bits, self._count = np.zeros(1024, np.uint64), 0
        self._file = path.open("w+b")

    def add(self, marks: Marks) -> int:
        """Remember a picture; returns its place, from 0."""
        place = self._count
        if place == len(self._bits):
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)])
        self._bits[place] = marks.bits
        self._file.seek(place * _RECORD_BYTES)
        self._file.write(marks.grid.astype(np.uint8).tobytes())
        self._count += 1
        return place

    def find_same_picture(self, marks: Marks) -> Match | None:
        """The first remembered picture that this is a copy of, rescaled, saved anew or mirrored, or None."""
        for is_mirrored, sought in enumerate((marks, marks.mirrored)):
            place = self._find(sought)
            if place is not None:
                return Match(place, bool(is_mirrored))
        return None

    def _find(self, marks: Marks) -> int | None:
        bits = self._bits[: self._count]
        near = np.flatnonzero(np.bitwise_count(bits ^ np.uint64(marks.bits)) <= MAX_HASH_BITS)
        for place in near.tolist():
            self._file.seek(place * _RECORD_BYTES)
            grid = np.frombuffer(self._file.read(_RECORD_BYTES), np.uint8).reshape(marks.grid.shape)
            if np.abs(grid - marks.grid).mean() <= MAX_COLOUR_STEP:
                return place
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
