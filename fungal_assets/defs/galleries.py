"""Assets of the stage `galleries`: samples of every species, and what the tuned model still knows beside them."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.dataset import captioned_dataset
from fungal_assets.defs.diffusion import ancestor_of, fine_tuned_weights, pruned_weights, tuned_on
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.morphology import clusters
from fungal_assets.defs.nomenclature import prompts
from fungal_assets.defs.partitions import growth_partitions, method_and_resolution
from fungal_assets.defs.pools import GPU_POOL
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Figures, Output
from fungal_assets.verdicts import Verdict


class SampleGalleriesConfig(StageConfig):
    """What is sampled, and how."""

    base_model: str | None = Field(default=None, description="The base model to sample beside the tuned one.")
    works_at: str | None = Field(
        default=None,
        pattern="^(native|partition)$",
        description="Size that pictures are drawn at before they are brought to the partition's: 'native', which the "
        "base model was made for, or 'partition'.",
    )
    images_per_prompt: int | None = Field(
        default=None, ge=1, le=1000, description="Pictures per prompt and model."
    )
    controls: int | None = Field(default=None, ge=0, description="Control prompts that are sampled.")
    side_prompts: int | None = Field(
        default=None,
        ge=0,
        description="Subspecies, mutant and context prompts at most, of each of the three, evenly over the species.",
    )
    num_inference_steps: int | None = Field(default=None, ge=1, le=1000, description="Denoising steps.")
    guidance_scale: float | None = Field(default=None, ge=1, le=100, description="Classifier-free guidance.")
    scheduler: str | None = Field(default=None, description="DDIM, DPM++ 2M, Euler or UniPC.")
    batch_size: int | None = Field(default=None, ge=1, le=256, description="Pictures denoised at once.")
    sizes: list[int] | None = Field(
        default=None,
        description="Sides in pixels, multiples of 8, at which the first picture of each prompt is made too.",
    )
    seed: int | None = Field(
        default=None, ge=0, description="Seed that every picture's own seed is drawn from."
    )


def _complete(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.checks import check_complete

    config = output.record.config
    wanted = {name: config[name] for name in ("images_per_prompt", "controls", "side_prompts")}
    return check_complete(output.path, inputs["prompts"].path, **wanted)


def _not_blank(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.checks import check_not_blank

    return check_not_blank(output.path)


def _not_pixelated(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.checks import check_not_pixelated

    return check_not_pixelated(output.path)


def _from_these_weights(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.checks import check_weights

    return check_weights(output.path, inputs["pruned_weights"].path)


def _recognised(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.checks import check_species_recognised

    return check_species_recognised(output.path)


GALLERY_CHECKS = (
    Check("every_prompt_has_pictures", "Every prompt has all of its pictures.", _complete, blocking=True),
    Check("not_blank", "No picture is black or blank.", _not_blank, blocking=True),
    Check(
        "not_pixelated",
        "No picture is made of blocks, as the artist's samples were.",
        _not_pixelated,
        blocking=True,
    ),
    Check(
        "of_these_weights",
        "Every picture names, by hash, the weights that it was asked of.",
        _from_these_weights,
        blocking=True,
    ),
    Check("species_recognised", "Pictures of a species are nearer to it than to the others.", _recognised),
)


@dg.asset(
    group_name="galleries",
    kinds={"pytorch", "image"},
    code_version="2",
    partitions_def=growth_partitions,
    pool=GPU_POOL,
    deps=[pruned_weights, prompts, clusters],
    check_specs=check_specs("sample_galleries", GALLERY_CHECKS, growth_partitions),
)
def sample_galleries(
    context: dg.AssetExecutionContext,
    config: SampleGalleriesConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Pictures of every species from the tuned model, and of the control prompts from the base and the tuned model."""
    from fungal_assets.galleries.sampling import sample_gallery

    _, resolution = method_and_resolution(context)
    pruned = store.get("pruned_weights", context.partition_key)
    written, grouped = store.get("prompts"), store.get("clusters")

    def build(folder: Path, **settings: Any) -> Figures:
        return sample_gallery(
            pruned.path, written.path, grouped.path, folder, size_px=int(resolution), **settings
        )

    return keep(
        context,
        store,
        inputs=[pruned, written, grouped],
        settings=config.fill("sample_galleries", profile),
        build=build,
        checks=GALLERY_CHECKS,
        preview=sheets(
            "grids/species.webp", "grids/variants.webp", "grids/controls.webp", "grids/sizes.webp"
        ),
    )


