"""The asset `resolution_atlas`: where in the tuned model pictures of several sizes part ways."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.diffusion import pruned_weights
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.nomenclature import prompts
from fungal_assets.defs.partitions import growth_partitions
from fungal_assets.defs.pools import GPU_POOL
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Figures, Output
from fungal_assets.verdicts import Verdict


class ResolutionAtlasConfig(StageConfig):
    """What is walked, and how."""

    base_model: str | None = Field(
        default=None, description="The base model that was tuned; checked by hash."
    )
    scales: list[float] | None = Field(
        default=None, description="The sizes beside the native one, as multiples of it: halves and doubles."
    )
    pictures: int | None = Field(
        default=None,
        ge=4,
        le=64,
        description="Prompts, half of species and half controls; one picture at each size.",
    )
    num_inference_steps: int | None = Field(default=None, ge=2, le=1000, description="Denoising steps.")
    guidance_scale: float | None = Field(default=None, ge=1, le=100, description="Classifier-free guidance.")
    scheduler: str | None = Field(default=None, description="DDIM, DPM++ 2M, Euler or UniPC.")
    seed: int | None = Field(
        default=None, ge=0, description="Seed that every picture's own seed is drawn from."
    )


def _whole(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.atlas.checks import check_whole

    return check_whole(output.path)


def _of_these_weights(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.atlas.checks import check_weights

    return check_weights(output.path, inputs["pruned_weights"].path)


ATLAS_CHECKS = (
    Check(
        "whole",
        "Every step has every block of every size, and no figure is beyond its bounds.",
        _whole,
        blocking=True,
    ),
    Check(
        "of_these_weights",
        "The atlas names, by hash, the weights that it is of.",
        _of_these_weights,
        blocking=True,
    ),
)


@dg.asset(
    group_name="galleries",
    kinds={"pytorch", "parquet"},
    code_version="2",
    partitions_def=growth_partitions,
    pool=GPU_POOL,
    deps=[pruned_weights, prompts],
    check_specs=check_specs("resolution_atlas", ATLAS_CHECKS, growth_partitions),
)
def resolution_atlas(
    context: dg.AssetExecutionContext,
    config: ResolutionAtlasConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Where in the model pictures of several sizes part ways: likeness by block and step, attention, scales."""
    from fungal_assets.diffusion.base_models import native_px, resolve_base_model
    from fungal_assets.galleries.atlas.building import draw_atlas

    settings = config.fill("resolution_atlas", profile)
    pruned, written = store.get("pruned_weights", context.partition_key), store.get("prompts")

    with told_plainly():
        size_px = native_px(resolve_base_model(settings["base_model"]).path)

    def build(folder: Path, **settings: Any) -> Figures:
        return draw_atlas(pruned.path, written.path, folder, size_px=size_px, **settings)

    return keep(
        context,
        store,
        inputs=[pruned, written],
        settings=settings,
        build=build,
        checks=ATLAS_CHECKS,
        preview=sheets("atlas.webp", "pictures.webp"),
    )
