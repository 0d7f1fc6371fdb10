"""What an atlas measured, and what that says in sentences and figures.

Belongs here: numbers of the tables to words. Measuring, drawing and files do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fungal_assets.galleries.atlas import FLOOR
from fungal_assets.store import Figures

PARTS = ("down", "mid", "up")
"""The way down, the middle and the way up of a UNet; the first convolution belongs to the way down."""


@dataclass(frozen=True)
class Atlas:
    """What was measured.

    Args:
        native_px: The size that the others are compared with.
        sizes_px: All sizes, ascending.
        alignments: Rows of `building.ALIGNMENTS`; `compared` is a size in px or `FLOOR`.
        entropies: Rows of `building.ENTROPIES`.
        spectra: Rows of `building.SPECTRA`.
        places: Rows of `building.PLACES`.
        pictures: How many there are of each size.
    """

    native_px: int
    sizes_px: Sequence[int]
    alignments: Sequence[Mapping[str, Any]]
    entropies: Sequence[Mapping[str, Any]]
    spectra: Sequence[Mapping[str, Any]]
    places: Sequence[Mapping[str, Any]]
    pictures: int

    @property
    def other_sizes_px(self) -> list[int]:
        """The sizes beside the native one."""
        return [size for size in self.sizes_px if size != self.native_px]

    @property
    def compared(self) -> list[str]:
        """What the native size is compared with."""
        return [*map(str, self.other_sizes_px), FLOOR]


def tell_findings(atlas: Atlas) -> list[str]:
    """Sentences that a reader can check against the tables."""
    last = max(row["step"] for row in atlas.alignments)
    sentences = []
    for size in atlas.other_sizes_px:
        first = {part: _mean(atlas, str(size), part, 0) for part in PARTS}
        floor = {part: _mean(atlas, FLOOR, part, 0) for part in PARTS}
        sentences.append(
            f"At the first step, {size} px is like {atlas.native_px} px by {_list(first)} "
            f"({', '.join(PARTS)}), where {atlas.native_px} px from other seeds is like it by {_list(floor)}."
        )
    gap, block, size = max(
        (_block(atlas, FLOOR, block) - _block(atlas, str(size), block), block, size)
        for block in {row["block"] for row in atlas.alignments}
        for size in atlas.other_sizes_px
    )
    sentences.append(
        f"They part most in {block}: over all steps, {size} px is like {atlas.native_px} px by "
        f"{_block(atlas, str(size), block):.2f} there, and other seeds by {_block(atlas, FLOOR, block):.2f}"
        f"{', so that it is the size and not the picture that is told apart' if gap > 0 else ''}."
    )
    sentences.append(
        "At the last step all blocks together are alike by "
        + " and ".join(
            f"{_mean(atlas, str(size), None, last):.2f} ({size} px)" for size in atlas.other_sizes_px
        )
        + f", other seeds by {_mean(atlas, FLOOR, None, last):.2f}."
    )
    return [*sentences, _tell_places(atlas), _tell_attention(atlas)]


def _part_of(block: str) -> str:
    """Which part of the UNet a block belongs to."""
    return next((part for part in PARTS if block.startswith(part)), "down")


def _mean(atlas: Atlas, compared: str, part: str | None, step: int) -> float:
    found = [
        row["alignment"]
        for row in atlas.alignments
        if row["compared"] == compared
        and row["step"] == step
        and part in (None, _part_of(row["block"]))
        and row["alignment"] is not None
    ]
    return sum(found) / len(found) if found else math.nan


def _block(atlas: Atlas, compared: str, block: str) -> float:
    """Mean likeness of a block over all steps; 1 where it was never measured, so that nothing parts there."""
    found = [
        row["alignment"]
        for row in atlas.alignments
        if row["compared"] == compared and row["block"] == block and row["alignment"] is not None
    ]
    return sum(found) / len(found) if found else 1.0


def _list(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{share:.2f}" for share in shares.values())


def mean_entropies(atlas: Atlas) -> dict[str, dict[int, float]]:
    """How widely each self-attention looks, by its name and by size, over all steps."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in atlas.entropies:
        if row["attention"].endswith("attn1"):
            found.setdefault(row["attention"], {}).setdefault(row["size_px"], []).append(row["entropy_share"])
    return {
        name: {size: sum(shares) / len(shares) for size, shares in sizes.items()}
        for name, sizes in found.items()
    }


def _tell_places(atlas: Atlas) -> str:
    rows = [row for row in atlas.places if row["size_px"] == atlas.native_px]
    most = max(rows, key=lambda row: row["shared"])
    return (
        f"At {atlas.native_px} px and the first step, {most['shared']:.2f} of what differs within a picture is alike "
        f"in all {atlas.pictures} pictures in {most['block']}; with borders joined to the opposite ones it is "
        f"{most['shared_wrapped']:.2f}, where {1 / atlas.pictures:.2f} is chance."
    )


def _tell_attention(atlas: Atlas) -> str:
    spread = mean_entropies(atlas)
    if not spread:
        return "The model has no self-attention."
    name = max(spread, key=lambda name: max(spread[name].values()) - min(spread[name].values()))
    shares = ", ".join(f"{spread[name][size]:.2f} at {size} px" for size in atlas.sizes_px)
    return f"Self-attention changes most in {name}, whose entropy is this share of the widest: {shares}."


def figures_of(atlas: Atlas) -> Figures:
    """As of `building.draw_atlas`."""
    last = max(row["step"] for row in atlas.alignments)
    found: dict[str, Any] = {
        "sizes": len(atlas.sizes_px),
        "blocks": len({row["block"] for row in atlas.alignments}),
    }
    for compared in atlas.compared:
        name = f"{compared}_px" if compared != FLOOR else "other_seeds"
        found[f"alike_{name}_first"] = round(_mean(atlas, compared, None, 0), 4)
        found[f"alike_{name}_last"] = round(_mean(atlas, compared, None, last), 4)
    return found
