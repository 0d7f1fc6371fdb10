"""The assets of the stage `diffusion`: pruned weights name the dataset that they were tuned on, also an earlier one."""

import shutil

import dagster as dg
import pytest

from fungal_assets.defs.diffusion import tuned_on
from fungal_assets.defs.resources import StoreResource
from fungal_assets.store import Store


def keep(store, asset, partition, text, inputs=()):
    def build(folder):
        (folder / "text").write_text(text)
        return {}

    making = store.make(asset, partition, inputs=inputs, config={"text": text}, code_version="1", build=build)
    return making.output


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_weights_name_the_dataset_that_they_were_tuned_on_and_not_the_newest(store):
    first = keep(store, "captioned_dataset", "64", "first")
    tuned = keep(store, "fine_tuned_weights", "lora|64", "tuned", [first])
    resource = StoreResource(root=store.root)
    assert tuned_on(resource, tuned, "64").record == first.record
    keep(store, "captioned_dataset", "64", "second")
    assert tuned_on(resource, tuned, "64").record == first.record


def test_a_dataset_that_is_gone_is_an_error_that_says_what_to_type(store):
    first = keep(store, "captioned_dataset", "64", "first")
    tuned = keep(store, "fine_tuned_weights", "lora|64", "tuned", [first])
    keep(store, "captioned_dataset", "64", "second")
    shutil.rmtree(first.path)
    with pytest.raises(
        dg.Failure, match=r"not in the store any more. .*fungal grow --until fine_tuned_weights"
    ):
        tuned_on(StoreResource(root=store.root), tuned, "64")
