"""The whole road, once, small but real: the shipped model and specimens through the jobs; then planted faults.

The growth runs as `fungal grow` runs it, in processes of their own; only the settings are made small.
"""

import io
import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fungal_assets.auditing import audit_growth
from fungal_assets.defs.jobs import COLLECTION_ASSETS, GROWTH_ASSETS
from fungal_assets.defs.running import run_job
from fungal_assets.errors import ProvenanceError
from fungal_assets.growth import NOTE, compare_weights, partitions_of, plan_growth, prepare_environment
from fungal_assets.pocket import SPECIMENS_DIR
from fungal_assets.profiles import get_profile
from fungal_assets.reporting import outputs_of
from fungal_assets.shards import shard_paths
from fungal_assets.store import Store
from fungal_assets_tests.test_definitions import GRAPH

PARTITIONS = {"collection": "64", "growth": "lora|64"}
SMALL = {
    "clusters": {"min_clusters": 2, "max_clusters": 3},
    "prompts": {"mutants": 1},
    "rehearsal": {"works_at": "partition", "rehearsal_prompts": 2},
    "fine_tuned_weights": {
        "works_at": "partition",
        "max_steps": 24,
        "batch_size": 4,
        "learning_rate": 2e-3,
        "lora_rank": 4,
    },
    "sample_galleries": {
        "works_at": "partition",
        "images_per_prompt": 1,
        "controls": 3,
        "side_prompts": 2,
        "num_inference_steps": 4,
        "seed": 7,
    },
    "forgetting_report": {"min_retention": 0.0},
    "forms_3d": {"max_species": 1, "iterations": 30, "grid_size": 24, "view_size_px": 64, "processes": 1},
    "meshes": {"face_budgets": [500], "texture_px": 64},
    "videos_3d": {"frames": 8, "size_px": 64},
}
UNREAD = {"pruned_weights": {"clusters", "prompts"}}
"""Read only where the strength is chosen by measuring."""
JOBS = {"collection": COLLECTION_ASSETS, "growth": GROWTH_ASSETS[:6]}
"""Up to the forms: what a model of 64 px and 24 steps makes of them is not what is tested here."""


def grow(source, store):
    growth = plan_growth(
        profile="pocket",
        store=str(store),
        source=str(source),
        resolution="64",
        method="lora",
        species=(),
        until=None,
    )
    told = []
    for job, assets in JOBS.items():
        config = growth.run_config(assets)
        for asset in SMALL.keys() & set(assets):
            config["ops"].setdefault(asset, {}).setdefault("config", {}).update(SMALL[asset])
        run_job(job, PARTITIONS[job], run_config=config, assets=assets, tell=told.append)
    note = {
        "profile": "pocket",
        "outputs": partitions_of(JOBS, list(PARTITIONS.values())),
        "seconds": 0.0,
    }
    Store(store).write_note(NOTE, note)
    return told


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two hidden morphotypes, ten specimens each, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("source")
    for index in range(10):
        for kind in (0, 4):
            name = f"specimen-{index * 12 + kind:04d}.webp"
            shutil.copyfile(SPECIMENS_DIR / name, folder / name)
    (folder / "notes.jpg").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def grown(source, tmp_path_factory):
    root = tmp_path_factory.mktemp("grown")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", "FUNGAL_STORE", "FUNGAL_PROFILE", "HF_HUB_OFFLINE", "OMP_WAIT_POLICY"):
            patch.setenv(name, "1")
        store = root / "store"
        prepare_environment(
            str(store),
            plan_growth(
                profile="pocket",
                store=str(store),
                source=None,
                resolution=None,
                method=None,
                species=(),
                until=None,
            ).profile,
            root / "home",
            is_offline=True,
        )
        grow(source, store)
        first = {
            output.name: output.record for output in outputs_of(Store(store), Store(store).read_note(NOTE))
        }
        grow(source, store)
        yield store, first


@pytest.fixture
def damaged(grown, tmp_path):
    """A copy of the grown store that a test may damage."""
    shutil.copytree(grown[0], tmp_path / "store")
    return Store(tmp_path / "store")


def failed(store):
    return {(finding.output, finding.check) for finding in audit_growth(store) if not finding.passed}


def test_every_asset_is_kept_with_what_it_came_from(grown):
    store, records = Store(grown[0]), grown[1]
    assert len(records) == sum(len(assets) for assets in JOBS.values())
    hashes = {name: record.content_hash for name, record in records.items()}
    for name, record in records.items():
        made_here = {key: value for key, value in record.inputs.items() if key in hashes}
        assert made_here == {key: hashes[key] for key in made_here}, name
        read = set(GRAPH[record.asset]) - UNREAD.get(record.asset, set())
        assert {key.split("/")[0] for key in made_here} == read, name
    tuned = records["fine_tuned_weights/lora|64"]
    assert (
        tuned.inputs["captioned_dataset/64"] == hashes["captioned_dataset/64"]
        and "base_model" in tuned.inputs
    )
    assert store.get("raw_images").record.figures["rejected"] == 1


