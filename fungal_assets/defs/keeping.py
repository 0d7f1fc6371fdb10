"""How every asset is kept: settings filled from the profile, work skipped or done in the store, checks run, told.

An asset body says what it reads, which pure function fills the folder, and what to show; the rest is here, once.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import ConfigDict

from fungal_assets import compute
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.errors import FungalError
from fungal_assets.progress import Tell
from fungal_assets.store import Figures, Output
from fungal_assets.verdicts import Verdict, judged

Preview = Callable[[Path], Mapping[str, str]]
Inputs = Mapping[str, Output]


class StageConfig(dg.Config):
    """Base of the assets' settings: a field left empty takes the profile's value, a misspelt one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def fill(self, asset: str, profile: ProfileResource, method: str | None = None) -> dict[str, Any]:
        """All settings of the asset, the profile's values (for a method, its own) where a field was left empty."""
        return profile.row().fill(asset, self.model_dump(), method)


def config_of(asset: str) -> type[StageConfig]:
    """The class of an asset's settings, which has the asset's name; the definitions must be loaded."""
    name = "".join(word.capitalize() for word in asset.split("_")) + "Config"
    return next(kind for kind in StageConfig.__subclasses__() if kind.__name__ == name)


@dataclass(frozen=True)
class Check:
    """One test of the art on one asset.

    Args:
        name: The true statement, in snake_case.
        says: What it holds against, in a sentence.
        verify: Gets the output and its inputs by asset name; gives the verdict.
        blocking: Whether a failure stops what follows.
        is_severe: Whether a failure is an error where it doesn't stop anything; else it is a warning.
    """

    name: str
    says: str
    verify: Callable[[Output, Inputs], Verdict]
    blocking: bool = False
    is_severe: bool = False

    def spec(self, asset: str, partitions: dg.PartitionsDefinition | None = None) -> dg.AssetCheckSpec:
        """The check as Dagster knows it."""
        return dg.AssetCheckSpec(
            self.name, asset=asset, description=self.says, blocking=self.blocking, partitions_def=partitions
        )

    def verdict(self, output: Output, inputs: Inputs) -> Verdict:
        """What the check finds; of an output that cannot be read, that."""
        return judged(lambda: self.verify(output, inputs))

    def run(self, output: Output, inputs: Inputs) -> dg.AssetCheckResult:
        """The check's result on an output."""
        verdict = self.verdict(output, inputs)
        severity = (
            dg.AssetCheckSeverity.ERROR if self.blocking or self.is_severe else dg.AssetCheckSeverity.WARN
        )
        return dg.AssetCheckResult(
            check_name=self.name,
            passed=bool(verdict.passed),
            severity=severity,
            description=verdict.finding,
            metadata={key: _metadata(value) for key, value in verdict.figures.items()},
        )


def check_specs(
    asset: str, checks: Iterable[Check], partitions: dg.PartitionsDefinition | None = None
) -> list[dg.AssetCheckSpec]:
    """The specs of all checks of an asset."""
    return [check.spec(asset, partitions) for check in checks]


def keep(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    *,
    inputs: Sequence[Output],
    settings: Mapping[str, Any],
    build: Callable[..., Figures],
    checks: Sequence[Check],
    preview: Preview,
    licences: Iterable[str] = (),
    sources: Mapping[str, str] | None = None,
) -> dg.MaterializeResult:
    """Make the running asset's output, or find that it is there; check it and tell what it is.

    Args:
        context: The running step.
        store: Where outputs are kept.
        inputs: What it reads.
        settings: Its settings, all of which reach `build` as keyword arguments.
        build: Fills a folder: `build(folder, tell=..., **settings)`; returns the figures.
        checks: The asset's checks.
        preview: Markdown pictures of a complete folder, by name.
        licences: Of what comes in beside the inputs.
        sources: Hashes of what comes in from outside the store.
    """
    compute.end_with_parent()
    asset, partition = context.asset_key.to_user_string(), own_partition(context)
    with told_plainly():
        making = store.open().make(
            asset,
            partition,
            inputs=inputs,
            config=settings,
            code_version=context.assets_def.code_versions_by_key[context.asset_key] or "0",
            build=functools.partial(build, tell=teller(context), **settings),
            licences=licences,
            sources=sources,
        )
    output = making.output
    context.log.info(
        f"{output.name}: {'unchanged, nothing to do' if making.was_complete else 'made'} ({output.path})"
    )
    by_name = {item.record.asset: item for item in inputs}
    return dg.MaterializeResult(
        metadata=_all_metadata(output, making.was_complete, preview),
        check_results=[check.run(output, by_name) for check in checks],
        data_version=dg.DataVersion(output.record.content_hash),
    )


def own_partition(context: dg.AssetExecutionContext) -> str | None:
    """The asset's partition key; None for an unpartitioned asset, also in a run that has a partition."""
    return context.partition_key if context.assets_def.partitions_def is not None else None


def teller(context: dg.AssetExecutionContext) -> Tell:
    """Progress lines into the step's log."""
    return context.log.info


class told_plainly:  # noqa: N801 - reads as a phrase in a with statement
    """Turns an error that a user can mend into a Dagster failure without retries, its message first."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FungalError):
            raise dg.Failure(description=str(error), allow_retries=False) from error


def _all_metadata(output: Output, was_complete: bool, preview: Preview) -> dict[str, dg.MetadataValue]:
    record = output.record
    told: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.md(text) for name, text in preview(output.path).items()
    }
    told |= {name: _metadata(value) for name, value in record.figures.items()}
    told["path"] = dg.MetadataValue.path(str(output.path))
    told["seconds"] = dg.MetadataValue.float(record.seconds)
    told["size_mb"] = dg.MetadataValue.float(round(sum(f["bytes"] for f in record.files.values()) / 1e6, 3))
    told["provenance"] = dg.MetadataValue.json(
        {
            "fingerprint": record.fingerprint,
            "inputs": record.inputs,
            "config": record.config,
            "licences": record.licences,
        }
    )
    told["unchanged"] = dg.MetadataValue.bool(was_complete)
    return told


def _metadata(value: Any) -> dg.MetadataValue:
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value)
    text = str(value)
    return dg.MetadataValue.url(text) if text.startswith("https://") else dg.MetadataValue.text(text)
