"""The assets `dcgan_weights` and `dcgan_gallery`: the road that the artist began with, beside the one taken since."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.collection import prepared_images
from fungal_assets.defs.galleries import sample_galleries
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.morphology import clusters
from fungal_assets.defs.partitions import growth_key, resolution_partitions
from fungal_assets.defs.pools import GPU_POOL
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.profiles import METHODS
from fungal_assets.progress import Tell
from fungal_assets.store import Figures, Output
from fungal_assets.verdicts import Verdict

POINTS_OF_THE_CURVE = 60


class DcganWeightsConfig(StageConfig):
    """How the networks are trained; what is left empty behind `preset` takes the preset's value."""

    preset: str | None = Field(
        default=None,
        description="'tutorial', with the settings of PyTorch's DCGAN tutorial, or 'small-data', for some hundred "
        "pictures.",
    )
    max_steps: int | None = Field(default=None, ge=1, description="Steps of each network.")
    batch_size: int | None = Field(default=None, ge=2, le=4096, description="Real pictures in a step.")
    latent_size: int | None = Field(
        default=None, ge=2, le=4096, description="Numbers of noise that a picture is drawn from."
    )
    width: int | None = Field(default=None, ge=2, le=512, description="Channels beside the picture.")
    learning_rate: float | None = Field(
        default=None, gt=0, lt=1, description="The generator's learning rate."
    )
    discriminator_rate: float | None = Field(
        default=None, gt=0, lt=1, description="The discriminator's learning rate."
    )
    loss: str | None = Field(default=None, pattern="^(logistic|hinge)$", description="'logistic' or 'hinge'.")
    has_spectral_norm: bool | None = Field(
        default=None,
        description="Whether the discriminator has spectral norm beside batch normalisation.",
    )
    augmentation: str | None = Field(
        default=None,
        description="How real and drawn pictures are changed before the discriminator sees them: any of 'colour', "
        "'translation' and 'cutout' between commas, or nothing.",
    )
    flips: bool | None = Field(default=None, description="Whether real pictures are mirrored by chance.")
    ema_decay: float | None = Field(
        default=None, ge=0, lt=1, description="Share of the averaged generator that stays at each step."
    )
    watch_every_steps: int | None = Field(
        default=None, ge=1, description="Steps from one look at the pictures to the next."
    )
    watched_pictures: int | None = Field(
        default=None, ge=4, le=10_000, description="Pictures drawn for a look."
    )
    patience_looks: int | None = Field(
        default=None,
        ge=0,
        description="Looks that may come no nearer to the real pictures before training ends; 0 for all.",
    )
    held_out_share: float | None = Field(
        default=None, gt=0, le=0.5, description="Share of the pictures that is not trained on."
    )
    checkpoint_every_s: float | None = Field(default=None, gt=0, description="Seconds between two states.")
    seed: int | None = Field(default=None, ge=0, description="Seed of everything drawn.")