def test_the_report_tells_of_every_look_at_the_training(grown):
    store = Store(grown[0])
    report = json.loads((store.get("forgetting_report", "lora|64").path / "report.json").read_text())
    assert [look["step"] for look in report["over_training"]["looks"]] == [0, 24]
    assert report["by_text"]["pairs"] == report["pairs"]


def test_what_is_tuned_is_compared_from_its_reports_each_named_by_hash(grown):
    store, records = Store(grown[0]), grown[1]
    output = compare_weights(None, [], store=store.root, home=Path(os.environ["DAGSTER_HOME"]), tell=print)
    read = ("forgetting_report", "sample_galleries", "pruned_weights", "fine_tuned_weights", "species_report")
    assert output.record.partition == "64"
    assert output.record.inputs == {
        f"{name}/lora|64/{records[f'{name}/lora|64'].fingerprint}": records[f"{name}/lora|64"].content_hash
        for name in read
    }
    base, tuned = json.loads((output.path / "comparison.json").read_text())["rows"]
    assert (base["model"], tuned["tuned_sha256"]) == (
        "base",
        records["fine_tuned_weights/lora|64"].content_hash,
    )


def test_the_second_growth_makes_nothing(grown):
    store, first = Store(grown[0]), grown[1]
    second = {output.name: output.record for output in outputs_of(store, store.read_note(NOTE))}
    assert {name: record.finished_at for name, record in second.items()} == {
        name: record.finished_at for name, record in first.items()
    }


def test_an_untouched_growth_is_intact(grown):
    assert not {check for _, check in failed(Store(grown[0]))} & {
        "files_as_recorded",
        "every_image_found_again",
        "of_these_weights",
        "not_pixelated",
        "not_blank",
        "pruned_from_tuned",
        "every_row_trained_on",
        "guided_by_the_tuned_weights",
    }


def test_an_image_removed_from_a_shard_is_missed(damaged):
    folder = damaged.find("captioned_dataset", "64").path / "data"
    shard = max(shard_paths(folder), key=lambda path: pq.read_metadata(path).num_rows)
    table = pq.read_table(shard)
    pq.write_table(table.slice(1), shard)
    faults = failed(damaged)
    assert ("captioned_dataset/64", "every_image_found_again") in faults
    assert ("captioned_dataset/64", "files_as_recorded") in faults
    with pytest.raises(ProvenanceError, match="has other bytes than the record says"):
        damaged.get("captioned_dataset", "64")


def test_a_pixelated_gallery_is_seen(damaged):
    folder = damaged.find("sample_galleries", "lora|64").path
    for path in (folder / "pictures").rglob("*.png"):
        with Image.open(path) as image:
            text, small = image.text["parameters"], image.resize((16, 16), Image.Resampling.BOX)
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("parameters", text)
        small.resize((64, 64), Image.Resampling.NEAREST).save(path, pnginfo=info)
    faults = {check for output, check in failed(damaged) if output == "sample_galleries/lora|64"}
    assert "not_pixelated" in faults
    assert not faults & {"not_blank", "of_these_weights", "every_prompt_has_pictures"}


def test_other_weights_under_the_3d_step_are_refused_and_seen(damaged):
    from fungal_assets.forms.growing import grow_forms

    pruned = damaged.find("pruned_weights", "lora|64").path
    unet = pruned / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(unet.read_bytes())
    data[-1] ^= 1
    unet.write_bytes(bytes(data))
    paths = [damaged.find(name).path for name in ("species", "prompts", "clusters")]
    small = {"iterations": 2, "grid_size": 16, "views_per_step": 1, "first_guesses": 0, "processes": 1}
    settings = get_profile("pocket").settings["forms_3d"] | small
    del settings["max_species"]
    with pytest.raises(ProvenanceError):
        grow_forms(pruned, *paths, None, Path(damaged.root) / "forms", **settings)


def test_forms_that_another_model_guided_are_seen(damaged):
    folder = damaged.find("forms_3d", "lora|64").path
    for path in [*folder.glob("*/form.json"), folder / "forms.json"]:
        text = path.read_text()
        guide = json.loads((damaged.find("pruned_weights", "lora|64").path / "weights.json").read_text())
        path.write_text(text.replace(guide["pipeline_sha256"], guide["base_model"]["sha256"]))
    assert ("forms_3d/lora|64", "guided_by_the_tuned_weights") in failed(damaged)


def test_the_dataset_is_read_by_arrow_alone(grown):
    """A reader without this package finds pictures and texts."""
    folder = Store(grown[0]).get("captioned_dataset", "64").path / "data"
    table = pa.concat_tables([pq.read_table(path) for path in shard_paths(folder)])
    assert table.num_rows == 20 and all(table["text"].to_pylist())
    assert Image.open(io.BytesIO(table["image"][0]["bytes"].as_py())).size == (64, 64)
