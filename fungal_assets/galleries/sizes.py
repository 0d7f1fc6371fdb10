"""The same prompts and seeds at other sizes than the model was tuned at, side by side.

A latent model draws what it draws at the size that it knows. Larger, it has room for the thing twice over; smaller, for
a part. So above the size of the gallery each picture is made in two ways: `plain`, from noise of that size, and in
`two passes`: the gallery's own picture, enlarged and redrawn (see `redrawing`). The same seed gives other noise at
another size.

Belongs here: which pictures, their table, figures and grid. Denoising is in `batches`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fungal_assets.galleries.batches import Settings, is_made, load_sampler, make_pictures
from fungal_assets.galleries.grids import MAX_GRID_PICTURES, save_webp
from fungal_assets.galleries.planning import TUNED, Picture
from fungal_assets.galleries.reading import open_pictures
from fungal_assets.galleries.recognition import recognise_species
from fungal_assets.galleries.redrawing import AGAIN, at_once, first_at
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell
from fungal_assets.shards import write_table
from fungal_assets.store import write_atomically

PLAIN, TWO_PASSES = "plain", "two passes"
_TILE_PX = 160
COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("prompt_id", pa.string()),
        ("kind", pa.string()),
        ("species_id", pa.string()),
        ("text", pa.string()),
        ("model", pa.string()),
        ("seed", pa.int64()),
        ("size_px", pa.int32()),
        ("way", pa.string()),
    ]
)


@dataclass(frozen=True)
class SizedPicture(Picture):
    """A picture of a gallery at another size.

    Args:
        size_px: Its side.
        way: `"plain"` or `"two passes"`.
        first: Path of the gallery's own picture of that prompt and seed.
    """

    size_px: int
    way: str
    first: str

    @property
    def path(self) -> str:
        """Where it lies in the gallery, as a relative POSIX path."""
        return f"sizes/{self.prompt_id}/{self.way.replace(' ', '-')}-{self.size_px}-{self.seed}.png"

    def as_sized_row(self) -> dict[str, Any]:
        """Its row of `sizes.parquet`."""
        return {name: getattr(self, name) for name in COLUMNS.names}


def plan_sizes(plan: Sequence[Picture], sizes: Sequence[int], own_px: int) -> list[SizedPicture]:
    """The first picture of every species and control prompt of the tuned model at each other size, in each way.

    Args:
        plan: The gallery's own pictures.
        sizes: Sides in pixels; the gallery's own is passed over.
        own_px: The side of the gallery's own pictures.
    """
    first = [
        each
        for each in plan
        if each.index == 0 and each.model == TUNED and each.kind in ("species", "control")
    ]
    ways = [(size, PLAIN) for size in sorted({*sizes} - {own_px})]
    ways += [(size, TWO_PASSES) for size, _ in ways if size > own_px]
    return [
        SizedPicture(**vars(each), size_px=size, way=way, first=each.path)
        for size, way in ways
        for each in first
    ]


def sample_sizes(
    plan: Sequence[Picture],
    sizes: Sequence[int],
    weights: Path,
    sha256: str,
    clusters: Path,
    folder: Path,
    settings: Settings,
    tell: Tell,
) -> None:
    """Make the pictures of other sizes into a gallery that has its own, and what tells of them.

    Args:
        plan: The gallery's own pictures.
        sizes: Sides in pixels; none makes nothing.
        weights: Diffusers folder of the tuned model.
        sha256: Its proven hash.
        clusters: The clusters that species are recognised by.
        folder: The gallery; gets `sizes/`, `sizes.parquet`, `sizes.json` and `grids/sizes.webp`.
        settings: As of the gallery's own pictures.
        tell: Gets lines of progress.
    """
    own_px = settings["width"]
    pictures = plan_sizes(plan, sizes, own_px)
    if not pictures:
        return
    pipeline = None
    for group, how in _groups(pictures, settings):
        missing = [each for each in group if not is_made(folder, each, how, sha256)]
        tell(f"{len(missing)} pictures of {group[0].size_px} px, {group[0].way}")
        if missing:
            pipeline = pipeline or load_sampler(weights, settings["scheduler"])
            begun = folder if "first_px" in how else None
            for _ in make_pictures(missing, weights, sha256, folder, how, pipeline=pipeline, begun=begun):
                pass
    rows = [each.as_sized_row() for each in pictures]
    write_table(folder / "sizes.parquet", rows, COLUMNS)
    own = _own_rows(pictures, own_px)
    found = [_tell_of(group, folder, clusters) for group in _by_way([*own, *rows])]
    write_atomically(folder / "sizes.json", json.dumps({"again": AGAIN, "sizes": found}, indent=1))
    _draw(folder, own, rows, found)


def _groups(
    pictures: Sequence[SizedPicture], settings: Settings
) -> Iterator[tuple[list[SizedPicture], dict[str, Any]]]:
    """The pictures of each size and way, and the settings that they are made with."""
    for size, way in dict.fromkeys((each.size_px, each.way) for each in pictures):
        how = {**at_once(settings), "width": size, "height": size}
        if way == TWO_PASSES:
            how = first_at(how, settings["width"])
        yield [each for each in pictures if (each.size_px, each.way) == (size, way)], how


def _own_rows(pictures: Sequence[SizedPicture], own_px: int) -> list[dict[str, Any]]:
    """The rows of the gallery's own pictures beside those of other sizes, each once."""
    firsts = {each.first: each.as_sized_row() for each in pictures}
    return [row | {"path": path, "size_px": own_px, "way": PLAIN} for path, row in firsts.items()]


def _by_way(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The rows by size and way, the smallest first, plain ones before the others."""
    ways = sorted({(row["size_px"], row["way"]) for row in rows})
    return [[row for row in rows if (row["size_px"], row["way"]) == way] for way in ways]


def _tell_of(rows: Sequence[Mapping[str, Any]], folder: Path, clusters: Path) -> dict[str, Any]:
    found = recognise_species(folder, rows, clusters)
    return {
        "size_px": rows[0]["size_px"],
        "way": rows[0]["way"],
        "pictures": len(rows),
        "species_recognised": found["species_recognised"],
        "chance": found["chance"],
    }


def _draw(
    folder: Path,
    own: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
) -> None:
    """A row per prompt, a column per size and way."""
    columns = [{row["prompt_id"]: row for row in group} for group in _by_way([*own, *rows])]
    prompts = [row["prompt_id"] for row in own][: MAX_GRID_PICTURES // len(columns)]
    shown = [column[prompt_id] for prompt_id in prompts for column in columns]
    heads = [f"{each['size_px']} px" + (f", {each['way']}" if each["way"] != PLAIN else "") for each in found]
    labels = [f"{head}\n{row['text']}" for row, head in zip(shown, heads * len(prompts), strict=True)]
    images = list(open_pictures(folder, shown))
    save_webp(
        contact_sheet(images, columns=len(columns), labels=labels, tile_px=_TILE_PX),
        folder / "grids" / "sizes.webp",
    )
