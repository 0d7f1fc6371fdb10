import json

import numpy as np
import pytest
from PIL import Image

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.galleries.batches import read_parameters
from fungal_assets.galleries.reading import read_about, read_gallery
from fungal_assets.galleries.sampling import SCHEDULERS
from fungal_assets.store import Store, hash_file, hash_folder
from fungal_assets_tests.galleries.conftest import CLUSTERS, SETTINGS, SIDE_PX

PICTURES = 2 * CLUSTERS + 2 * CLUSTERS + 2 * 2 * 2


def bytes_of(gallery):
    return {row["path"]: hash_file(gallery / row["path"]) for row in read_gallery(gallery)}


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_table_lists_every_picture_and_every_picture_is_there(sampled):
    rows = read_gallery(sampled)
    assert len(rows) == PICTURES == len(list(sampled.glob("pictures/*/*.png")))
    assert {row["model"] for row in rows if row["kind"] == "control"} == {"base", "tuned"}
    assert {row["model"] for row in rows if row["kind"] != "control"} == {"tuned"}
    assert {(row["width"], row["height"]) for row in rows} == {(SIDE_PX, SIDE_PX)}


def test_a_picture_tells_all_that_decides_it(sampled, pruned_dir):
    row = next(row for row in read_gallery(sampled) if row["model"] == "tuned")
    parameters = read_parameters(sampled / row["path"])
    assert parameters["prompt"] == row["text"]
    assert parameters["seed"] == row["seed"]
    assert parameters["model_sha256"] == row["model_sha256"] == hash_folder(pruned_dir / "pipeline")
    assert parameters["scheduler"] == "DDIMScheduler"
    assert {"num_inference_steps", "guidance_scale", "width", "height", "batch_size"} <= parameters.keys()


def test_grids_recognition_and_models_are_written_and_nothing_temporary_is_left(sampled, base_dir):
    assert {path.name for path in (sampled / "grids").iterdir()} == {
        "species.webp",
        "variants.webp",
        "controls.webp",
    }
    assert read_about(sampled)["models"]["base"] == {"id": "tiny", "sha256": hash_folder(base_dir)}
    recognition = json.loads((sampled / "recognition.json").read_text())
    assert recognition["chance"] == pytest.approx(1 / CLUSTERS, abs=1e-4)
    assert [each["species_id"] for each in recognition["species"]] == [
        "species-00",
        "species-01",
        "species-02",
    ]
    assert not [path for path in sampled.rglob(".*")]


def test_deleted_pictures_come_back_with_the_same_bytes_and_no_other_is_made_again(sample, sampled, tmp_path):
    import shutil

    shutil.copytree(sampled, tmp_path / "again")
    before = bytes_of(sampled)
    lost = sorted(before)[1::3]
    for path in lost:
        (tmp_path / "again" / path).unlink()
    kept = {path: (tmp_path / "again" / path).stat().st_mtime_ns for path in before if path not in lost}
    sample(tmp_path / "again")
    assert bytes_of(tmp_path / "again") == before
    assert {path: (tmp_path / "again" / path).stat().st_mtime_ns for path in kept} == kept


def test_a_deleted_gallery_grows_again_to_the_last_byte(sample, tmp_path):
    import shutil

    store = Store(tmp_path / "store")

    def grow():
        return store.make(
            "sample_galleries", "lora|64", inputs=[], config={"seed": 5}, code_version="1", build=sample
        )

    first = grow().output
    files = {path: (first.path / path).read_bytes() for path in first.record.files}
    shutil.rmtree(first.path)
    again = grow()
    assert not again.was_complete
    assert again.output.record.content_hash == first.record.content_hash
    assert {path: (again.output.path / path).read_bytes() for path in again.output.record.files} == files
    assert sum(path.startswith("pictures/") for path in files) == PICTURES


def test_a_picture_that_is_none_or_of_other_settings_is_made_again(sample, sampled, tmp_path):
    import shutil

    shutil.copytree(sampled, tmp_path / "again")
    first, second = sorted(bytes_of(sampled))[:2]
    (tmp_path / "again" / first).write_bytes(b"")
    Image.new("RGB", (SIDE_PX, SIDE_PX)).save(tmp_path / "again" / second)
    sample(tmp_path / "again")
    assert bytes_of(tmp_path / "again") == bytes_of(sampled)


def test_a_picture_is_the_same_in_a_gallery_of_other_pictures(sample, sampled, tmp_path):
    sample(tmp_path, images_per_prompt=1, controls=1)
    few, many = bytes_of(tmp_path), bytes_of(sampled)
    assert len(few) < len(many)
    assert few == {path: many[path] for path in few}


def test_another_batch_size_changes_no_pixel_by_more_than_a_grey_level(sample, sampled, tmp_path):
    sample(tmp_path, batch_size=1)
    for path in bytes_of(sampled):
        assert np.abs(pixels(tmp_path / path) - pixels(sampled / path)).max() <= 1


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_a_plain_call_of_diffusers_with_the_seed_makes_the_same_picture(
    sample, tmp_path, pruned_dir, scheduler
):
    import diffusers
    import torch

    from fungal_assets.diffusion.base_models import load_pipeline

    sample(
        tmp_path, scheduler=scheduler, batch_size=1, images_per_prompt=1, controls=0, num_inference_steps=3
    )
    row = read_gallery(tmp_path)[0]
    pipeline = load_pipeline(pruned_dir / "pipeline", device="cpu", dtype=torch.float32)
    pipeline.scheduler = getattr(diffusers, SCHEDULERS[scheduler]).from_config(pipeline.scheduler.config)
    plain = pipeline(
        row["text"],
        negative_prompt="",
        generator=torch.Generator().manual_seed(row["seed"]),
        num_inference_steps=3,
        guidance_scale=SETTINGS["guidance_scale"],
        width=SIDE_PX,
        height=SIDE_PX,
    ).images[0]
    assert np.array_equal(np.asarray(plain), pixels(tmp_path / row["path"]))


def test_weights_that_are_not_those_of_the_record_are_refused_before_a_picture_is_made(
    sample, tmp_path, pruned_dir, base_dir
):
    import shutil

    other = shutil.copytree(pruned_dir, tmp_path / "other")
    (other / "pipeline" / "model_index.json").write_text("{}")
    with pytest.raises(ProvenanceError, match=r"the pipeline has the hash .* but weights.json says"):
        sample(tmp_path / "gallery", pruned=other)
    with pytest.raises(ProvenanceError, match="the base model has the hash"):
        sample(tmp_path / "gallery", base=pruned_dir / "pipeline")
    assert not list((tmp_path / "gallery").rglob("*.png"))


def test_all_bad_settings_are_named_at_once(sample, tmp_path):
    with pytest.raises(InputError, match=r"'PNDM' is not one of DDIM.*batch_size=0.*size_px=60"):
        sample(tmp_path, scheduler="PNDM", batch_size=0, size_px=60)


def test_prompts_of_other_clusters_are_refused(sample, tmp_path, prompts_dir):
    content = json.loads((prompts_dir / "prompts.json").read_text())
    content["prompts"][0]["species_id"] = "species-07"
    (tmp_path / "prompts.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"'species-07'.*has 3 clusters"):
        sample(tmp_path / "gallery", prompts=tmp_path, images_per_prompt=1, controls=0)
