"""A tiny world: a real base model of 64 px at random weights, a dataset of two shards, and prompts."""

import functools
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fungal_assets.shards import ShardWriter, image_schema

SIDE_PX = 64
SETTINGS = {
    "method": "lora",
    "max_steps": 6,
    "batch_size": 4,
    "learning_rate": 3e-3,
    "lora_rank": 4,
    "vectors_per_species": 2,
    "class_noun": "mushroom",
    "rehearsal_prompts": 2,
    "rehearsal_share": 0.25,
    "class_share": 0.2,
    "min_snr_gamma": 5.0,
    "checkpoint_every_s": 0.0,
    "seed": 3,
}


def picture(seed: int) -> bytes:
    """A PNG of one coloured disc."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    disc = (x - rng.integers(20, 44)) ** 2 + (y - rng.integers(20, 44)) ** 2 < 15**2
    pixels = np.where(disc[..., None], rng.integers(0, 255, 3), 230).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_dataset(
    folder: Path, rows: int, *, shards: int = 2, held_out: int = 0, class_texts: tuple = ("a mushroom",)
) -> Path:
    """Training rows with their caption, another wording and `class_texts`, and behind them rows that are held out."""
    _write_split(folder, "train", range(rows), shards, class_texts)
    if held_out:
        _write_split(folder, "test", range(rows, rows + held_out), 1, class_texts)
    return folder


def _write_split(folder: Path, split: str, numbers: range, shards: int, class_texts: tuple) -> None:
    lists = dict.fromkeys(("texts", "class_texts"), pa.list_(pa.string()))
    schema = image_schema({"image_id": pa.string(), "text": pa.string(), "species": pa.string()} | lists)
    with ShardWriter(folder / "data", schema, shards=shards, stem=split) as writer:
        for number in numbers:
            image = {"bytes": picture(number), "path": f"{number}.png"}
            name = ("golden bonnet", "ashen cap")[number % 2]
            told = {"text": f"a photo of {name}", "texts": [f"a photo of {name}", f"in moss, {name}"]}
            told["species"] = name
            row = {"image": image, "image_id": f"{number:016x}", "class_texts": list(class_texts)}
            writer.write(row | told)


def write_prompts(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"kind": "species", "text": "a photo of golden bonnet"}]
    rows += [{"kind": "control", "text": text} for text in ("apple", "girl", "tree")]
    rows += [{"kind": "rehearsal", "text": text} for text in ("hamburger", "girl holding a basket", "flower")]
    (folder / "prompts.json").write_text(json.dumps({"prompts": rows}))
    return folder


@pytest.fixture(scope="session")
def pipeline():
    from fungal_assets.pocket.architecture import build_pipeline

    return build_pipeline("tiny", seed=0)


@pytest.fixture(scope="session")
def base_dir(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), 13, held_out=3)


@pytest.fixture(scope="session")
def prompts_dir(tmp_path_factory):
    return write_prompts(tmp_path_factory.mktemp("prompts"))


@pytest.fixture(scope="session")
def tuned_by(base_dir, dataset_dir, prompts_dir, tmp_path_factory):
    """One unbroken run of each method that is asked for."""
    from fungal_assets.diffusion.training import tune

    @functools.cache
    def tuned(method):
        folder = tmp_path_factory.mktemp(f"tuned-{method}")
        tune(dataset_dir, prompts_dir, folder, base_model=str(base_dir), **SETTINGS | {"method": method})
        return folder

    return tuned


@pytest.fixture(scope="session")
def tuned_dir(tuned_by):
    """One unbroken run of a LoRA."""
    return tuned_by("lora")
