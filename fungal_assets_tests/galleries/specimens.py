"""A growth of three real clusters: shipped specimens, trained on and clustered, and a gallery of them.

What stands in for a gallery are real pictures that were not trained on: a perfect model. Faults are planted in it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from fungal_assets.galleries.batches import save_picture
from fungal_assets.galleries.planning import COLUMNS
from fungal_assets.morphology.extractors import EfficientNetLite0, describe_extractor
from fungal_assets.morphology.projection import fit_projection
from fungal_assets.pocket import MODEL_DIR
from fungal_assets.shards import ShardWriter, image_schema, write_table

SIDE_PX = 128
KINDS = ("red fly agaric", "brown morel", "yellow coral")
TRAINED, PAINTED = 12, 4
ROWS = image_schema({"image_id": pa.string(), "species_id": pa.string()})


@cache
def specimens(kind: str) -> tuple[Image.Image, ...]:
    """The shipped specimens of a hidden morphotype."""
    with (MODEL_DIR.parent / "specimen_traits.csv").open() as file:
        names = [row["file_name"] for row in csv.DictReader(file) if row["hidden_morphotype"] == kind]
    images = (Image.open(MODEL_DIR.parent / "specimens" / name) for name in names)
    return tuple(
        image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS) for image in images
    )


def trained(kind: str) -> tuple[Image.Image, ...]:
    """Those of a kind that the model learnt from."""
    return specimens(kind)[:TRAINED]


def unseen(kind: str) -> tuple[Image.Image, ...]:
    """As many as a gallery shows of those that it did not."""
    return specimens(kind)[TRAINED : TRAINED + PAINTED]


@dataclass(frozen=True)
class World:
    """Folders of a growth.

    Args:
        clusters: Three clusters, found by the mean of their members.
        dataset: The images trained on.
    """

    clusters: Path
    dataset: Path


def grow_world(root: Path) -> World:
    """Write clusters and dataset of the trained specimens."""
    extractor = EfficientNetLite0()
    vectors = np.stack([extractor.embed(list(trained(kind))) for kind in KINDS])
    clusters, dataset = root / "clusters", root / "dataset"
    clusters.mkdir(parents=True)
    projection = fit_projection(vectors.reshape(-1, vectors.shape[-1]))
    projection.save(clusters / "projection.npz")
    np.save(clusters / "centroids.npy", np.stack([projection.project(each).mean(axis=0) for each in vectors]))
    entries = [{"cluster_id": number, "size": TRAINED} for number in range(len(KINDS))]
    (clusters / "clusters.json").write_text(json.dumps({"k": len(KINDS), "clusters": entries}))
    (clusters / "extractor.json").write_text(json.dumps(describe_extractor(extractor)))
    write_split(dataset, "train", [trained(kind) for kind in KINDS])
    return World(clusters, dataset)


def write_split(dataset: Path, split: str, images: Sequence[Sequence[Image.Image]]) -> None:
    """Write the shards of a split; image ids are `0-3` of training images and `test-0-3` of held-out ones."""
    prefix = "" if split == "train" else f"{split}-"
    with ShardWriter(dataset / "data", ROWS, shards=2, stem=split) as writer:
        for number, own in enumerate(images):
            for index, image in enumerate(own):
                image_id = f"{prefix}{number}-{index}"
                writer.write(
                    {
                        "image": {"bytes": as_png(image), "path": f"{image_id}.png"},
                        "image_id": image_id,
                        "species_id": f"species-{number:02d}",
                    }
                )


def as_png(image: Image.Image) -> bytes:
    """A picture's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def paint_gallery(folder: Path, painted: Sequence[Sequence[Image.Image]]) -> Path:
    """A gallery with these pictures of the species prompts, one list for each species."""
    folder.mkdir(parents=True)
    rows = []
    for number, images in enumerate(painted):
        for index, image in enumerate(images):
            path = f"pictures/species-{number}/tuned-{index}.png"
            save_picture(folder / path, image, {"seed": index})
            rows.append(
                {
                    **dict.fromkeys(COLUMNS.names),
                    "path": path,
                    "prompt_id": f"species-{number}",
                    "kind": "species",
                    "species_id": f"species-{number:02d}",
                    "text": f"a photo of a {KINDS[number]}",
                    "model": "tuned",
                    "index": index,
                    "seed": index,
                }
            )
    write_table(folder / "gallery.parquet", rows, COLUMNS)
    (folder / "gallery.json").write_text(json.dumps({"models": {}, "settings": {}}))
    return folder
