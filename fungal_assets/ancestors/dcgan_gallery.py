"""The stage from a trained DCGAN to what people look at: pictures, a walk through its noise, and how it compares.

Belongs here: which pictures are drawn, kept and shown. Measuring two models is in `dcgan_comparison`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from PIL import Image

from fungal_assets.ancestors.dcgan_comparison import (
    Species,
    draw_comparison,
    evenly,
    measure_model,
    table_of,
)
from fungal_assets.ancestors.dcgan_form import draw_form
from fungal_assets.ancestors.dcgan_originals import RealPictures, read_candidates, read_real, read_some
from fungal_assets.galleries.copies import Original, find_original
from fungal_assets.galleries.grids import save_webp
from fungal_assets.galleries.planning import TUNED
from fungal_assets.galleries.reading import embed_images, open_pictures, read_gallery
from fungal_assets.galleries.recognition import recognise_vectors
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.shards import write_table
from fungal_assets.store import Figures, write_atomically

if TYPE_CHECKING:
    import torch

    from fungal_assets.ancestors.dcgan_models import Generator

PICTURES = pa.schema(
    [
        ("path", pa.string()),
        ("index", pa.int32()),
        ("seed", pa.int64()),
        ("nearest_id", pa.string()),
        ("cosine", pa.float32()),
        ("correlation", pa.float32()),
        ("is_copied", pa.bool_()),
        ("cluster_id", pa.int64()),
    ]
)
REPORT_NAME, TABLE_NAME, FILM_NAME = "report.json", "comparison.md", "walk.mp4"
FORM_NAME = "form.webp"
DCGAN, DIFFUSION, REAL = "DCGAN", "tuned diffusion model", "real pictures"
COLUMNS, WALKS, SHOWN_NEAREST = 8, 3, 24
TILE_PX = 128


@dataclass(frozen=True)
class Drawn:
    """Pictures of one model.

    Args:
        images: RGB.
        vectors: float32, shape (n, d), unit rows.
    """

    images: Sequence[Image.Image]
    vectors: np.ndarray


def make_dcgan_gallery(
    dcgan_weights: Path,
    prepared_images: Path,
    clusters: Path,
    sample_galleries: Path | None,
    folder: Path,
    *,
    pictures: int,
    walk_stops: int,
    frames_per_stop: int,
    frames_per_s: int,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Draw pictures and a walk, find the real picture that each is most like, and compare with the diffusion model.

    Args:
        dcgan_weights: Output of `dcgan_training.train_dcgan`.
        prepared_images: What it was trained on.
        clusters: The species that a picture may pass for.
        sample_galleries: The tuned diffusion model's gallery at this size; None to compare with nothing.
        folder: Where `pictures/*.png`, `gallery.parquet`, `grid.webp`, `nearest.webp`, `walk.mp4`, `walk.webp` and
            `report.json` go; with a gallery to compare with, `comparison.webp` and `comparison.md` too; and
            `form.webp` and `form.glb` where a picture has a silhouette to begin a form from.
        pictures: How many are drawn.
        walk_stops: Pictures that a walk passes before it is back.
        frames_per_stop: Frames from one to the next.
        frames_per_s: Speed of the film.
        seed: Seed that every picture's own noise is drawn from.
        tell: Gets lines of progress.
    """
    from fungal_assets.ancestors.dcgan_drawing import draw_pictures, latents_of, load_generator
    from fungal_assets.morphology.extractors import recorded_extractor

    generator = load_generator(dcgan_weights)
    extractor = recorded_extractor(clusters)
    images = list(draw_pictures(generator, latents_of(pictures, generator.latent_size, seed)))
    models = {DCGAN: Drawn(images, embed_images(images, extractor))}
    asked = _painted(sample_galleries)
    if sample_galleries is not None and asked:
        painted = list(open_pictures(sample_galleries, asked))
        models[DIFFUSION] = Drawn(painted, embed_images(painted, extractor))
    stacked = np.concatenate([model.vectors for model in models.values()])
    real = read_real(prepared_images, stacked, extractor, tell)
    species = Species(clusters, real.image_ids, real.vectors)
    found = _find_originals(
        [image for model in models.values() for image in model.images], real, prepared_images
    )
    rows = _rows_of(models[DCGAN], found, species, seed)
    _write_pictures(folder, images, rows)
    _draw_nearest(images, found, prepared_images, folder / "nearest.webp")
    begun_from = draw_form(images, folder / FORM_NAME)
    _film_walk(folder, generator, walk_stops, frames_per_stop, frames_per_s, seed, tell)
    measures = _measure(models, real, found, species, seed)
    if DIFFUSION in models:
        told = recognise_vectors(asked, models[DIFFUSION].vectors, clusters)
        measures[DIFFUSION]["species_recognised"] = told["species_recognised"]
        _write_comparison(folder, models, measures, prepared_images, real)
    about = json.loads((dcgan_weights / "dcgan.json").read_text())
    report = {
        "weights_sha256": about["sha256"],
        "size_px": generator.size_px,
        "walk": {"frames": walk_stops * frames_per_stop, "frames_per_s": frames_per_s},
        "form_begun_from": begun_from,
        "models": measures,
    }
    write_atomically(folder / REPORT_NAME, json.dumps(report, indent=1))
    return _figures(measures)


def _painted(sample_galleries: Path | None) -> list[dict[str, Any]]:
    """The tuned model's pictures of species prompts."""
    if sample_galleries is None:
        return []
    rows = read_gallery(sample_galleries)
    return [row for row in rows if row["model"] == TUNED and row["kind"] == "species"]


