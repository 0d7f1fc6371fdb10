"""Asset of the stage `dataset`: captioned images in shards that anyone can load."""

import functools

import dagster as dg
from pydantic import Field

from fungal_assets.defs.collection import prepared_images, raw_images, shape_of
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep
from fungal_assets.defs.morphology import feature_vectors
from fungal_assets.defs.nomenclature import captions, species
from fungal_assets.defs.partitions import resolution_partitions
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Output
from fungal_assets.verdicts import Verdict


class CaptionedDatasetConfig(StageConfig):
    """How the dataset is laid out."""

    max_shard_mb: float | None = Field(default=None, gt=0, le=500, description="Largest shard, megabytes.")
    has_imagefolder: bool | None = Field(
        default=None, description="Whether an imagefolder is written as well."
    )
    held_out_share: float | None = Field(
        default=None,
        ge=0,
        le=0.5,
        description="About which share of the pictures is held out of training, by groups of twins; 0 for none.",
    )


def _every_image_found_again(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.dataset.checks import check_every_image_is_found

    return check_every_image_is_found(output.path, inputs["raw_images"].path)


def _no_group_parted(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.dataset.checks import check_no_group_is_parted

    return check_no_group_is_parted(output.path, inputs["feature_vectors"].path)


def _described_as_it_is(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.dataset.checks import check_described_as_it_is

    return check_described_as_it_is(output.path)


def _texts_are_told(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.dataset.checks import check_texts_are_told

    return check_texts_are_told(output.path)


def _shards_are_several(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.dataset.checks import check_shards_are_several

    return check_shards_are_several(output.path)


def _images_decode(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.dataset.checks import check_images_decode

    shape = shape_of(inputs["prepared_images"])
    return check_images_decode(output.path, size_px=int(output.record.partition or 0), shape=shape)


DATASET_CHECKS = (
    Check(
        "every_image_found_again",
        "Every admitted image is in the shards of one split, once: the artist's trainer saw less than half of them.",
        _every_image_found_again,
        blocking=True,
    ),
    Check(
        "no_group_parted",
        "No near duplicate of a held-out picture is in the training split, and no species is held out whole.",
        _no_group_parted,
        blocking=True,
    ),
    Check(
        "described_as_it_is",
        "The card counts the rows of each split, and the Croissant metadata names every shard by its hash.",
        _described_as_it_is,
        blocking=True,
    ),
    Check("images_decode", "Every image decodes at the partition's size.", _images_decode, blocking=True),
    Check("texts_are_told", "Every image has a text.", _texts_are_told, blocking=True),
    Check(
        "shards_are_several",
        "There are several shards, so that reading only one would show.",
        _shards_are_several,
    ),
)


@dg.asset(
    group_name="dataset",
    kinds={"huggingface", "parquet"},
    code_version="5",
    partitions_def=resolution_partitions,
    deps=[prepared_images, captions, species, raw_images, feature_vectors],
    check_specs=check_specs("captioned_dataset", DATASET_CHECKS, resolution_partitions),
)
def captioned_dataset(
    context: dg.AssetExecutionContext,
    config: CaptionedDatasetConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """A Hugging Face image dataset: Parquet shards to train on and held out, imagefolder, card, attributions."""
    from fungal_assets.dataset.building import build_dataset

    prepared = store.get("prepared_images", context.partition_key)
    others = [store.get(name) for name in ("captions", "species", "raw_images", "feature_vectors")]
    made_of = [prepared, *others]
    paths, records = [output.path for output in made_of], [output.record for output in made_of]
    return keep(
        context,
        store,
        inputs=made_of,
        settings=config.fill("captioned_dataset", profile),
        build=functools.partial(build_dataset, *paths, records=records),
        checks=DATASET_CHECKS,
        preview=sheets("samples.webp"),
    )
