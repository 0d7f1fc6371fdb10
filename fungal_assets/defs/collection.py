"""Assets of the stage `collection`: the admitted originals, and these cut and scaled at each resolution."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.partitions import resolution_partitions
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.profiles import RESOLUTIONS
from fungal_assets.progress import Tell
from fungal_assets.store import Figures, Output, is_file_intact, mismatches
from fungal_assets.verdicts import Verdict

RAW_CODE_VERSION = "8"
MOST_NUDITY = 0.8


class RawImagesConfig(StageConfig):
    """What is let in."""

    source: str | None = Field(
        default=None,
        description="A folder, archive or Parquet table of pictures, a dataset of the hub (`hf:owner/name`), a "
        "list of URLs, a search (`inaturalist:Amanita?count=200`, `gbif:...`), or `specimens` for those that the "
        "package ships.",
    )
    min_side_px: int | None = Field(default=None, ge=8, description="Shortest side that is admitted, pixels.")
    max_megapixels: float | None = Field(
        default=None, gt=0, description="Largest picture that is decoded, million pixels."
    )
    min_sharpness: float | None = Field(
        default=None, ge=0, le=1, description="Least energy of fine detail over variance; 0 admits any blur."
    )
    max_blockiness: float | None = Field(
        default=None, ge=1, description="Most step across 8 px blocks over the step elsewhere."
    )
    max_pixelation: float | None = Field(
        default=None, ge=0, le=1, description="Most pixelation, from 0 to 1; 1 admits any."
    )
    min_fungus_probability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Least probability to show a fungus, of a classifier of photographs; 0 admits anything.",
    )
    crop: str | None = Field(
        default=None,
        pattern="^(subject|centre)$",
        description="How squares are cut: about the `subject`, or from the `centre`.",
    )
    ground: str | None = Field(
        default=None,
        description="What lies under transparent pictures: an opaque colour, as `white` or `#202020`.",
    )


def _raw_counts(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.collection.checks import check_nothing_is_lost

    return check_nothing_is_lost(output.path, candidates=int(output.record.figures["candidates"]))


def _raw_ids(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.collection.checks import check_ids_match_bytes

    return check_ids_match_bytes(output.path)


def _none_may_be_nude(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.collection.checks import check_nudity

    return check_nudity(output.path, most=MOST_NUDITY)


RAW_CHECKS = (
    Check(
        "nothing_lost",
        "Every file of the source is either admitted or in the table of rejects with a reason.",
        _raw_counts,
        blocking=True,
    ),
    Check(
        "ids_match_bytes",
        "Every image's id is the hash of its bytes, and no id occurs twice.",
        _raw_ids,
        blocking=True,
    ),
    Check(
        "none_may_be_nude",
        "To a classifier that is an extra (`nudity`), no picture is likely to show a naked body.",
        _none_may_be_nude,
    ),
)


def _find_known(store: StoreResource, settings: dict[str, Any]) -> Path | None:
    """The newest output here that has looks under these limits by this code, one of the same source before others."""
    from fungal_assets.collection.journal import TABLE_NAME

    found = [
        output
        for output in store.open().kept_here("raw_images")
        if output.record.code_version == RAW_CODE_VERSION
        and {**output.record.config, "source": settings["source"]} == settings
        and is_file_intact(output, TABLE_NAME)
    ]
    found.sort(key=lambda output: output.record.config["source"] != settings["source"])
    return found[0].path if found else None


@dg.asset(
    group_name="collection",
    kinds={"parquet", "pillow"},
    code_version=RAW_CODE_VERSION,
    check_specs=check_specs("raw_images", RAW_CHECKS),
)
def raw_images(
    context: dg.AssetExecutionContext, config: RawImagesConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Every admitted original, its bytes as they came, with id, source, creator, licence and size; and the rejects."""
    from fungal_assets.collection.admission import admit_images
    from fungal_assets.collection.sources import find_source

    settings = config.fill("raw_images", profile)
    with told_plainly():
        sources = {"source": find_source(settings["source"]).fingerprint()}

    def build(folder: Path, *, tell: Tell, **settings: Any) -> Figures:
        known = _find_known(store, settings)
        if known:
            context.log.info(f"only what is new is looked at; the other looks are in {known}")
        return admit_images(folder, known=known, tell=tell, **settings)

    return keep(
        context,
        store,
        inputs=[],
        settings=settings,
        sources=sources,
        build=build,
        checks=RAW_CHECKS,
        preview=sheets("contact_sheet.webp", "rejects.webp"),
    )


class PreparedImagesConfig(StageConfig):
    """How the pictures are cut and written."""

    shape: str | None = Field(
        default=None,
        pattern="^(square|buckets)$",
        description="`square`, or `buckets`: each the nearest of nine shapes up to 7:4 with about as many pixels.",
    )
    jpeg_quality: int | None = Field(default=None, ge=50, le=100, description="JPEG quality, 4:4:4 chroma.")


def _prepared_complete(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.collection.checks import check_prepared

    size_px, shape = int(output.record.partition or 0), shape_of(output)
    return check_prepared(output.path, inputs["raw_images"].path, size_px=size_px, shape=shape)


def shape_of(prepared: Output) -> str:
    """How the pictures of a `prepared_images` output were cut; those of before were squares."""
    return prepared.record.config.get("shape", "square")


PREPARED_CHECKS = (
    Check(
        "every_image_prepared",
        "Every admitted image is there, once, upright, in its shape at this resolution, and none is blank.",
        _prepared_complete,
        blocking=True,
    ),
)


def _find_larger(store: StoreResource, raw: Output, settings: dict[str, Any], resolution: str) -> Path | None:
    """The smallest larger ones that were prepared of the same images in the same way, if there are any."""
    for key in sorted(map(int, RESOLUTIONS)):
        found = store.open().find("prepared_images", str(key)) if key > int(resolution) else None
        if (
            found
            and found.record.inputs == {raw.name: raw.record.content_hash}
            and found.record.config == settings
            and not mismatches(found)
        ):
            return found.path
    return None


@dg.asset(
    group_name="collection",
    kinds={"parquet", "pillow"},
    code_version="5",
    partitions_def=resolution_partitions,
    deps=[raw_images],
    check_specs=check_specs("prepared_images", PREPARED_CHECKS, resolution_partitions),
)
def prepared_images(
    context: dg.AssetExecutionContext,
    config: PreparedImagesConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Upright RGB squares of every admitted image at one resolution, or other shapes, as sharded Parquet."""
    from fungal_assets.collection.preparation import prepare_images

    raw = store.get("raw_images")

    def build(folder: Path, *, tell: Tell, **settings: Any) -> Figures:
        larger = _find_larger(store, raw, settings, context.partition_key)
        if larger:
            context.log.info(f"scaled down from {larger}, no original is read again")
        size_px = int(context.partition_key)
        return prepare_images(raw.path, folder, size_px=size_px, larger=larger, tell=tell, **settings)

    return keep(
        context,
        store,
        inputs=[raw],
        settings=config.fill("prepared_images", profile),
        build=build,
        checks=PREPARED_CHECKS,
        preview=sheets("contact_sheet.jpg"),
    )
