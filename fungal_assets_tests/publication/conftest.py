"""A store with a small dataset, and with weights, their gallery and their report, as far as publishing reads them."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fungal_assets.publication.contents import dataset_contents
from fungal_assets.publication.hub import Hub, Patience
from fungal_assets.publication.publishing import publish
from fungal_assets.shards import ShardWriter, image_schema
from fungal_assets.store import Store
from fungal_assets_tests.publication.loopback_hub import TOKEN, serve

REPO = "ada/new-fungi"
ASKED = {
    "repo_id": REPO,
    "branch": "main",
    "is_private": True,
    "is_dry_run": False,
    "deletes_foreign": False,
}
CARD = """---
license: cc0-1.0
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
  - split: test
    path: data/test-*.parquet
---
# Fungi
load_dataset("path/of/this/folder", split="train")
"""
ROWS, HELD_OUT = 24, 3
TRAIN_SHARDS, SHARDS = 5, 6


def picture(seed):
    noise = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def keep_dataset(store, *, shards=TRAIN_SHARDS, rows=ROWS, partition="128", code_version="1"):
    """A `captioned_dataset` output: shards of two splits, an imagefolder that stays here, and what describes them."""

    def build(folder):
        schema = image_schema({"image_id": pa.string(), "text": pa.string()})
        for split, count, numbers in (
            ("train", shards, range(rows)),
            ("test", 1, range(rows, rows + HELD_OUT)),
        ):
            with ShardWriter(folder / "data", schema, shards=count, stem=split) as writer:
                for number in numbers:
                    image = {"bytes": picture(number), "path": f"{number}.png"}
                    writer.write(
                        {"image": image, "image_id": f"{number:016x}", "text": f"a photo of cap {number}"}
                    )
        (folder / "imagefolder").mkdir()
        (folder / "imagefolder" / "0.png").write_bytes(picture(0))
        (folder / "README.md").write_text(CARD)
        (folder / "ATTRIBUTION.csv").write_text("image_id,creator\n")
        (folder / "samples.webp").write_bytes(picture(1))
        (folder / "croissant.json").write_text('{"@type": "sc:Dataset", "name": "fungi"}')
        return {"rows": rows}

    making = store.make(
        "captioned_dataset",
        partition,
        inputs=[],
        config={"shards": shards, "rows": rows},
        code_version=code_version,
        build=build,
        licences=["CC0-1.0"],
    )
    return making.output


def keep_weights(store, *, retention=0.97, unet=b"unet", gallery="{}"):
    """`pruned_weights`, `sample_galleries` and `forgetting_report` outputs of `lora|128`."""

    def build_weights(folder):
        for name in ("pipeline/unet", "pipeline/vae", "lora", "single_file"):
            (folder / name).mkdir(parents=True)
        (folder / "pipeline/model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
        (folder / "pipeline/unet/diffusion_pytorch_model.safetensors").write_bytes(unet * 100)
        (folder / "pipeline/vae/diffusion_pytorch_model.safetensors").write_bytes(b"vae" * 100)
        (folder / "lora/pytorch_lora_weights.safetensors").write_bytes(b"lora" * 10)
        (folder / "lora/kohya_lora_weights.safetensors").write_bytes(b"kohya" * 10)
        (folder / "single_file/fungal_assets.safetensors").write_bytes(b"whole" * 100)
        about = {
            "base_model": {"id": "pocket", "sha256": "0" * 64},
            "method": "lora",
            "strength": 0.6,
            "lora_sha256": "1" * 64,
            "kohya_lora_sha256": "2" * 64,
            "single_file_sha256": "3" * 64,
        }
        (folder / "weights.json").write_text(json.dumps(about))
        return {"pipeline_mb": 0.1}

    def build_report(folder):
        report = {
            "retention": retention,
            "min_retention": 0.6,
            "verdict": f"retention {retention}.",
            "advice": "Rehearse.",
        }
        report |= dict.fromkeys(("base_recognised", "tuned_recognised", "tuned_fungal"), 0.9)
        (folder / "report.json").write_text(json.dumps(report))
        return {"retention": retention, "retention_low": 0.91, "retention_high": 1.0}

    def build_gallery(folder):
        (folder / "gallery.json").write_text(gallery)
        return {}

    made = []
    for asset, build in (
        ("pruned_weights", build_weights),
        ("sample_galleries", build_gallery),
        ("forgetting_report", build_report),
    ):
        making = store.make(
            asset,
            "lora|128",
            inputs=made[-1:],
            config={"retention": retention} if asset == "forgetting_report" else {},
            code_version="1",
            build=build,
            licences=["Apache-2.0"],
        )
        made.append(making.output)
    return made


@pytest.fixture(autouse=True)
def plain_transfers(monkeypatch):
    """The loopback hub keeps large files as plain LFS objects, and bars of progress are for people."""
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    disable_progress_bars()
    yield
    enable_progress_bars()


@pytest.fixture
def loopback():
    with serve() as hub:
        yield hub


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def dataset(store):
    return keep_dataset(store)


@pytest.fixture
def told():
    return []


@pytest.fixture
def hub(loopback, told):
    return Hub(TOKEN, endpoint=loopback.url, patience=Patience(3, 0.01, 5.0, 10.0), tell=told.append)


@pytest.fixture
def push(hub, dataset, told):
    """Push the dataset as asked, or with changes."""

    def push(output=dataset, **changes):
        asked = ASKED | changes
        contents = dataset_contents(output, repo_id=asked["repo_id"])
        return publish(contents, hub, tell=told.append, **asked)

    return push
