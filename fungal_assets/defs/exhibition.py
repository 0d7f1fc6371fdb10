"""Asset of the stage `exhibition`: the field guide."""

import functools

import dagster as dg
from pydantic import Field

from fungal_assets.defs.atlas import resolution_atlas
from fungal_assets.defs.comparison import weights_comparison
from fungal_assets.defs.diffusion import ancestor_of, fine_tuned_weights
from fungal_assets.defs.forms import forms_3d, videos_3d
from fungal_assets.defs.galleries import forgetting_report, sample_galleries, species_report
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep
from fungal_assets.defs.meshes import meshes
from fungal_assets.defs.morphology import clusters
from fungal_assets.defs.nomenclature import captions, prompts, species
from fungal_assets.defs.partitions import growth_partitions, method_and_resolution
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Output, mismatches, output_name
from fungal_assets.verdicts import Verdict

WHOLE = ("species", "clusters", "captions", "prompts")
GROWN = ("sample_galleries", "forgetting_report", "species_report", "forms_3d", "meshes", "videos_3d")
ASKED_FOR = ("resolution_atlas", "weights_comparison")
"""Made only if asked for; the guide shows what there is of the weights that it is of."""


class FieldGuideConfig(StageConfig):
    """What the guide is called."""

    title: str | None = Field(default=None, description="Title of the guide.")


def _links_resolve(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.exhibition.checks import check_links_resolve

    return check_links_resolve(output.path)


def _every_species_has_a_page(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.exhibition.checks import check_every_species_has_a_page

    return check_every_species_has_a_page(output.path, inputs["species"].path)


def _asks_nobody(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.exhibition.checks import check_asks_no_other_host

    return check_asks_no_other_host(output.path)


GUIDE_CHECKS = (
    Check("links_resolve", "Every link and picture of every page is there.", _links_resolve, blocking=True),
    Check(
        "every_species_has_a_page", "Every species has its page.", _every_species_has_a_page, blocking=True
    ),
    Check("asks_no_other_host", "The pages work offline and ask no other host.", _asks_nobody, blocking=True),
)


@dg.asset(
    group_name="exhibition",
    kinds={"html"},
    code_version="7",
    partitions_def=growth_partitions,
    deps=[
        species,
        clusters,
        captions,
        prompts,
        sample_galleries,
        forgetting_report,
        species_report,
        forms_3d,
        meshes,
        videos_3d,
        fine_tuned_weights,
        resolution_atlas,
        weights_comparison,
    ],
    check_specs=check_specs("field_guide", GUIDE_CHECKS, growth_partitions),
)
def field_guide(
    context: dg.AssetExecutionContext,
    config: FieldGuideConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """A static site of the growth: a page per species, both reports, the model, and what came from what."""
    from fungal_assets.exhibition.field_guide import build_field_guide

    key = context.partition_key
    whole, grown = [store.get(name) for name in WHOLE], [store.get(name, key) for name in GROWN]
    tuned = ancestor_of(store, grown[GROWN.index("forgetting_report")], "fine_tuned_weights", key)
    painted = grown[GROWN.index("sample_galleries")].record.inputs[output_name("pruned_weights", key)]
    places = dict(zip(ASKED_FOR, (key, method_and_resolution(context)[1]), strict=True))
    found = {asset: _newest_of_weights(store, asset, place, painted) for asset, place in places.items()}
    shown = {asset: output for asset, output in found.items() if output}
    inputs = [*whole, *grown, tuned]
    build = functools.partial(build_field_guide, *(each.path for each in inputs))
    return keep(
        context,
        store,
        inputs=[*inputs, *shown.values()],
        settings=config.fill("field_guide", profile),
        build=functools.partial(build, **{asset: output.path for asset, output in shown.items()}),
        checks=GUIDE_CHECKS,
        preview=sheets("media/*poster*.webp"),
    )


def _newest_of_weights(store: StoreResource, asset: str, partition: str, sha256: str) -> Output | None:
    """The newest whole output of an asset that tells of certain pruned weights, if any; it need not be the newest."""
    kept = store.open()
    kept.find(asset, partition)
    return next(
        (
            output
            for output in kept.kept_here(asset, partition)
            if sha256 in output.record.inputs.values() and not mismatches(output)
        ),
        None,
    )
