"""Assets of the stage `forms`: a solid object per species, and its videos.

Settings, checks and the step of videos serve any asset that keeps forms.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.diffusion import pruned_weights
from fungal_assets.defs.galleries import sample_galleries
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.morphology import clusters
from fungal_assets.defs.nomenclature import prompts, species
from fungal_assets.defs.partitions import growth_partitions
from fungal_assets.defs.pools import GPU_POOL
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.forms.planning import WORK_VERSION
from fungal_assets.store import Output
from fungal_assets.verdicts import Verdict


class Forms3dConfig(StageConfig):
    """Which species are grown as objects, and how long."""

    species_names: list[str] | None = Field(
        default=None,
        description="Common names of the species to grow; empty for those of each colour that their "
        "gallery portrays best. Those that were grown before with the same weights and settings stay beside them.",
    )
    max_species: int | None = Field(
        default=None,
        ge=1,
        description="How many are chosen where none is named; those that are there stay beside them.",
    )
    iterations: int | None = Field(
        default=None,
        ge=1,
        description="Steps of score distillation per species; a form that was lifted from a picture takes a tenth.",
    )
    grid_size: int | None = Field(default=None, ge=8, le=512, description="Voxels along a side, at the end.")
    view_size_px: int | None = Field(
        default=None, ge=16, le=1024, description="Side of a rendered view, pixels."
    )
    views_per_step: int | None = Field(default=None, ge=1, le=16, description="Views in one step.")
    guidance_scale: float | None = Field(default=None, ge=1, le=200, description="Classifier-free guidance.")
    grounds: dict[str, float] | None = Field(
        default=None,
        description="Plain grounds that forms are shown on: what the base model calls each, and its lightness from "
        "0 to 1. Two that differ much keep forms from being glassy.",
    )
    first_guess: str | None = Field(
        default=None,
        pattern="^(lifted|revolved|egg)$",
        description="What a form begins as: a painted picture of its species, lifted into a volume by the network that "
        "the package ships, or its silhouette, turned about its axis; or an egg.",
    )
    first_guesses: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="Pictures of a species on each ground that are painted first: its form begins as the best of them "
        "and is shown before what is behind them; 0 to begin with an egg before plain grounds.",
    )
    guess_guidance_scale: float | None = Field(
        default=None, ge=1, le=50, description="Classifier-free guidance of those pictures."
    )
    distillation: str | None = Field(
        default=None,
        pattern="^(sds|ism|perp_neg)$",  # no Literal: Dagster takes none
        description="Which way the guide leads: score distillation, interval score matching, or score distillation "
        "away from the view words that a camera does not have.",
    )
    shaded_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the steps at which the guide sees a form under a moving lamp, half of these without "
        "colours: against shapes that are only painted.",
    )
    warm_up: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the steps, from the first, at which the guide takes a map of normals for latents: no "
        "encoder runs then. For a form that begins as an egg, with a model of 4 latent channels.",
    )
    first_meshes: dict[str, str] | None = Field(
        default=None,
        description="GLB files that forms begin as, by the common name of their species: one closed mesh of triangles, "
        "its vertices coloured or not.",
    )
    tiny_encoder: str | None = Field(
        default=None,
        description="Folder of a tiny autoencoder in diffusers' format that encodes views for the guide instead of "
        "its own, as TAESD for Stable Diffusion; empty for its own.",
    )
    processes: int | None = Field(default=None, ge=1, le=64, description="Species that grow at once.")
    seed: int | None = Field(
        default=None, ge=0, description="Seed that every species' own seed is drawn from."
    )


def _guided_by_tuned(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.checks import check_guide

    return check_guide(output.path, inputs["pruned_weights"].path)


def _solid(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.checks import check_solidity

    return check_solidity(output.path)


def _told_apart(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.checks import check_recognition

    return check_recognition(output.path)


def _of_one_face(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.checks import check_consistency

    return check_consistency(output.path)


def _of_fungal_outline(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.checks import check_silhouettes

    return check_silhouettes(output.path)


FORM_CHECKS = (
    Check(
        "guided_by_the_tuned_weights",
        "The forms were guided by the tuned weights, by hash, and not by the base model, as the artist's last were.",
        _guided_by_tuned,
        blocking=True,
    ),
    Check(
        "forms_are_solid",
        "Every species became a form that is neither empty nor a fog.",
        _solid,
        is_severe=True,
    ),
    Check(
        "forms_are_told_apart",
        "Views of a form are nearer to its species than to the others grown.",
        _told_apart,
    ),
    Check(
        "forms_have_one_face",
        "A form looks like one species from all sides: no two views from opposite are clearly taken for two, or are "
        "of two colours.",
        _of_one_face,
    ),
    Check(
        "forms_have_fungal_outlines",
        "From every side, the outline of a form is like that of a known fungus.",
        _of_fungal_outline,
    ),
)


@dg.asset(
    group_name="forms",
    kinds={"pytorch"},
    code_version=WORK_VERSION,
    partitions_def=growth_partitions,
    pool=GPU_POOL,
    deps=[pruned_weights, species, prompts, clusters, sample_galleries],
    check_specs=check_specs("forms_3d", FORM_CHECKS, growth_partitions),
)
def forms_3d(
    context: dg.AssetExecutionContext, config: Forms3dConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """A solid object per species, grown from its name by score distillation from the tuned weights."""
    from fungal_assets.forms.growing import grow_forms

    pruned, pictured = (
        store.get(name, context.partition_key) for name in ("pruned_weights", "sample_galleries")
    )
    named, worded, grouped = (store.get(name) for name in ("species", "prompts", "clusters"))
    earlier = store.find_whole("forms_3d", context.partition_key)
    settings = config.fill("forms_3d", profile)
    at_most = settings.pop("max_species")
    settings |= {
        "species_names": _settled(
            settings, at_most, pictured.path, earlier, pruned.path, named.path, worded.path
        )
    }
    return keep(
        context,
        store,
        inputs=[pruned, named, worded, grouped, pictured],
        settings=settings,
        build=functools.partial(grow_forms, pruned.path, named.path, worded.path, grouped.path, earlier),
        checks=FORM_CHECKS,
        preview=sheets("forms.webp"),
    )


def _settled(
    settings: Mapping[str, Any], at_most: int, sample_galleries: Path, earlier: Path | None, *paths: Path
) -> list[str]:
    """The species of the output, which decide its fingerprint: those chosen and those that stay."""
    from fungal_assets.forms.planning import plan_growths, settle_species

    others = {"species_names", "processes"}
    with told_plainly():
        growths = plan_growths(*paths, **{name: settings[name] for name in settings.keys() - others})
        return settle_species(
            growths, sample_galleries, earlier, names=settings["species_names"], at_most=at_most
        )


class VideoFields(dg.Config):
    """The settings of videos, whatever their forms are."""

    frames: int | None = Field(
        default=None, ge=8, le=3600, multiple_of=4, description="Frames of one full turn."
    )
    size_px: int | None = Field(
        default=None,
        ge=64,
        le=4096,
        multiple_of=8,
        description="Side of the turntable and shorter side of the other films, pixels; 1080 for full HD. The "
        "pyramid has 2.5 times that, 2160 at most.",
    )
    frames_per_s: int | None = Field(default=None, ge=1, le=120, description="Frame rate, frames per second.")
    formats: list[str] | None = Field(
        default=None,
        description="What is made beside the turntable: pyramid, black (for transparent screens and hologram fans), "
        "vertical (for phones), quilt and quilt_film (for a Looking Glass), group and group_film (a cluster of "
        "individuals).",
    )
    pyramid_screen: str | None = Field(
        default=None, description="Where the screen lies: 'below' the pyramid or 'above' it."
    )
    screen_mm: float | None = Field(
        default=None,
        ge=20,
        le=2000,
        description="Shorter side of that screen, millimetres, for the pyramid's printable template.",
    )
    orientation: str | None = Field(
        default=None, description="Of the film for transparent screens: 'landscape' or 'portrait'."
    )
    display: str | None = Field(
        default=None,
        description="The Looking Glass: portrait, go, 16-landscape, 16-portrait, 32-landscape, 32-portrait or 65.",
    )
    quilt_px: int | None = Field(
        default=None, ge=0, le=8192, description="Most width of a quilt, pixels; 0 for the display's own."
    )
    individuals: int | None = Field(default=None, ge=1, le=40, description="How many stand in a group.")
    seed: int | None = Field(
        default=None, ge=0, description="Seed that every group's own seed is drawn from."
    )


class Videos3dConfig(VideoFields, StageConfig):
    """How the forms are filmed, and for which screens."""


def _playable(source: str, output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.film_checks import check_films

    return check_films(output.path, inputs[source].path)


def video_checks(source: str) -> tuple[Check, ...]:
    """The checks of videos of the forms that the asset `source` keeps."""
    return (
        Check(
            "videos_play",
            "Every video and still decodes, has all of its frames, turns in a closed circle, stands on exact black, "
            "and a quilt has its views in their order.",
            functools.partial(_playable, source),
            blocking=True,
        ),
    )


VIDEO_CHECKS = video_checks("forms_3d")


@dg.asset(
    group_name="forms",
    kinds={"video"},
    code_version="2",
    partitions_def=growth_partitions,
    pool="render",
    deps=[forms_3d],
    check_specs=check_specs("videos_3d", VIDEO_CHECKS, growth_partitions),
)
def videos_3d(
    context: dg.AssetExecutionContext, config: Videos3dConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Every form turning on black as video, for pyramids, clear screens, phones, a Looking Glass; and its group."""
    grown = store.get("forms_3d", context.partition_key)
    return keep_videos(context, store, grown, config.fill("videos_3d", profile), VIDEO_CHECKS)


def keep_videos(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    forms: Output,
    settings: Mapping[str, Any],
    checks: Sequence[Check],
) -> dg.MaterializeResult:
    """Make the running asset's videos of an output of forms; the rest as `keep` does it."""
    from fungal_assets.forms.filming import film_forms

    return keep(
        context,
        store,
        inputs=[forms],
        settings=settings,
        build=functools.partial(film_forms, forms.path),
        checks=checks,
        preview=sheets(animations="*/*.webp"),
    )
