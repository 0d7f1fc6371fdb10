"""Assets of the stage `diffusion`: the tuned weights with their resume state, and what of them people load."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.dataset import captioned_dataset
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.launched import carry_out
from fungal_assets.defs.launching import is_shared, tune_together
from fungal_assets.defs.morphology import clusters
from fungal_assets.defs.nomenclature import prompts
from fungal_assets.defs.partitions import growth_partitions, method_and_resolution
from fungal_assets.defs.pools import GPU_POOL
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.rehearsal import rehearsal
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.errors import ProvenanceError
from fungal_assets.profiles import METHODS_OF_NAMES
from fungal_assets.progress import Tell
from fungal_assets.store import Figures, Output, output_name
from fungal_assets.verdicts import Verdict

POINTS_OF_THE_CURVE = 60


class FineTunedWeightsConfig(StageConfig):
    """How the base model is tuned."""

    base_model: str | None = Field(
        default=None, description="Name of a model card, a diffusers folder or a hub id."
    )
    max_steps: int | None = Field(default=None, ge=1, description="Optimiser steps.")
    batch_size: int | None = Field(default=None, ge=1, description="Images that the model sees at once.")
    accumulation_steps: int | None = Field(
        default=None, ge=1, description="How many times so many images make one step of the optimiser."
    )
    learning_rate: float | None = Field(default=None, gt=0, lt=1, description="Peak learning rate.")
    lora_rank: int | None = Field(default=None, ge=1, le=512, description="Rank of the low-rank update.")
    lora_alpha: float | None = Field(
        default=None,
        ge=0,
        description="Its scale is this over the rank; 0 for the rank itself, a scale of one.",
    )
    lora_targets: str | None = Field(
        default=None,
        pattern="^(attention|transformer|all)$",
        description="Which layers it is added to: 'attention', 'transformer' (all of those blocks), or 'all', with the "
        "residual blocks' convolutions.",
    )
    has_dora: bool | None = Field(
        default=None,
        description="Whether a LoRA learns the magnitudes of the weights apart from their directions (DoRA).",
    )
    trains_text_encoder: bool | None = Field(
        default=None, description="Whether a LoRA is added to the text encoder as well."
    )
    vectors_per_species: int | None = Field(
        default=None, ge=1, le=32, description="Vectors of each name, for textual inversion."
    )
    class_noun: str | None = Field(
        default=None, description="What every species is; textual inversion begins as this word."
    )
    works_at: str | None = Field(
        default=None,
        pattern="^(native|partition)$",
        description="Size that pictures are learnt at: 'native', which the base model was made for, or 'partition'.",
    )
    rehearsal_share: float | None = Field(
        default=None, ge=0, lt=1, description="Share of every batch that is rehearsal; 0 for none."
    )
    class_share: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Share of the dataset's draws with a wording that says what all species are and no name.",
    )
    name_share: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Share of the dataset's draws with the species' name alone.",
    )
    min_snr_gamma: float | None = Field(default=None, gt=0, description="Gamma of the min-SNR weighting.")
    ema_decay: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Share of the averaged weights, which are the ones written, that stays at each step; 0 for no "
        "average.",
    )
    noise_offset: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="How much of the noise is the same all over a picture, so that it may come out dark or bright.",
    )
    crops: int | None = Field(
        default=None, ge=0, le=16, description="Crops of each picture that are learnt from beside it."
    )
    optimiser: str | None = Field(
        default=None, description="'adamw', 'adamw8bit' (needs bitsandbytes) or 'adafactor'."
    )
    precision: str | None = Field(
        default=None,
        description="'auto' (bfloat16 on CUDA, float32 elsewhere), 'float32', or 'bfloat16' where it has units.",
    )
    checkpoints_gradients: bool | None = Field(
        default=None,
        description="Whether activations are computed again instead of kept: less memory, slower.",
    )
    is_channels_last: bool | None = Field(
        default=None,
        description="Whether tensors lie with their channels last, as GPUs want them; if not, as the CPU does.",
    )
    compiles: bool | None = Field(
        default=None, description="Whether the model is compiled first, for shorter steps after some minutes."
    )
    checkpoint_every_s: float | None = Field(
        default=None, gt=0, description="Time between checkpoints, seconds."
    )
    seed: int | None = Field(default=None, ge=0, description="Seed of order, noise and steps.")
    watch_every_steps: int | None = Field(
        default=None, ge=0, description="Steps from one look at the model to the next; 0 for none."
    )
    watched_species: int | None = Field(default=None, ge=0, description="Species that a look draws.")
    watched_controls: int | None = Field(default=None, ge=0, description="Control prompts that a look draws.")
    watch_inference_steps: int | None = Field(
        default=None, ge=1, le=1000, description="Denoising steps of a look's pictures."
    )
    watch_guidance_scale: float | None = Field(
        default=None, ge=1, le=100, description="Classifier-free guidance of a look's pictures."
    )
    judge: str | None = Field(
        default=None, description="Whose reference pictures a look's control pictures are held to."
    )
    stops_below_retention: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Training ends at a look with less retention and keeps the best look's weights; 0 for never.",
    )
    patience_looks: int | None = Field(
        default=None,
        ge=0,
        description="Training ends after so many looks without a gain and keeps the best look's weights; 0 for never.",
    )
    must_learn_within: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Share of the steps within which the loss must have fallen, or training ends; 0 for none.",
    )
    processes: int | None = Field(
        default=None,
        ge=0,
        description="Processes that share each batch, one for each GPU; 1 trains in the step itself, 0 is as many as "
        "the machine has GPUs, or the Ray cluster that FUNGAL_COMPUTE names.",
    )


def _loss_moves(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.checks import check_loss_moves

    return check_loss_moves(output.path)


def _every_row_trained_on(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.checks import check_every_row_trained_on

    return check_every_row_trained_on(output.path, inputs["captioned_dataset"].path)


def _learns_beyond_its_rows(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.checks import check_learns_beyond_its_rows

    return check_learns_beyond_its_rows(output.path)


def _weights_changed(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.checks import check_weights_changed

    return check_weights_changed(output.path, base_model=output.record.config["base_model"])


def _class_share_met(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.checks import check_class_share

    shares = {name: output.record.config[name] for name in ("class_share", "name_share")}
    return check_class_share(output.path, **shares)


def _rehearsed_by_its_base(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.rehearsal_checks import check_rehearsed_by_its_base

    kept = inputs.get("rehearsal")
    return check_rehearsed_by_its_base(output.path, kept.path if kept else None)


TUNED_CHECKS = (
    Check(
        "loss_moves",
        "The loss is finite throughout and ends below where it began.",
        _loss_moves,
        blocking=True,
    ),
    Check(
        "every_row_trained_on",
        "Training read every row of every training shard: the artist's read one file of several.",
        _every_row_trained_on,
        blocking=True,
    ),
    Check(
        "class_share_met",
        "As many draws came without a name, and with the name alone, as was asked for.",
        _class_share_met,
        is_severe=True,
    ),
    Check(
        "rehearsed_by_its_base",
        "What was rehearsed is what the very base model said that was tuned.",
        _rehearsed_by_its_base,
        blocking=True,
    ),
    Check(
        "learns_beyond_its_rows",
        "The loss on pictures that were held out of training falls as well.",
        _learns_beyond_its_rows,
    ),
    Check(
        "weights_changed",
        "The weights are finite and are no longer the base's.",
        _weights_changed,
        blocking=True,
    ),
)


@dg.asset(
    group_name="models",
    kinds={"pytorch", "safetensors"},
    code_version="7",
    partitions_def=growth_partitions,
    pool=GPU_POOL,
    deps=[captioned_dataset, rehearsal, prompts, clusters],
    check_specs=check_specs("fine_tuned_weights", TUNED_CHECKS, growth_partitions),
)
def fine_tuned_weights(
    context: dg.AssetExecutionContext,
    config: FineTunedWeightsConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """The base model tuned on the captioned dataset, its curves and sample sheets, and the state to go on from."""
    from fungal_assets.diffusion.base_models import resolve_base_model
    from fungal_assets.diffusion.cards import licences_of
    from fungal_assets.diffusion.watching import Watching
    from fungal_assets.galleries.judging import hash_references

    method, resolution = method_and_resolution(context)
    dataset = store.get("captioned_dataset", resolution)
    settings = config.fill("fine_tuned_weights", profile, method)
    rehearses = settings["rehearsal_share"] > 0 and method not in METHODS_OF_NAMES
    kept = store.get("rehearsal", resolution) if rehearses else None
    base = resolve_base_model(settings["base_model"])
    drawn = [store.get("prompts"), store.get("clusters")] if settings["watch_every_steps"] else []
    with told_plainly():
        judge = {"judge": hash_references(settings["judge"])} if drawn else {}

    every = max(1, settings["max_steps"] // POINTS_OF_THE_CURVE)

    def show_step(step: int, figures: Mapping[str, float]) -> None:
        if step % every and "held_out_loss" not in figures and "retention" not in figures:
            return
        context.log_event(
            dg.AssetObservation(
                asset_key="fine_tuned_weights",
                partition=context.partition_key,
                metadata={"step": step, **figures},
            )
        )

    def build(
        folder: Path,
        *,
        base_model: str,
        checkpoint_every_s: float,
        processes: int,
        tell: Tell,
        **settings: Any,
    ) -> Figures:
        watching = {field.name: settings.pop(field.name) for field in fields(Watching)}
        written, grouped = (output.path for output in drawn) if drawn else (None, None)
        places: dict[str, Any] = {
            "captioned_dataset": dataset.path,
            "rehearsal": kept.path if kept else None,
            "folder": folder,
            "prompts": written,
            "clusters": grouped,
            "logs": store.open().logs("fine_tuned_weights", context.partition_key, folder),
        }
        order = {
            "places": places,
            "recipe": settings,
            "watching": watching,
            "method": method,
            "base_model": base_model,
            "checkpoint_every_s": checkpoint_every_s,
        }
        if is_shared(processes):
            return tune_together(context, folder, processes=processes, on_step=show_step, order=order)
        return carry_out(order, tell=tell, on_step=show_step)

    return keep(
        context,
        store,
        inputs=[dataset, *([kept] if kept else []), *drawn],
        settings=settings,
        sources={"base_model": base.sha256, **judge},
        build=build,
        checks=TUNED_CHECKS,
        preview=sheets("curves.png", newest="looks/*.webp"),
        licences=licences_of(settings["base_model"]),
    )


class PrunedWeightsConfig(StageConfig):
    """What the weights are fused into, and how far; the last eight fields are read where the strength is chosen."""

    base_model: str | None = Field(
        default=None, description="The base model that was tuned; checked by hash."
    )
    strength: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How far from the base model (0) to the tuned weights (1): less where species lose their forms. "
        "0 chooses one by measuring.",
    )
    has_single_file: bool | None = Field(
        default=None,
        description="Whether to write the whole model as one file too, for ComfyUI and A1111, where its architecture "
        "is Stable Diffusion's.",
    )
    strengths: list[float] | None = Field(
        default=None, description="Strengths to choose among, each above 0 and at most 1."
    )
    min_retention: float | None = Field(
        default=None, ge=0, le=1, description="Least share of the control knowledge that must be left."
    )
    judge: str | None = Field(default=None, description="Whose references control pictures are held to.")
    images_per_prompt: int | None = Field(
        default=None, ge=1, le=1000, description="Pictures per prompt and strength."
    )
    controls: int | None = Field(default=None, ge=1, description="Control prompts that are measured.")
    num_inference_steps: int | None = Field(default=None, ge=1, le=1000, description="Denoising steps.")
    guidance_scale: float | None = Field(default=None, ge=1, le=100, description="Classifier-free guidance.")
    seed: int | None = Field(
        default=None, ge=0, description="Seed that every picture's own seed is drawn from."
    )


def _pruned_from_tuned(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.checks import check_pruned_from_tuned

    return check_pruned_from_tuned(output.path, inputs["fine_tuned_weights"].path)


def _loads_in_diffusers(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.checks import check_pruned_loads

    return check_pruned_loads(output.path)


def _strength_holds(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.diffusion.checks import check_strength

    return check_strength(output.path)


PRUNED_CHECKS = (
    Check(
        "pruned_from_tuned",
        "The pruned weights come from these tuned weights and their base model, by hash.",
        _pruned_from_tuned,
        blocking=True,
    ),
    Check(
        "strength_keeps_enough",
        "A strength that was chosen is the best fit of those measured that keep enough of the control knowledge.",
        _strength_holds,
        is_severe=True,
    ),
    Check("loads_in_diffusers", "A plain diffusers pipeline loads them.", _loads_in_diffusers, blocking=True),
)


def tuned_on(store: StoreResource, tuned: Output, resolution: str) -> Output:
    """The dataset that weights were tuned on, which need not be the newest.

    Raises:
        dg.Failure: It is not on this machine any more.
    """
    return ancestor_of(store, tuned, "captioned_dataset", resolution)


def ancestor_of(store: StoreResource, output: Output, asset: str, partition: str) -> Output:
    """The output of an asset that another was made of, by its hash; it need not be the newest.

    Raises:
        dg.Failure: It is not on this machine any more.
    """
    sha256 = output.record.inputs[output_name(asset, partition)]
    with told_plainly():
        newest = store.open().get(asset, partition)
        found = (
            newest if newest.record.content_hash == sha256 else kept_by_hash(store, asset, partition, sha256)
        )
        if found is not None:
            return found
        raise ProvenanceError(
            f"{output.name!r} is of a {asset} with content hash {sha256[:12]}…, which is not in the store any more. "
            f"Grow it again from the present one: fungal grow --until {output.record.asset}"
        )


def kept_by_hash(store: StoreResource, asset: str, partition: str, sha256: str) -> Output | None:
    """The output of an asset with that content hash, where it is on this machine."""
    outputs = store.open().kept_here(asset, partition)
    return next((each for each in outputs if each.record.content_hash == sha256), None)


@dg.asset(
    group_name="models",
    kinds={"pytorch", "safetensors"},
    code_version="6",
    partitions_def=growth_partitions,
    pool=GPU_POOL,
    deps=[fine_tuned_weights, captioned_dataset, prompts, clusters],
    check_specs=check_specs("pruned_weights", PRUNED_CHECKS, growth_partitions),
)
def pruned_weights(
    context: dg.AssetExecutionContext,
    config: PrunedWeightsConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Inference weights alone, in half precision: what was learnt as a file, and the whole pipeline with it in it."""
    from fungal_assets.diffusion.headers import Origin
    from fungal_assets.diffusion.strengths import CHOOSE, Trials, export_weights
    from fungal_assets.galleries.judging import hash_references

    method, resolution = method_and_resolution(context)
    tuned = store.get("fine_tuned_weights", context.partition_key)
    dataset = tuned_on(store, tuned, resolution)
    settings = config.fill("pruned_weights", profile, method)
    drawn = [store.get("prompts"), store.get("clusters")] if settings["strength"] == CHOOSE else []
    with told_plainly():
        sources = {"judge": hash_references(settings["judge"])} if drawn else {}

    def build(
        folder: Path, *, base_model: str, strength: float, has_single_file: bool, tell: Tell, **trials: Any
    ) -> Figures:
        how: dict[str, Any] = {"base_model": base_model, "strength": strength, "tell": tell}
        how |= {"has_single_file": has_single_file, "trials": Trials(**trials)}
        written, grouped = (output.path for output in drawn) if drawn else (None, None)
        return export_weights(tuned.path, written, grouped, folder, Origin.of(dataset, tuned), **how)

    return keep(
        context,
        store,
        inputs=[tuned, dataset, *drawn],
        settings=settings,
        sources=sources,
        build=build,
        checks=PRUNED_CHECKS,
        preview=sheets("strengths.png", "strengths.webp"),
    )
