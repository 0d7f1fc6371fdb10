"""The pictures that the pocket model learns from, rendered once into a working folder.

Two worlds: drawings (`world`) and rendered fungi (`fungarium`). Each is kept as `.npz` parts of uint8 pictures with
their captions, so that a recipe which was stopped goes on with the parts that are missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fungal_assets.pocket.processes import in_processes
from fungal_assets.progress import Tell

if TYPE_CHECKING:
    from fungal_assets.pocket.fungarium import Traits
    from fungal_assets.pocket.world import Art, Concept

IMAGE_PX = 128
PART_PICTURES = 100
FUNGI_SEED = 1_000_000
PORTRAIT_SEED = 2_000_000
SNAPSHOT_SEED = 3_000_000
VIEW_SEED = 4_000_000
REWORDING_SEED = 1_000_000_000
WORDING_VERSION = 2
"""Of the captions of drawings, which are kept with them."""


@dataclass(frozen=True)
class Pictures:
    """Captioned pictures in memory.

    Args:
        images: uint8, shape (N, size, size, 3), sRGB.
        captions: One text each.
        concepts: What is on it, one word or few.
        styles: Art style, or "photo" for rendered fungi.
    """

    images: np.ndarray
    captions: list[str]
    concepts: list[str]
    styles: list[str]

    def __len__(self) -> int:
        return len(self.captions)


def render_fungi(
    folder: Path,
    traits: Sequence[Traits],
    *,
    processes: int,
    tell: Tell,
    is_snapshot: bool = False,
    size_px: int = IMAGE_PX,
) -> Pictures:
    """The fungi of these traits, rendered by `processes` at once; each caption says what is out of the ordinary.

    Args:
        folder: Where parts are kept; one folder belongs to one size and one sequence of traits, which may grow or
            shrink at its end.
        traits: What to render.
        processes: How many render at once.
        tell: Told of progress.
        is_snapshot: Whether they are rendered as snapshots.
        size_px: Side of a picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [traits[start : start + PART_PICTURES] for start in range(0, len(traits), PART_PICTURES)]
    paths = [folder / f"fungi-{index:04d}.npz" for index in range(len(parts))]
    missing = [
        (path, part)
        for path, part in zip(paths, parts, strict=True)
        if not path.exists() or len(np.load(path)["captions"]) != len(part)
    ]
    render = partial(_render_part, is_snapshot=is_snapshot, size_px=size_px)
    in_processes(render, missing, processes=processes, what="fungi", tell=tell)
    return replace(read_pictures(paths), captions=caption_fungi(traits, seed=0, is_snapshot=is_snapshot))


def caption_fungi(traits: Sequence[Traits], *, seed: int, is_snapshot: bool = False) -> list[str]:
    """A caption for each; another seed says the same in other words."""
    from fungal_assets.pocket.fungarium import describe

    return [describe(one, rng_seed=one.seed + seed, is_snapshot=is_snapshot) for one in traits]


def traits_of_fungi(count: int) -> list[Traits]:
    """`count` fungi of any number, from any side."""
    from fungal_assets.pocket.fungarium import sample_traits

    return [sample_traits(seed) for seed in range(FUNGI_SEED, FUNGI_SEED + count)]


def traits_of_portraits(count: int) -> list[Traits]:
    """`count` fungi that stand alone as a field guide shows them."""
    from fungal_assets.pocket.fungarium import sample_portrait

    return [sample_portrait(seed) for seed in range(PORTRAIT_SEED, PORTRAIT_SEED + count)]


def traits_of_snapshots(count: int) -> list[Traits]:
    """`count` fungi of which every second stands alone as a field guide shows it."""
    from fungal_assets.pocket.fungarium import sample_portrait, sample_traits

    kinds = (sample_traits, sample_portrait)
    return [kinds[seed % 2](seed) for seed in range(SNAPSHOT_SEED, SNAPSHOT_SEED + count)]


