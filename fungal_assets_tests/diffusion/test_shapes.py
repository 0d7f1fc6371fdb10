"""Pictures of several shapes: encoded each in its own, drawn together by shape, and learnt from all alike."""

import dataclasses
import io
import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from fungal_assets.diffusion.batches import in_runs
from fungal_assets.diffusion.encoding import encode_dataset, encode_pixels, lay_together
from fungal_assets.errors import InputError, TrainingError
from fungal_assets.shards import ShardWriter, image_schema
from fungal_assets.store import hash_files
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune
from fungal_assets_tests.diffusion.test_batches import batches

SHAPES = [(64, 64), (72, 56), (72, 56), (56, 72), (72, 56), (72, 56), (64, 64)]
"""Width and height of each row's picture, pixels."""


def write(folder, shapes):
    """Rows whose pictures have these shapes, in two shards."""
    schema = image_schema({"image_id": pa.string(), "text": pa.string(), "species": pa.string()})
    with ShardWriter(folder / "data", schema, shards=2, stem="train") as writer:
        for number, (width, height) in enumerate(shapes):
            pixels = np.random.default_rng(number).integers(0, 255, (height, width, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            row = {
                "image": {"bytes": buffer.getvalue(), "path": f"{number}.png"},
                "image_id": f"{number:016x}",
            }
            writer.write(row | {"text": "a photo of an ashen cap", "species": "ashen cap"})
    return folder


@pytest.fixture(scope="module")
def shaped_dir(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shaped"), SHAPES)


def test_each_picture_is_encoded_in_its_own_shape(shaped_dir, pipeline, tmp_path):
    how = {"base_sha256": "b", "cache": tmp_path, "tell": print, "has_embeddings": False}
    for _ in range(2):
        encoded = encode_dataset(shaped_dir / "data", pipeline, **how)
        assert encoded.resolution_px == 64
        assert encoded.rows_by_shape() == {"72x56": 4, "64x64": 2, "56x72": 1}
        assert sorted(map(tuple, (encoded.sizes * 8).tolist())) == sorted((h, w) for w, h in SHAPES)
    pixels = np.random.default_rng(3).integers(0, 255, (72, 56, 3), dtype=np.uint8)
    alone = encode_pixels(pipeline, torch.from_numpy(pixels / 127.5 - 1).float().permute(2, 0, 1)[None])[0]
    row = int((encoded.sizes == torch.tensor([9, 7])).all(dim=1).nonzero())
    assert alone.shape[-2:] == (9, 7)
    torch.testing.assert_close(encoded.latents[row, :, :, 0, :63], alone.flatten(-2), rtol=1e-4, atol=1e-4)
    assert not encoded.latents[row, :, :, 0, 63:].any()


def test_pictures_of_another_size_than_the_first_are_refused(pipeline, tmp_path):
    data = write(tmp_path / "dataset", [(64, 64), (128, 128)]) / "data"
    how = {"base_sha256": "b", "cache": tmp_path, "tell": print, "has_embeddings": False}
    with pytest.raises(TrainingError, match="or another shape of about as many pixels"):
        encode_dataset(data, pipeline, **how)


def shaped(plan):
    """The batches with rows of three shapes in turn, all numbers of row r being r."""
    sizes = [(8, 8), (7, 9), (9, 7)]
    count = plan.encoded.row_count
    rows = [torch.full((2, 4, *sizes[row % 3]), float(row)) for row in range(count)]
    encoded = dataclasses.replace(plan.encoded, **lay_together(rows))
    return dataclasses.replace(plan, encoded=encoded)


@pytest.mark.parametrize("share", [0.25, 0.0])
def test_every_epoch_sees_every_row_once_whatever_the_shapes(share):
    plan = shaped(batches(size=4, share=share))
    count = plan.encoded.row_count
    rows = torch.cat([plan.rows_of(step) for step in range(60)]).tolist()
    for epoch in range(len(rows) // count):
        assert sorted(rows[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert len({tuple(rows[at : at + count]) for at in range(0, 10 * count, count)}) > 3


@pytest.mark.parametrize("epoch", range(7))
def test_rows_of_one_shape_come_a_steps_worth_at_a_time(epoch):
    shapes = torch.tensor([0] * 13 + [1] * 22 + [2] * 5)
    generator = torch.Generator().manual_seed(epoch)
    order = torch.randperm(40, generator=generator)
    lead = -epoch * 40 % 6
    found = in_runs(order, shapes, run=6, lead=lead, generator=generator)
    assert sorted(found.tolist()) == list(range(40))
    steps = shapes[found[lead:]].split(6)
    assert sum(len(step.unique()) == 1 for step in steps[:5]) == 5


def test_a_row_is_asked_and_measured_in_its_own_shape_in_the_order_of_the_batch():
    plan = shaped(batches(size=8, share=0.25))
    for step in range(6):
        batch = plan.at(step)
        asked = batch.by_shape()
        assert sum(len(x_t) for _, x_t, _ in asked) == 8
        assert all((x_t.shape[-2] * x_t.shape[-1]) in (63, 64) for _, x_t, _ in asked)
        values = [target.mean(dim=(1, 2, 3)) for _, _, target in asked]
        areas = batch.sizes.prod(dim=1)
        alone = [batch.target[row, :, 0, : areas[row]].mean() for row in range(8)]
        torch.testing.assert_close(batch.in_order(values), torch.stack(alone))
        assert (areas[batch.specimens :] == 64).all(), "what is rehearsed is square"
        part = batch.rows(3, 7)
        assert torch.equal(part.sizes, batch.sizes[3:7])


def test_a_run_on_several_shapes_trains_on_every_row_and_is_gone_on_with_exactly(
    shaped_dir, base_dir, prompts_dir, tmp_path
):
    def stop(step, _figures):
        if step == 3:
            raise KeyboardInterrupt

    settings = SETTINGS | {"class_share": 0.0, "crops": 1, "noise_offset": 0.05}
    lines = []
    run = {"base_model": str(base_dir), **settings}
    tune(shaped_dir, prompts_dir, tmp_path / "whole", **run, tell=lines.append)
    assert "pictures by shape: 4 of 72x56, 2 of 64x64, 1 of 56x72" in lines
    with pytest.raises(KeyboardInterrupt):
        tune(shaped_dir, prompts_dir, tmp_path / "broken", **run, on_step=stop)
    tune(shaped_dir, prompts_dir, tmp_path / "broken", **run)
    assert hash_files(tmp_path / "broken") == hash_files(tmp_path / "whole")
    record = json.loads((tmp_path / "whole/training.json").read_text())
    assert record["rows"] == record["rows_trained_on"] == 7
    assert record["rows_by_shard"] == record["rows_trained_on_by_shard"]
    assert record["rows_by_shape"] == {"72x56": 4, "64x64": 2, "56x72": 1}
    assert record["resolution_px"] == 64


def test_a_model_is_not_compiled_for_every_shape(shaped_dir, base_dir, prompts_dir, tmp_path):
    settings = SETTINGS | {"class_share": 0.0, "compiles": True}
    with pytest.raises(InputError, match="would be compiled for each; set compiles to false"):
        tune(shaped_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
