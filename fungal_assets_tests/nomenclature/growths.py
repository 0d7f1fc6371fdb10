"""Tiny growths whose colours and habitats are known: one colour of disc per cluster, on a ground of known colour."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from fungal_assets.morphology.features import extract_features
from fungal_assets.nomenclature.captions import caption_images
from fungal_assets.nomenclature.lexicon import compile_lexicon
from fungal_assets.nomenclature.prompts import write_prompts
from fungal_assets.nomenclature.species import name_species
from fungal_assets.shards import ShardWriter, image_schema, write_table

KINDS = (("brown", (120, 74, 40), "snow"), ("red", (200, 30, 24), "moss"), ("white", (244, 240, 232), "dark"))
CLASS_NOUN = "mushroom"
MIN_FORM_LIKENESS = 0.5
CLUTTERED_OPENING = "a snapshot of"
WORDED = {"wordings": 4, "class_wordings": 2, "captioner": ""}
VIEW_WORDS = {"side": "side view", "above": "seen from above"}
ASKED = {"context_groups": ["habitat", "closeness"], "templates": "", "extra_controls": ""}
GROUNDS = {"snow": (226, 230, 240), "moss": (80, 110, 40), "dark": (6, 6, 6)}


@dataclass(frozen=True)
class Growth:
    """Folders of the outputs so far."""

    raw_images: Path
    prepared_images: Path
    feature_vectors: Path
    clusters: Path
    name_lexicon: Path
    species: Path
    captions: Path
    prompts: Path


def picture(colour, ground, *, radius_px=34, seed=0, side_px=128):
    """A disc on a ground with a little noise."""
    image = Image.new("RGB", (side_px, side_px), ground)
    middle = side_px // 2
    ImageDraw.Draw(image).ellipse(
        [middle - radius_px, middle - radius_px, middle + radius_px, middle + radius_px], colour
    )
    noise = np.random.default_rng(seed).integers(-3, 4, (side_px, side_px, 3))
    return Image.fromarray((np.asarray(image).astype(int) + noise).clip(0, 255).astype(np.uint8))


def grow(root: Path, *, per_cluster: int = 4, seed: int = 7) -> Growth:
    """A whole growth of discs, up to captions and prompts."""
    folders = Growth(*(root / name for name in Growth.__dataclass_fields__))
    for folder in vars(folders).values():
        folder.mkdir(parents=True)
    write_images(folders, per_cluster)
    compile_lexicon(folders.name_lexicon, extra_names=None)
    extract_features(
        folders.raw_images, folders.feature_vectors, extractor="efficientnet-lite0", batch_size=16
    )
    name_growth(folders, folders.species, seed=seed)
    caption_images(
        folders.raw_images,
        folders.clusters,
        folders.species,
        folders.feature_vectors,
        folders.captions,
        class_noun=CLASS_NOUN,
        cluttered_opening=CLUTTERED_OPENING,
        **WORDED,
        seed=seed,
    )
    write_prompts(
        folders.species,
        folders.name_lexicon,
        folders.prompts,
        class_noun=CLASS_NOUN,
        mutants=4,
        view_words=VIEW_WORDS,
        seed=seed,
        **ASKED,
    )
    return folders


def call_by_form(species: Path, folder: Path, noun: str) -> Path:
    """The same species, in a folder of one's own, all called by a form."""
    document = json.loads((species / "species.json").read_text())
    folder.mkdir()
    called = [one | {"form_noun": noun} for one in document["species"]]
    (folder / "species.json").write_text(json.dumps({"species": called}))
    return folder


def name_growth(folders: Growth, folder: Path, *, seed: int, earlier: Path | None = None) -> None:
    """Name the clusters of a growth, into a folder of one's own."""
    name_species(
        folders.clusters,
        folders.raw_images,
        folders.feature_vectors,
        folders.name_lexicon,
        folder,
        min_form_likeness=MIN_FORM_LIKENESS,
        seed=seed,
        earlier=earlier,
    )


def write_images(folders: Growth, per_cluster: int) -> None:
    """Raw and prepared images, and the clusters that they are in."""
    schema = image_schema(
        dict.fromkeys(("image_id", "creator", "licence", "source", "origin", "page"), pa.string())
        | {"focus": pa.float64(), "ground": pa.string()}
    )
    squares = image_schema({"image_id": pa.string()})
    members: dict[int, list[str]] = {}
    with (
        ShardWriter(folders.raw_images, schema, shards=2, stem="images") as raw,
        ShardWriter(folders.prepared_images, squares, shards=2, stem="images") as prepared,
    ):
        for cluster, (_, colour, ground) in enumerate(KINDS):
            for number in range(per_cluster):
                data = _png(picture(colour, GROUNDS[ground], seed=100 * cluster + number))
                image_id = hashlib.sha256(data).hexdigest()[:16]
                members.setdefault(cluster, []).append(image_id)
                image = {"bytes": data, "path": f"{image_id}.png"}
                credit = {
                    "creator": "Ä. Tester",
                    "licence": "CC-BY-4.0",
                    "source": "test",
                    "origin": f"disc {number}",
                    "page": f"https://discs.example/{number}",
                }
                raw.write({"image": image, "image_id": image_id, "focus": 0.5, "ground": "white", **credit})
                prepared.write({"image": image, "image_id": image_id})
    _write_clusters(folders.clusters, members)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _write_clusters(folder: Path, members: dict[int, list[str]]) -> None:
    rows = [
        {"image_id": image_id, "cluster_id": cluster, "distance": 0.1 * index}
        for cluster, ids in members.items()
        for index, image_id in enumerate(ids)
    ]
    write_table(folder / "assignments.parquet", rows)
    found = [
        {
            "cluster_id": cluster,
            "size": len(ids),
            "medoid_id": ids[0],
            "member_ids_near": ids[:5],
            "colour_name": "brown",
        }
        for cluster, ids in members.items()
    ]
    (folder / "clusters.json").write_text(json.dumps({"k": len(members), "clusters": found}))
