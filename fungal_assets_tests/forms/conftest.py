import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fungal_assets.morphology.extractors import EfficientNetLite0, describe_extractor
from fungal_assets.store import hash_folder


@pytest.fixture(scope="session")
def pruned_weights(tmp_path_factory):
    """A tiny model at random weights, as the stage before keeps it."""
    from fungal_assets.pocket.architecture import build_pipeline

    folder = tmp_path_factory.mktemp("pruned_weights")
    build_pipeline("tiny").save_pretrained(folder / "pipeline")
    record = {
        "pipeline_sha256": hash_folder(folder / "pipeline"),
        "base_model": {"sha256": "0" * 64},
        "method": "lora",
    }
    (folder / "weights.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="session")
def named_world(tmp_path_factory):
    """The outputs species, prompts, clusters and galleries of three small species; the first is portrayed as noise."""
    root = tmp_path_factory.mktemp("world")
    for name in ("species", "prompts", "clusters", "sample_galleries"):
        (root / name).mkdir()
    names, sizes = ("golden field bonnet", "pale wood cup", "dusky oak spike"), (10, 30, 20)
    rows = [
        {"species_id": f"species-{i:02d}", "cluster_id": i, "common_name": name, "scientific_name": "Aurata campi",
         "slug": name.replace(" ", "-"), "colour_names": ["yellow"], "size": size}
        for i, (name, size) in enumerate(zip(names, sizes, strict=True))
    ]  # fmt: skip
    (root / "species" / "species.json").write_text(json.dumps({"species": rows}))
    prompts = [
        {"prompt_id": f"{kind}-{row['slug']}", "kind": kind, "species_id": row["species_id"],
         "text": f"a {medium} of a {row['common_name']}"}
        for kind, medium in (("context", "drawing"), ("species", "photo"))
        for row in rows
    ]  # fmt: skip
    words = {"front": "front view", "side": "side view", "back": "back view", "above": "seen from above"}
    wording = {"prompts": prompts, "view_words": words, "negative_prompt": ""}
    (root / "prompts" / "prompts.json").write_text(json.dumps(wording))
    rng = np.random.default_rng(0)
    components = np.linalg.qr(rng.normal(size=(1280, 16)))[0].T.astype(np.float32)
    np.savez(root / "clusters" / "projection.npz", mean=np.zeros(1280, np.float32), components=components)
    np.save(root / "clusters" / "centroids.npy", rng.normal(size=(3, 16)).astype(np.float32))
    about = json.dumps(describe_extractor(EfficientNetLite0()))
    (root / "clusters" / "extractor.json").write_text(about)
    widths = [(cluster_id, width) for cluster_id, width in enumerate((0.5, 0.1, 0.2)) for _ in range(2)]
    members = [{"image_id": str(n), "cluster_id": i, "distance": w} for n, (i, w) in enumerate(widths)]
    pq.write_table(pa.Table.from_pylist(members), root / "clusters" / "assignments.parquet")
    gallery = []
    for index, row in enumerate(rows):
        for number in range(2):
            path = f"{row['slug']}-{number}.png"
            Image.fromarray(_portrait(rng, is_free=index > 0)).save(root / "sample_galleries" / path)
            gallery.append({"kind": "species", "species_id": row["species_id"], "path": path})
    gallery.append({"kind": "control", "species_id": None, "path": gallery[0]["path"]})
    pq.write_table(pa.Table.from_pylist(gallery), root / "sample_galleries" / "gallery.parquet")
    recognised = [{"species_id": row["species_id"], "recognised": i / 2} for i, row in enumerate(rows)]
    (root / "sample_galleries" / "recognition.json").write_text(json.dumps({"species": recognised}))
    return root


def _portrait(rng, *, is_free):
    """A pale disc on an even ground, or noise: uint8 (64, 64, 3)."""
    if not is_free:
        return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    disc = np.hypot(*(np.indices((64, 64)) - 31.5)) < 20
    return np.where(disc[..., None], 220, 40).astype(np.uint8).repeat(3, axis=2)