def traits_of_views(count: int) -> list[Traits]:
    """`count` fungi as a field guide shows them, but every morphotype in turn from every side that there is of it."""
    from fungal_assets.pocket.fungarium import MORPHOTYPES, sample_portrait, views_of

    sides = itertools.cycle([(name, view) for name in MORPHOTYPES for view in views_of(name)])
    return [
        sample_portrait(seed, morphotype=name, view=view)
        for seed, (name, view) in zip(range(VIEW_SEED, VIEW_SEED + count), sides, strict=False)
    ]


def _render_part(part: tuple[Path, Sequence[Traits]], *, is_snapshot: bool, size_px: int) -> None:
    path, traits = part
    captions = caption_fungi(traits, seed=0, is_snapshot=is_snapshot)
    look = snap_pixels if is_snapshot else render_pixels
    write_pictures(
        path,
        (
            (look(one, size_px=size_px), caption, one.morphotype, "photo")
            for one, caption in zip(traits, captions, strict=True)
        ),
    )


def snap_pixels(traits: Traits, *, size_px: int = IMAGE_PX) -> np.ndarray:
    """A fungus amid clutter as the model sees it: uint8, shape (size_px, size_px, 3), sRGB."""
    from fungal_assets.pocket.fungarium import render_snapshot

    return render_snapshot(traits, size_px=size_px, supersample=2)


def render_pixels(traits: Traits, *, size_px: int = IMAGE_PX, supersample: int = 2) -> np.ndarray:
    """A fungus as the model sees it: uint8, shape (size_px, size_px, 3), sRGB."""
    from fungal_assets.pocket.fungarium import render

    return (render(traits, size_px=size_px, supersample=supersample).clamp(0, 1) * 255).round().byte().numpy()


def draw_world(
    folder: Path, *, tarballs: Path, concepts: int, variants: int, seed: int, size_px: int = IMAGE_PX
) -> Pictures:
    """Drawings of the first `concepts` concepts of the world, the held-out style left out."""
    of_size = "" if size_px == IMAGE_PX else f"-{size_px}"
    path = folder / f"world-{concepts}-{variants}-{seed}{of_size}-v{WORDING_VERSION}.npz"
    return _draw_once(path, tarballs, lambda art: concepts, variants=variants, seed=seed, size_px=size_px)


def draw_wide_world(folder: Path, *, tarballs: Path, seed: int) -> Pictures:
    """One drawing in each style of whatever lies outside the world, the held-out style left out."""
    from fungal_assets.pocket.world import wide_concepts

    path = folder / f"wide-{seed}-v{WORDING_VERSION}.npz"
    return _draw_once(path, tarballs, wide_concepts, variants=1, seed=seed, size_px=IMAGE_PX)


def _draw_once(
    path: Path,
    tarballs: Path,
    choose: Callable[[Art], int | Sequence[Concept]],
    *,
    variants: int,
    seed: int,
    size_px: int,
) -> Pictures:
    """The drawings that `path` keeps, drawn first where it is missing; `choose` says what of the art is drawn."""
    from fungal_assets.pocket.world import read_art, world_pictures

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        art = read_art(tarballs)
        pictures = world_pictures(art, concepts=choose(art), variants=variants, seed=seed, size_px=size_px)
        write_pictures(path, ((item.image, item.caption, item.concept, item.style) for item in pictures))
    return read_pictures([path])


def write_pictures(path: Path, rows: Iterable[tuple[np.ndarray, str, str, str]]) -> None:
    """Write one part under a temporary name, then rename it."""
    images, captions, concepts, styles = zip(*rows, strict=True)
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, images=np.stack(images), captions=captions, concepts=concepts, styles=styles)
    temporary.replace(path)


def read_pictures(paths: Iterable[Path]) -> Pictures:
    """All pictures of the parts, in order."""
    parts = [np.load(path) for path in paths]
    texts = [
        [str(text) for part in parts for text in part[name]] for name in ("captions", "concepts", "styles")
    ]
    return Pictures(np.concatenate([part["images"] for part in parts]), *texts)


def join(*worlds: Pictures) -> Pictures:
    """Several worlds as one."""
    texts = [
        list(itertools.chain.from_iterable(getattr(world, name) for world in worlds))
        for name in ("captions", "concepts", "styles")
    ]
    return Pictures(np.concatenate([world.images for world in worlds]), *texts)
