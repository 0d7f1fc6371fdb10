"""A tiny world: a real base model of 64 px at random weights, a tuned one, prompts, clusters, a gallery."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from fungal_assets.galleries.batches import read_parameters, save_picture
from fungal_assets.galleries.reading import read_gallery
from fungal_assets.morphology.extractors import EfficientNetLite0, describe_extractor
from fungal_assets.store import hash_folder

SIDE_PX = 64
CLUSTERS = 3
CONTROLS = ("hamburger", "girl holding a basket", "flower")
SETTINGS = {
    "works_at": "native",
    "images_per_prompt": 2,
    "controls": 2,
    "side_prompts": 4,
    "num_inference_steps": 2,
    "guidance_scale": 4.0,
    "scheduler": "DDIM",
    "batch_size": 4,
    "size_px": SIDE_PX,
    "sizes": [],
    "seed": 5,
}
ASKED = {name: SETTINGS[name] for name in ("images_per_prompt", "controls", "side_prompts")}


def write_prompts(folder: Path) -> Path:
    names = [f"golden bonnet {number}" for number in range(CLUSTERS)]
    rows = [
        {
            "prompt_id": f"species-{n}",
            "kind": "species",
            "species_id": f"species-{n:02d}",
            "text": f"a photo of {name}",
        }
        for n, name in enumerate(names)
    ]
    rows += [
        {
            "prompt_id": f"{kind}-{n}",
            "kind": kind,
            "species_id": f"species-{n:02d}",
            "text": f"a {kind} of {name}",
        }
        for kind in ("subspecies", "mutant")
        for n, name in enumerate(names)
    ]
    rows += [
        {
            "prompt_id": text.replace(" ", "-"),
            "kind": "control",
            "text": text,
            "expected": text,
            "group": group,
        }
        for text, group in zip(CONTROLS, ("food", "people", "plants"), strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prompts.json").write_text(json.dumps({"prompts": rows, "negative_prompt": ""}))
    return folder


def write_clusters(folder: Path) -> Path:
    """Three clusters in a projection of eight random directions."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    components = np.linalg.qr(rng.normal(size=(1280, 8)))[0].T.astype(np.float32)
    centroids = rng.normal(size=(CLUSTERS, 8)).astype(np.float32)
    np.savez(folder / "projection.npz", mean=np.zeros(1280, np.float32), components=components)
    np.save(folder / "centroids.npy", centroids / np.linalg.norm(centroids, axis=1, keepdims=True))
    clusters = [{"cluster_id": number, "size": 4} for number in range(CLUSTERS)]
    (folder / "clusters.json").write_text(json.dumps({"k": CLUSTERS, "clusters": clusters}))
    (folder / "extractor.json").write_text(json.dumps(describe_extractor(EfficientNetLite0())))
    return folder


def draw(seed: int) -> Image.Image:
    """Coloured discs and boxes on a plain ground, smooth-edged: flat art without a grid."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (4 * SIDE_PX,) * 2, tuple(rng.integers(120, 256, 3).tolist()))
    for number in range(7):
        left, top = rng.integers(0, 2.6 * SIDE_PX, 2).tolist()
        box = (left, top, left + int(rng.integers(50, 110)), top + int(rng.integers(50, 110)))
        shape = ImageDraw.Draw(image).ellipse if number % 3 else ImageDraw.Draw(image).rectangle
        shape(box, fill=tuple(rng.integers(0, 200, 3).tolist()))
    return image.filter(ImageFilter.GaussianBlur(1)).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def repaint(gallery: Path, paint) -> Path:
    """Replace every picture's pixels by `paint(row number, image)`; its parameters stay."""
    for number, row in enumerate(read_gallery(gallery)):
        path = gallery / row["path"]
        parameters = read_parameters(path)
        with Image.open(path) as image:
            new = paint(number, image.convert("RGB"))
        save_picture(path, new, parameters)
    return gallery


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory):
    from fungal_assets.pocket.architecture import build_pipeline

    folder = tmp_path_factory.mktemp("base") / "tiny"
    build_pipeline("tiny", seed=0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pruned_dir(base_dir, tmp_path_factory):
    """Weights of another seed under the name of a tuned model of `base_dir`, in half precision."""
    import torch

    from fungal_assets.pocket.architecture import build_pipeline

    folder = tmp_path_factory.mktemp("pruned")
    build_pipeline("tiny", seed=1).to(dtype=torch.float16).save_pretrained(folder / "pipeline")
    record = {
        "base_model": {"id": "tiny", "sha256": hash_folder(base_dir)},
        "method": "lora",
        "pipeline_sha256": hash_folder(folder / "pipeline"),
    }
    (folder / "weights.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="session")
def prompts_dir(tmp_path_factory):
    return write_prompts(tmp_path_factory.mktemp("prompts"))


@pytest.fixture(scope="session")
def clusters_dir(tmp_path_factory):
    return write_clusters(tmp_path_factory.mktemp("clusters"))


@pytest.fixture(scope="session")
def sample(base_dir, pruned_dir, prompts_dir, clusters_dir):
    """`sample_gallery` into a folder, with some settings changed."""
    from fungal_assets.galleries.sampling import sample_gallery

    def run(folder, *, pruned=pruned_dir, base=base_dir, prompts=prompts_dir, **changes):
        folder.mkdir(parents=True, exist_ok=True)
        return sample_gallery(
            pruned, prompts, clusters_dir, folder, base_model=str(base), **(SETTINGS | changes)
        )

    return run


@pytest.fixture(scope="session")
def sampled(sample, tmp_path_factory):
    """A gallery as the random tiny models make it; read only."""
    folder = tmp_path_factory.mktemp("sampled")
    sample(folder)
    return folder


@pytest.fixture
def gallery(sampled, tmp_path):
    """A copy of that gallery with drawn pictures, to plant faults in."""
    shutil.copytree(sampled, tmp_path / "gallery")
    return repaint(tmp_path / "gallery", lambda number, _: draw(number))