class ForgettingReportConfig(StageConfig):
    """Who judges, and how strictly."""

    judge: str | None = Field(
        default=None, description="Whose reference pictures the control pictures are held to."
    )
    text_judge: str | None = Field(
        default=None,
        description="Who says beside it which name each picture fits: 'pocket', a folder, or '' for nobody.",
    )
    min_retention: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Least share of the base model's control knowledge that must be left.",
    )


def _knowledge_kept(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.checks import check_knowledge_kept

    return check_knowledge_kept(output.path)


REPORT_CODE_VERSION = "2"
REPORT_CHECKS = (
    Check(
        "control_knowledge_kept",
        "The tuned model still draws a hamburger: what it knew beside fungi is not forgotten.",
        _knowledge_kept,
        is_severe=True,
    ),
)


@dg.asset(
    group_name="galleries",
    kinds={"onnx", "json"},
    code_version=REPORT_CODE_VERSION,
    partitions_def=growth_partitions,
    deps=[sample_galleries, pruned_weights, fine_tuned_weights],
    check_specs=check_specs("forgetting_report", REPORT_CHECKS, growth_partitions),
)
def forgetting_report(
    context: dg.AssetExecutionContext,
    config: ForgettingReportConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """The control prompts before and after tuning, judged: the retention, worst first, with the pictures, and when."""
    from fungal_assets.galleries.forgetting import report_forgetting
    from fungal_assets.galleries.judging import hash_references
    from fungal_assets.galleries.text_judging import hash_text_judge

    key = context.partition_key
    gallery = store.get("sample_galleries", key)
    pruned = ancestor_of(store, gallery, "pruned_weights", key)
    tuned = ancestor_of(store, pruned, "fine_tuned_weights", key)
    settings = config.fill("forgetting_report", profile)
    with told_plainly():
        sources = {
            "judge": hash_references(settings["judge"]),
            "text_judge": hash_text_judge(settings["text_judge"]),
        }
    return keep(
        context,
        store,
        inputs=[gallery, pruned, tuned],
        settings=settings,
        sources=sources,
        build=lambda folder, **settings: report_forgetting(gallery.path, tuned.path, folder, **settings),
        checks=REPORT_CHECKS,
        preview=sheets("side_by_side.webp", "over_training.png", "when.webp"),
    )


class SpeciesReportConfig(StageConfig):
    """How strictly species are looked at."""

    min_variety: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Least mean distance between pictures of a species, as a share of that between its real images.",
    )
    max_copied_share: float | None = Field(
        default=None, ge=0, le=1, description="Which share of the pictures may be copies of training images."
    )


def _every_species_told(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.species_checks import check_every_species_told

    return check_every_species_told(output.path, inputs["sample_galleries"].path)


def _no_copies(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.species_checks import check_no_copies

    return check_no_copies(output.path)


def _new(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.species_checks import check_species_new

    return check_species_new(output.path)


def _varied(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.galleries.species_checks import check_species_varied

    return check_species_varied(output.path)


SPECIES_REPORT_CHECKS = (
    Check(
        "every_species_told",
        "Every species has its figures, and every picture its most similar training image.",
        _every_species_told,
        blocking=True,
    ),
    Check("no_copies", "Pictures are no copies of training images.", _no_copies, is_severe=True),
    Check("species_are_new", "No species lies within another cluster of real specimens.", _new),
    Check("species_are_varied", "No species that can be judged is drawn the same again and again.", _varied),
)


@dg.asset(
    group_name="galleries",
    kinds={"onnx", "json"},
    code_version="4",
    partitions_def=growth_partitions,
    deps=[sample_galleries, pruned_weights, captioned_dataset, clusters],
    check_specs=check_specs("species_report", SPECIES_REPORT_CHECKS, growth_partitions),
)
def species_report(
    context: dg.AssetExecutionContext,
    config: SpeciesReportConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Of each species whether it is itself, new, varied and no copy of what it was learnt from: the worst first."""
    from fungal_assets.galleries.species_report import report_species

    _, resolution = method_and_resolution(context)
    gallery, pruned = (
        store.get(name, context.partition_key) for name in ("sample_galleries", "pruned_weights")
    )
    grouped, dataset = store.get("clusters"), tuned_on(store, pruned, resolution)
    return keep(
        context,
        store,
        inputs=[gallery, pruned, dataset, grouped],
        settings=config.fill("species_report", profile),
        build=lambda folder, **settings: report_species(
            gallery.path, grouped.path, dataset.path, folder, **settings
        ),
        checks=SPECIES_REPORT_CHECKS,
        preview=sheets("real_and_painted.webp", "confusion.webp", "originals.webp"),
    )