def _find_originals(
    images: Sequence[Image.Image], real: RealPictures, prepared_images: Path
) -> list[Original]:
    small = read_candidates(prepared_images, real.nearest)
    return [
        find_original(
            image, [(name, cosine, small[name]) for name, cosine in zip(names, cosines, strict=True)]
        )
        for image, names, cosines in zip(
            images, real.nearest.image_ids, real.nearest.cosines.tolist(), strict=True
        )
    ]


def _rows_of(
    drawn: Drawn, originals: Sequence[Original], species: Species, seed: int
) -> list[dict[str, Any]]:
    placed = species.place(drawn.vectors).tolist()
    return [
        {
            "path": f"pictures/{index:04d}.png",
            "index": index,
            "seed": seed,
            "nearest_id": original.image_id,
            "cosine": original.cosine,
            "correlation": original.correlation,
            "is_copied": original.is_copied,
            "cluster_id": placed[index],
        }
        for index, original in enumerate(originals[: len(drawn.images)])
    ]


def _write_pictures(folder: Path, images: Sequence[Image.Image], rows: Sequence[Mapping[str, Any]]) -> None:
    (folder / "pictures").mkdir(exist_ok=True)
    for image, row in zip(images, rows, strict=True):
        image.save(folder / row["path"])
    write_table(folder / "gallery.parquet", rows, PICTURES)
    tile_px = min(TILE_PX, 2 * images[0].width)
    save_webp(contact_sheet(images, columns=COLUMNS, tile_px=tile_px), folder / "grid.webp")


def _draw_nearest(
    images: Sequence[Image.Image], originals: Sequence[Original], prepared_images: Path, path: Path
) -> None:
    """Drawn pictures beside the real one that each is most like, the most alike first, copies named as such."""
    order = sorted(range(len(images)), key=lambda at: -originals[at].correlation)[:SHOWN_NEAREST]
    real = read_some(prepared_images, [originals[at].image_id for at in order])
    tiles = [image for at in order for image in (images[at], real[originals[at].image_id])]
    labels = [
        text
        for at in order
        for text in (
            f"{'copy' if originals[at].is_copied else 'drawn'} {originals[at].correlation:.2f}",
            "real",
        )
    ]
    save_webp(contact_sheet(tiles, columns=COLUMNS, labels=labels, tile_px=96), path)


def _film_walk(
    folder: Path,
    generator: Generator,
    stops: int,
    frames_per_stop: int,
    frames_per_s: int,
    seed: int,
    tell: Tell,
) -> None:
    """Film nine walks side by side; each comes back to where it began."""
    from fungal_assets.ancestors.dcgan_drawing import draw_pictures, latents_of
    from fungal_assets.forms.video import write_mp4, write_preview

    size = generator.latent_size
    ends = latents_of(WALKS**2 * stops, size, seed + 1).reshape(WALKS**2, stops, size)
    tell(f"filming {stops * frames_per_stop} frames")
    frames = [
        np.asarray(contact_sheet(list(draw_pictures(generator, latents)), columns=WALKS, tile_px=TILE_PX))
        for latents in walk(ends, frames_per_stop)
    ]
    write_mp4(folder / FILM_NAME, frames, frames_per_s=frames_per_s)
    write_preview(folder / "walk.webp", frames, frames_per_s=frames_per_s, side_px=256)


def walk(ends: torch.Tensor, frames_per_stop: int) -> Iterator[torch.Tensor]:
    """Noise along great circles from stop to stop and back to the first (Shoemake 1985).

    Straight lines would pass through noise that is too short, of which the generator has seen none.

    Args:
        ends: float32, shape (walks, stops, latent_size).
        frames_per_stop: Frames from one stop to the next.

    Yields:
        float32, shape (walks, latent_size), frame by frame.
    """
    import torch

    count = ends.shape[1]
    for at in range(count * frames_per_stop):
        first, share = at // frames_per_stop, at % frames_per_stop / frames_per_stop
        a, b = ends[:, first], ends[:, (first + 1) % count]
        cosine = torch.cosine_similarity(a, b, dim=-1).clamp(-1 + 1e-6, 1 - 1e-6)
        angle = cosine.acos()[:, None]
        yield (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()


def _measure(
    models: Mapping[str, Drawn],
    real: RealPictures,
    originals: Sequence[Original],
    species: Species,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """The measures of each model; species are counted among as many pictures of each."""
    found, first = {}, 0
    fewest = min(len(model.images) for model in models.values())
    for name, model in models.items():
        count = len(model.images)
        row = measure_model(model.vectors, real.vectors, originals[first : first + count], species, seed)
        placed = species.place(model.vectors)[evenly(count, fewest)]
        row["species_met"] = len(set(placed[placed >= 0].tolist()))
        found[name], first = row, first + count
    return found


def _write_comparison(
    folder: Path,
    models: Mapping[str, Drawn],
    measures: Mapping[str, Mapping[str, Any]],
    prepared_images: Path,
    real: RealPictures,
) -> None:
    shown = {
        name: [model.images[at] for at in evenly(len(model.images), 16)] for name, model in models.items()
    }
    names = [real.image_ids[at] for at in evenly(len(real.image_ids), 16)]
    pictures = {REAL: list(read_some(prepared_images, names).values()), **shown}
    draw_comparison(pictures, measures, folder / "comparison.webp")
    write_atomically(folder / TABLE_NAME, table_of(measures))


def _figures(measures: Mapping[str, Mapping[str, Any]]) -> Figures:
    own = measures[DCGAN]
    told = {name: own[name] for name in ("pictures", "kid", "variety", "copies", "placed", "species_met")}
    if DIFFUSION not in measures:
        return told
    other = measures[DIFFUSION]
    names = ("kid", "variety", "copies", "placed", "species_met", "species_recognised")
    return told | {f"diffusion_{name}": other[name] for name in names}
