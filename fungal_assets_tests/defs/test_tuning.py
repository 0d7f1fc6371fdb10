"""Tuned and pruned weights as assets: each method by its own row of the profile, and pruned by what it was tuned on."""

from __future__ import annotations

import shutil

import dagster as dg
import pytest

from fungal_assets.defs.diffusion import fine_tuned_weights, pruned_weights
from fungal_assets.defs.rehearsal import rehearsal
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.diffusion.headers import read_header
from fungal_assets.diffusion.pruning import UNET_FILE
from fungal_assets.pocket.architecture import build_pipeline
from fungal_assets.profiles import get_profile
from fungal_assets.store import Store
from fungal_assets_tests.diffusion.conftest import write_dataset, write_prompts
from fungal_assets_tests.galleries.conftest import write_clusters

BRIEF = {"max_steps": 40, "batch_size": 4, "lora_rank": 4, "vectors_per_species": 2}


class World:
    """A store with a dataset, prompts and clusters, and a tiny base model beside it."""

    def __init__(self, root):
        self.root, self.store, self.base = root, Store(root / "store"), root / "tiny"
        build_pipeline("tiny", seed=0).save_pretrained(self.base)
        self.put("prompts", None, write_prompts(root / "prompts"))
        self.put("clusters", None, write_clusters(root / "clusters"))
        self.put_dataset(9)
        self.materialise(rehearsal, "64", rehearsal_prompts=2)

    def put(self, asset, partition, folder):
        config = {"of": folder.name}
        build = lambda target: shutil.copytree(folder, target, dirs_exist_ok=True) and {}  # noqa: E731
        made = self.store.make(asset, partition, inputs=[], config=config, code_version="0", build=build)
        return made.output

    def put_dataset(self, rows):
        folder = write_dataset(self.root / f"{rows} rows", rows, held_out=3)
        return self.put("captioned_dataset", "64", folder)

    def materialise(self, asset, key, **settings):
        """Give the output, and the verdicts of its checks by name."""
        name = asset.key.to_user_string()
        resources = {"store": StoreResource(root=self.store.root), "profile": ProfileResource(name="pocket")}
        config = {"ops": {name: {"config": {"base_model": str(self.base), **settings}}}}
        result = dg.materialize([asset], partition_key=key, resources=resources, run_config=config)
        assert result.success
        verdicts = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
        return self.store.get(name, key), verdicts


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.mark.parametrize("method", ["lora", "full", "textual_inversion"])
def test_each_method_is_tuned_and_pruned_by_its_own_row_of_the_profile(world, method):
    tuned, verdicts = world.materialise(fine_tuned_weights, f"{method}|64", **BRIEF)
    pruned, _ = world.materialise(pruned_weights, f"{method}|64")
    row = get_profile("pocket")
    for output, setting in ((tuned, "learning_rate"), (pruned, "strength")):
        asset = output.record.asset
        expected = row.by_method.get(method, {}).get(asset, {}).get(setting, row.settings[asset][setting])
        assert output.record.config[setting] == expected, asset
    assert verdicts["class_share_met"] and verdicts["every_row_trained_on"]


def test_weights_are_pruned_by_the_dataset_that_they_were_tuned_on_though_there_is_a_newer(world):
    tuned_on = world.store.get("captioned_dataset", "64")
    tuned, _ = world.materialise(fine_tuned_weights, "lora|64", **BRIEF)
    assert world.put_dataset(10).record.content_hash != tuned_on.record.content_hash
    pruned, verdicts = world.materialise(pruned_weights, "lora|64")
    assert pruned.record.inputs == {
        "captioned_dataset/64": tuned_on.record.content_hash,
        "fine_tuned_weights/lora|64": tuned.record.content_hash,
    }
    assert read_header(pruned.path / UNET_FILE)["dataset_sha256"] == tuned_on.record.content_hash
    assert {"pruned_from_tuned", "loads_in_diffusers"} <= set(verdicts) and all(verdicts.values())
