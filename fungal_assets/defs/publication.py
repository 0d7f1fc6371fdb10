"""Assets of the stage `publication`: what of the dataset and the weights lies on the Hugging Face hub.

Part of no growth: they are materialised on demand only, by `fungal publish` or in the UI, and need a token. Each run
looks at the hub, sends what it lacks and proves the rest. The output is the record of that, one for each commit.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.dataset import captioned_dataset
from fungal_assets.defs.diffusion import pruned_weights
from fungal_assets.defs.galleries import forgetting_report, sample_galleries
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, teller, told_plainly
from fungal_assets.defs.partitions import growth_partitions, resolution_partitions
from fungal_assets.defs.resources import HubResource, ProfileResource, StoreResource
from fungal_assets.store import Figures, Output
from fungal_assets.verdicts import Verdict

if TYPE_CHECKING:
    from fungal_assets.publication.contents import Contents


class PublicationFields(dg.Config):
    """Where it goes, and what may happen there; never a token, which is read from $HF_TOKEN alone."""

    repo_id: str | None = Field(
        default=None, description="Repository on the hub, owner/name; made if there is none."
    )
    branch: str | None = Field(default=None, description="Its branch; made from main if there is none.")
    is_private: bool | None = Field(
        default=None,
        description="Whether the repository is private; what is to be private is never sent to a public one.",
    )
    is_dry_run: bool | None = Field(
        default=None, description="Look at the hub and tell what would be done; change and keep nothing."
    )
    deletes_foreign: bool | None = Field(
        default=None, description="Take away files of the branch that no publication sent."
    )


class PublishedDatasetConfig(PublicationFields, StageConfig):
    """Where the dataset goes."""


class PublishedWeightsConfig(PublicationFields, StageConfig):
    """Where the weights go."""


def _what_lies_there(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.publication.checks import check_what_lies_there

    return check_what_lies_there(output.path, HubResource().open())


def _seen_by_whom_was_asked(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.publication.checks import check_seen_by_whom_was_asked

    return check_seen_by_whom_was_asked(
        output.path, HubResource().open(), is_private=output.record.config["is_private"]
    )


PUBLICATION_CHECKS = (
    Check(
        "what_lies_there_is_what_was_sent",
        "The tag on the hub names every file that was sent, with its size and hash, asked of the hub now.",
        _what_lies_there,
        blocking=True,
    ),
    Check(
        "seen_by_whom_was_asked",
        "What was to be private is private.",
        _seen_by_whom_was_asked,
        blocking=True,
    ),
)


@dg.asset(
    group_name="publication",
    kinds={"huggingface"},
    code_version="1",
    partitions_def=resolution_partitions,
    deps=[captioned_dataset],
    check_specs=check_specs("published_dataset", PUBLICATION_CHECKS, resolution_partitions),
    output_required=False,
)
def published_dataset(
    context: dg.AssetExecutionContext,
    config: PublishedDatasetConfig,
    store: StoreResource,
    profile: ProfileResource,
    hub: HubResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The shards, the card and the attributions on the Hugging Face hub: commit, tag, and what was read back."""
    from fungal_assets.publication.contents import dataset_contents

    settings = config.fill("published_dataset", profile)
    with told_plainly():
        dataset = store.get("captioned_dataset", context.partition_key)
        contents = dataset_contents(dataset, repo_id=settings["repo_id"])
    yield from _publish(context, store, hub, contents, [dataset], settings)


@dg.asset(
    group_name="publication",
    kinds={"huggingface"},
    code_version="1",
    partitions_def=growth_partitions,
    deps=[pruned_weights, sample_galleries, forgetting_report],
    check_specs=check_specs("published_weights", PUBLICATION_CHECKS, growth_partitions),
    output_required=False,
)
def published_weights(
    context: dg.AssetExecutionContext,
    config: PublishedWeightsConfig,
    store: StoreResource,
    profile: ProfileResource,
    hub: HubResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The pipeline, the LoRA files and a model card on the Hugging Face hub; refused where the retention is too low."""
    from fungal_assets.publication.contents import weights_contents

    settings = config.fill("published_weights", profile)
    with told_plainly():
        inputs = [
            store.get(name, context.partition_key)
            for name in ("pruned_weights", "sample_galleries", "forgetting_report")
        ]
        contents = weights_contents(*inputs, repo_id=settings["repo_id"])
    yield from _publish(context, store, hub, contents, inputs, settings)


def _publish(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    hub: HubResource,
    contents: "Contents",
    inputs: list[Output],
    settings: dict[str, Any],
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Push, and keep the record of it; of a dry run nothing is kept, and the checks say so."""
    from fungal_assets.publication.publishing import publish
    from fungal_assets.publication.record import PUBLICATION

    with told_plainly():
        publication = publish(contents, hub.open(teller(context)), tell=teller(context), **settings)
    if settings["is_dry_run"]:
        yield from (
            dg.AssetCheckResult(
                check_name=check.name,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description="A dry run: nothing was sent, so there is nothing to check.",
            )
            for check in PUBLICATION_CHECKS
        )
        return

    def build(folder: Path, **_: Any) -> Figures:
        (folder / PUBLICATION).write_text(publication.to_json(), encoding="utf-8")
        return publication.figures()

    yield keep(
        context,
        store,
        inputs=inputs,
        settings=settings,
        sources={"revision": publication.revision},
        build=build,
        checks=PUBLICATION_CHECKS,
        preview=lambda _: {"publication": publication.page()},
    )
