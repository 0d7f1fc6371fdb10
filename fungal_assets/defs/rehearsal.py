"""The asset `rehearsal`: what the base model makes of the rehearsal prompts, which tuned weights are held to."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.nomenclature import prompts
from fungal_assets.defs.partitions import resolution_partitions
from fungal_assets.defs.pools import GPU_POOL
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Figures, Output
from fungal_assets.verdicts import Verdict


class RehearsalConfig(StageConfig):
    """What the base model is asked for, and how."""

    base_model: str | None = Field(
        default=None,
        description="Name of a model card, a diffusers folder or a hub id; the one that is tuned.",
    )
    works_at: str | None = Field(
        default=None,
        pattern="^(native|partition)$",
        description="Size of the pictures: 'native', which the base model was made for, or 'partition'; "
        "fine_tuned_weights has the same.",
    )
    rehearsal_prompts: int | None = Field(
        default=None, ge=1, description="Prompts that the base model itself illustrates for rehearsal."
    )
    num_inference_steps: int | None = Field(
        default=None, ge=2, le=1000, description="Denoising steps of a picture; each is rehearsed."
    )
    guidance_scale: float | None = Field(default=None, ge=1, le=100, description="Classifier-free guidance.")
    seed: int | None = Field(default=None, ge=0, description="Seed of the noise.")


def _said_by_the_base(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.rehearsal_checks import check_said_by_the_base

    return check_said_by_the_base(output.path, base_model=output.record.config["base_model"])


def _prompts_are_knowledge(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.rehearsal_checks import check_prompts_are_knowledge

    return check_prompts_are_knowledge(output.path, inputs["prompts"].path)


def _pictures_not_blank(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.rehearsal_checks import check_pictures_not_blank

    return check_pictures_not_blank(output.path)


REHEARSAL_CHECKS = (
    Check(
        "said_by_the_base_model",
        "The base model that is named says again what is kept of it.",
        _said_by_the_base,
        blocking=True,
    ),
    Check(
        "prompts_are_knowledge",
        "No rehearsed prompt is measured, and none says the name of a species.",
        _prompts_are_knowledge,
        blocking=True,
    ),
    Check("pictures_not_blank", "Every rehearsed prompt has a picture to see.", _pictures_not_blank),
)


@dg.asset(
    group_name="models",
    kinds={"pytorch", "safetensors"},
    code_version="1",
    partitions_def=resolution_partitions,
    pool=GPU_POOL,
    deps=[prompts],
    check_specs=check_specs("rehearsal", REHEARSAL_CHECKS, resolution_partitions),
)
def rehearsal(
    context: dg.AssetExecutionContext,
    config: RehearsalConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """What the base model makes of the rehearsal prompts, step by step, for tuned weights to be held to."""
    from fungal_assets.diffusion.base_models import resolve_base_model
    from fungal_assets.diffusion.cards import licences_of
    from fungal_assets.diffusion.rehearsal import rehearse

    written = store.get("prompts")
    settings = config.fill("rehearsal", profile)
    with told_plainly():
        base = resolve_base_model(settings["base_model"])

    def build(folder: Path, **settings: Any) -> Figures:
        return rehearse(written.path, folder, size_px=int(context.partition_key), **settings)

    return keep(
        context,
        store,
        inputs=[written],
        settings=settings,
        sources={"base_model": base.sha256},
        build=build,
        checks=REHEARSAL_CHECKS,
        preview=sheets("rehearsal.webp"),
        licences=licences_of(settings["base_model"]),
    )
