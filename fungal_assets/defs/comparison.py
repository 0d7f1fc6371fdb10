"""The asset `weights_comparison`: all tuned weights of a resolution beside each other, from the reports on them.

It reads whatever reports the store has on this machine, of any method and of earlier growths too, and names each output
that it read by its hash, so that the same reports give the same comparison.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from fungal_assets.defs.diffusion import kept_by_hash
from fungal_assets.defs.galleries import REPORT_CODE_VERSION, forgetting_report, species_report
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep
from fungal_assets.defs.partitions import growth_key, resolution_partitions
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.profiles import METHODS
from fungal_assets.store import Output, mismatches, output_name
from fungal_assets.verdicts import Verdict

Family = dict[str, Output]
"""A forgetting report and the outputs that it is of, by asset, and the species report on its gallery, if any."""


class WeightsComparisonConfig(StageConfig):
    """What is shown."""

    most_models: int | None = Field(
        default=None, ge=1, le=12, description="How many tuned models are shown with pictures."
    )


def _told_by_hash(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.exhibition.comparison_checks import check_told_by_hash

    return check_told_by_hash(output.path)


def _asked_alike(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.exhibition.comparison_checks import check_asked_alike

    return check_asked_alike(output.path)


COMPARISON_CHECKS = (
    Check(
        "told_by_hash",
        "Every model is told by the hash of its weights, none twice, and stands on the page.",
        _told_by_hash,
        blocking=True,
    ),
    Check("asked_alike", "All models were asked the same, so that their shares compare.", _asked_alike),
)


@dg.asset(
    group_name="galleries",
    kinds={"html", "json"},
    code_version="1",
    partitions_def=resolution_partitions,
    deps=[forgetting_report, species_report],
    check_specs=check_specs("weights_comparison", COMPARISON_CHECKS, resolution_partitions),
)
def weights_comparison(
    context: dg.AssetExecutionContext,
    config: WeightsComparisonConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """The base model and all weights tuned from it at a resolution: what each keeps and how it draws the species."""
    from fungal_assets.exhibition.comparison import compare_weights
    from fungal_assets.galleries.comparing import Compared

    families = [
        family for method in METHODS for family in _families(store, growth_key(method, context.partition_key))
    ]
    models = [
        Compared(
            partition=str(family["forgetting_report"].record.partition),
            tuned_sha256=family["fine_tuned_weights"].record.content_hash,
            settings=family["fine_tuned_weights"].record.config,
            **{name: family[name].path for name in GENERATIONS},
            species_report=family["species_report"].path if "species_report" in family else None,
        )
        for family in families
    ]
    read = [output for family in families for output in family.values()]
    return keep(
        context,
        store,
        inputs=[],
        settings=config.fill("weights_comparison", profile),
        sources={f"{each.name}/{each.record.fingerprint}": each.record.content_hash for each in read},
        licences={licence for each in read for licence in each.record.licences},
        build=lambda folder, **settings: compare_weights(models, folder, **settings),
        checks=COMPARISON_CHECKS,
        preview=sheets("beside.webp", "places.png"),
    )


GENERATIONS = ("forgetting_report", "sample_galleries", "pruned_weights", "fine_tuned_weights")


def _families(store: StoreResource, key: str) -> Iterator[Family]:
    """Every report of a partition that is whole, of the present kind, and whose ancestors are all on this machine."""
    kept = store.open()
    kept.find("forgetting_report", key)
    for report in kept.kept_here("forgetting_report", key):
        family = _family(store, report, key)
        if report.record.code_version == REPORT_CODE_VERSION and family and not _is_damaged(family):
            yield family


def _family(store: StoreResource, report: Output, key: str) -> Family | None:
    family = {"forgetting_report": report}
    for child, asset in zip(GENERATIONS, GENERATIONS[1:], strict=False):
        sha256 = family[child].record.inputs.get(output_name(asset, key), "")
        found = kept_by_hash(store, asset, key, sha256)
        if found is None:
            return None
        family[asset] = found
    gallery = family["sample_galleries"]
    for species in store.open().kept_here("species_report", key):
        if species.record.inputs.get(gallery.name) == gallery.record.content_hash:
            return family | {"species_report": species}
    return family


def _is_damaged(family: Family) -> bool:
    return any(mismatches(output) for output in family.values())