def _losses_finite(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_losses

    return check_losses(output.path)


def _comes_nearer(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_comes_nearer

    return check_comes_nearer(output.path)


def _not_collapsed(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_not_collapsed

    return check_not_collapsed(output.path)


def _loads(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_loads

    return check_loads(output.path)


DCGAN_WEIGHTS_CHECKS = (
    Check("losses_are_finite", "Every loss that was read is finite.", _losses_finite, blocking=True),
    Check("weights_draw", "The weights are finite and draw a picture of their size.", _loads, blocking=True),
    Check(
        "comes_nearer",
        "The pictures kept are nearer to real ones held out than those of the first look.",
        _comes_nearer,
    ),
    Check(
        "not_collapsed",
        "The generator draws more than a few things.",
        _not_collapsed,
    ),
)


@dg.asset(
    group_name="ancestors",
    kinds={"pytorch", "safetensors"},
    code_version="1",
    partitions_def=resolution_partitions,
    pool=GPU_POOL,
    deps=[prepared_images],
    check_specs=check_specs("dcgan_weights", DCGAN_WEIGHTS_CHECKS, resolution_partitions),
)
def dcgan_weights(
    context: dg.AssetExecutionContext,
    config: DcganWeightsConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """A DCGAN trained from nothing on the prepared pictures, its curves and looks, the generator of its best look."""
    from fungal_assets.ancestors.dcgan_presets import Recipe, fill_preset
    from fungal_assets.ancestors.dcgan_training import EXTRACTOR, train_dcgan
    from fungal_assets.morphology.extractors import licences_of

    prepared = store.get("prepared_images", context.partition_key)
    settings = config.fill("dcgan_weights", profile)
    with told_plainly():
        settings = fill_preset(settings.pop("preset"), settings)
    every = max(1, settings["max_steps"] // POINTS_OF_THE_CURVE)

    def show_step(step: int, figures: Mapping[str, float]) -> None:
        if figures and (step % every == 0 or "kid" in figures):
            context.log_event(
                dg.AssetObservation(
                    asset_key="dcgan_weights",
                    partition=context.partition_key,
                    metadata={"step": step, **figures},
                )
            )

    def build(folder: Path, *, checkpoint_every_s: float, tell: Tell, **recipe: Any) -> Figures:
        return train_dcgan(
            prepared.path,
            folder,
            size_px=int(context.partition_key),
            recipe=Recipe(**{field.name: recipe[field.name] for field in dataclasses.fields(Recipe)}),
            checkpoint_every_s=checkpoint_every_s,
            tell=tell,
            on_step=show_step,
        )

    return keep(
        context,
        store,
        inputs=[prepared],
        settings=settings,
        build=build,
        checks=DCGAN_WEIGHTS_CHECKS,
        preview=sheets("curves.png", newest="looks/*.webp"),
        licences=licences_of(EXTRACTOR),
    )


class DcganGalleryConfig(StageConfig):
    """How many pictures are drawn, and how the walk is filmed."""

    pictures: int | None = Field(default=None, ge=4, le=10_000, description="Pictures drawn.")
    walk_stops: int | None = Field(
        default=None, ge=2, le=64, description="Pictures that a walk passes before it is back."
    )
    frames_per_stop: int | None = Field(
        default=None, ge=1, le=240, description="Frames from one of them to the next."
    )
    frames_per_s: int | None = Field(default=None, ge=1, le=120, description="Frame rate, frames per second.")
    seed: int | None = Field(
        default=None, ge=0, description="Seed that every picture's own noise is drawn from."
    )


def _all_there(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_pictures

    return check_pictures(output.path)


def _drawn_by(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_drawn_by

    return check_drawn_by(output.path, inputs["dcgan_weights"].path)


def _no_copies(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_no_copies

    return check_no_copies(output.path)


def _varied(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_varied

    return check_varied(output.path)


def _walk_plays(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.dcgan_checks import check_walk

    return check_walk(output.path)


DCGAN_GALLERY_CHECKS = (
    Check(
        "every_picture_there",
        "Every picture is there, of one size, and none is of one colour.",
        _all_there,
        blocking=True,
    ),
    Check("drawn_by_these_weights", "The pictures name, by hash, their weights.", _drawn_by, blocking=True),
    Check("walk_plays", "The film decodes, has all of its frames, and moves.", _walk_plays, blocking=True),
    Check("no_copies", "Hardly any picture is a copy of a real one.", _no_copies, is_severe=True),
    Check("pictures_vary", "The pictures are not all alike.", _varied),
)


def _newest_gallery(store: StoreResource, resolution: str, grouped: Output) -> Output | None:
    """The newest complete gallery of a tuned diffusion model at that resolution, if one is of these clusters."""
    kept = store.open()
    found = [
        output
        for method in METHODS
        if (output := kept.find("sample_galleries", growth_key(method, resolution)))
        and output.record.inputs.get("clusters") == grouped.record.content_hash
    ]
    newest = max(found, key=lambda output: output.record.finished_at, default=None)
    return kept.get("sample_galleries", newest.record.partition) if newest else None


@dg.asset(
    group_name="ancestors",
    kinds={"pytorch", "video"},
    code_version="2",
    partitions_def=resolution_partitions,
    pool=GPU_POOL,
    deps=[dcgan_weights, prepared_images, clusters, sample_galleries],
    check_specs=check_specs("dcgan_gallery", DCGAN_GALLERY_CHECKS, resolution_partitions),
)
def dcgan_gallery(
    context: dg.AssetExecutionContext,
    config: DcganGalleryConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """What the DCGAN draws, a walk through its noise, and how it compares with the tuned diffusion model, if there."""
    from fungal_assets.ancestors.dcgan_gallery import make_dcgan_gallery

    weights, prepared = (
        store.get(name, context.partition_key) for name in ("dcgan_weights", "prepared_images")
    )
    grouped = store.get("clusters")
    with told_plainly():
        painted = _newest_gallery(store, context.partition_key, grouped)

    def build(folder: Path, **settings: Any) -> Figures:
        paths = (weights.path, prepared.path, grouped.path, painted.path if painted else None)
        return make_dcgan_gallery(*paths, folder, **settings)

    return keep(
        context,
        store,
        inputs=[weights, prepared, grouped, *([painted] if painted else [])],
        settings=config.fill("dcgan_gallery", profile),
        build=build,
        checks=DCGAN_GALLERY_CHECKS,
        preview=sheets("grid.webp", "comparison.webp", "nearest.webp", "form.webp", animations="walk.webp"),
    )
