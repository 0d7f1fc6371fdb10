"""Jobs from the command line: what to materialise, with which config, and the note that a growth leaves in the store.

Belongs here: turning the options of `fungal grow`, `atlas`, `compare` and `publish` into job runs. What the options
are called is in `cli`, how a job runs is in `defs.running`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fungal_assets.errors import InputError
from fungal_assets.profiles import METHODS, METHODS_OF_NAMES, RESOLUTIONS, Profile, get_profile
from fungal_assets.progress import Tell
from fungal_assets.store import Output, Store

NOTE = "growth.json"
_OWN_OPTIONS = {"raw_images.source": "--source", "forms_3d.species_names": "--species"}
_MAY_NAME_THE_HUB = frozenset({"base_model", "captioner", "extractor", "judge"})
PUBLISHED = {"dataset": "captioned_dataset", "weights": "pruned_weights"}
"""The asset behind each publication."""
INSTANCE_SETTINGS = Path(__file__).with_name("dagster.yaml")


@dataclass(frozen=True)
class Growth:
    """What one growth is asked for.

    Args:
        profile: Row of the preset table.
        store: Folder or URL of the artefact store.
        source: Address of the pictures, or None for the profile's.
        resolution: Partition, or None for the profile's.
        method: Fine-tuning method, or None for the profile's.
        species: Common names of the species to grow in 3D; none for the profile's choice.
        until: The last asset wanted, or None for all.
        settings: Values by asset and field that take the place of the profile's.
        branches: Groups of assets beside the road that are grown after it.
    """

    profile: Profile
    store: str
    source: str | None = None
    resolution: str | None = None
    method: str | None = None
    species: Sequence[str] = ()
    until: str | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    branches: Sequence[str] = ()

    @property
    def partitions(self) -> tuple[str, ...]:
        """Partition keys of the jobs `collection` and `growth`, and of each branch."""
        resolution = _one_of("resolution", self.resolution or self.profile.resolution, RESOLUTIONS)
        method = _one_of("method", self.method or self.profile.method, METHODS)
        return resolution, f"{method}|{resolution}", *(resolution for _ in self.branches)

    @property
    def is_rehearsing(self) -> bool:
        """Whether its training is held to what the base model knows."""
        method = self.method or self.profile.method
        given = {"rehearsal_share": self.settings.get("fine_tuned_weights", {}).get("rehearsal_share")}
        share = self.profile.fill("fine_tuned_weights", given, method)["rehearsal_share"]
        return share > 0 and method not in METHODS_OF_NAMES

    @property
    def is_offline(self) -> bool:
        """Whether it asks nothing of the hub: its profile needs no network, and no option may name what lies there."""
        from fungal_assets.collection.sources import HUB

        named = {name for fields in self.settings.values() for name in fields}
        asks_hub = (self.source or "").startswith(HUB) or bool(named & _MAY_NAME_THE_HUB)
        return self.profile.network == "none" and not asks_hub

    def run_config(self, assets: Sequence[str]) -> dict[str, Any]:
        """Dagster run config: resources, and the settings that the options change."""
        changed = {asset: dict(fields) for asset, fields in self.settings.items()}
        if self.source:
            changed.setdefault("raw_images", {})["source"] = self.source
        if self.species:
            changed.setdefault("forms_3d", {})["species_names"] = list(self.species)
        resources = {
            "store": {"config": {"root": self.store}},
            "profile": {"config": {"name": self.profile.name}},
        }
        ops = {asset: {"config": config} for asset, config in changed.items() if asset in assets}
        return {"resources": resources, "ops": ops}


def _one_of(what: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise InputError(f"{what} {value!r} is not known; it is one of {', '.join(allowed)}.")
    return value


def plan_growth(
    *,
    profile: str,
    store: str,
    source: str | None,
    resolution: str | None,
    method: str | None,
    species: Sequence[str],
    until: str | None,
    settings: Sequence[str] = (),
    branches: Sequence[str] = (),
) -> Growth:
    """The growth that the options ask for, paths made absolute and options checked.

    `settings` are of the kind "forms_3d.iterations=400".

    Raises:
        InputError: An option names something that does not exist.
    """
    if source:
        from fungal_assets.collection.sources import make_absolute

        source = make_absolute(source)
    row = get_profile(profile)
    changed = parse_settings(settings, row)
    beside = tuple(dict.fromkeys(branches))
    growth = Growth(
        row, Store(store).root, source, resolution, method, tuple(species), until, changed, beside
    )
    _ = growth.partitions
    return growth


def parse_settings(texts: Sequence[str], profile: Profile) -> dict[str, dict[str, Any]]:
    """Values by asset and field from texts such as "forms_3d.iterations=400"; the value is read as YAML.

    Raises:
        InputError: A text is not of that kind, or the profile has no such asset or field.
    """
    changed: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, has_value, value = text.partition("=")
        asset, _, key = name.partition(".")
        if not has_value:
            raise InputError(
                f"setting {text!r} has no value; write ASSET.FIELD=VALUE, as clusters.max_clusters=20."
            )
        if asset not in profile.settings:
            raise InputError(
                f"setting {text!r}: assets with settings are {', '.join(sorted(profile.settings))}."
            )
        if key not in profile.settings[asset]:
            fields = ", ".join(sorted(profile.settings[asset]))
            raise InputError(f"setting {text!r}: the settings of {asset} are {fields}.")
        if text_option := _OWN_OPTIONS.get(f"{asset}.{key}"):
            raise InputError(f"setting {text!r}: this one has an option of its own, {text_option}.")
        changed.setdefault(asset, {})[key] = _parse_value(text, value, profile.settings[asset][key])
    return changed


def _parse_value(text: str, value: str, example: Any) -> Any:
    """The value as YAML; as it stands where the profile's is a text, and 1e-4 as a number where its is one."""
    import yaml

    if isinstance(example, str):
        return value
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"setting {text!r}: {value!r} is no YAML value ({error}).") from error
    if isinstance(example, float) and isinstance(parsed, str | int):
        try:
            return float(parsed)
        except ValueError as error:
            raise InputError(f"setting {text!r}: a number such as {example} was expected.") from error
    return parsed


def prepare_environment(growth_store: str, profile: Profile, home: Path, *, is_offline: bool = False) -> None:
    """Set what the processes of the steps read, and make the Dagster home.

    Offline nothing reaches for the Hugging Face hub, not even by an oversight. Threads that wait for each other sleep
    and do not spin: beside other work on the same cores, spinning threads keep those from running that they wait for
    (`benchmarks/waiting.py`).
    """
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copy(INSTANCE_SETTINGS, home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home.absolute())
    os.environ["FUNGAL_STORE"], os.environ["FUNGAL_PROFILE"] = growth_store, profile.name
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if is_offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def grow(growth: Growth, *, tell: Tell) -> dict[str, Any]:
    """Run the jobs of a growth and leave its note in the store; returns the note.

    The note is there from the start, so that a growth that failed or was killed can be reported and audited.

    Raises:
        InputError: A species to grow is none of the collection's, or a setting has a value that it can't have.
        RunFailedError: A step failed; what was finished is kept.
    """
    from fungal_assets.defs.running import check_settings, run_job

    start_s, store = time.monotonic(), Store(growth.store)
    jobs = select_assets(growth.until, is_rehearsing=growth.is_rehearsing, branches=growth.branches)
    left_out = sorted(growth.settings.keys() - {asset for assets in jobs.values() for asset in assets})
    if left_out:
        faults = [f"settings of {asset} change nothing: {_why_left_out(asset, growth)}" for asset in left_out]
        raise InputError(f"{'; '.join(faults)}.")
    check_settings(growth.settings)
    note: dict[str, Any] = {
        "profile": growth.profile.name,
        "source": growth.source,
        "outputs": partitions_of(jobs, growth.partitions),
    }
    store.write_note(NOTE, note)
    for (job, assets), partition in zip(jobs.items(), growth.partitions, strict=True):
        if assets:
            if "forms_3d" in assets:
                _refuse_unknown_species(growth.species, store)
            key = partition if any(note["outputs"][asset] for asset in assets) else None
            tell(f"{job} on {key}" if key else job)
            run_job(job, key, run_config=growth.run_config(assets), assets=assets, tell=tell)
    note |= {"seconds": round(time.monotonic() - start_s, 1)}
    store.write_note(NOTE, note)
    return note


def publish_output(
    what: str, partition: str | None, settings: Mapping[str, Any], *, store: str, home: Path, tell: Tell
) -> Output | None:
    """Run the job that publishes the dataset or the weights; returns the record's output, None of a dry run.

    Args:
        what: `"dataset"` or `"weights"`.
        partition: The partition to publish; None for the last growth's, else the newest.
        settings: Values by field of the publication's config.
        store: Folder or URL of the artefact store.
        home: The Dagster home.
        tell: Progress.

    Raises:
        PublicationError: There is no token.
        RunFailedError: The push failed; what is uploaded stays there.
    """
    from fungal_assets.publication.tokens import read_token

    read_token()
    kept, asset = Store(store), f"published_{what}"
    partition = _run_beside(
        f"{what}_publication", PUBLISHED[what], partition, {asset: settings}, kept, home, tell
    )
    return None if settings["is_dry_run"] else kept.get(asset, partition)


def draw_atlas(
    partition: str | None, settings: Sequence[str], *, store: str, home: Path, tell: Tell
) -> Output:
    """Run the job that draws the resolution atlas of the pruned weights; returns it.

    Args:
        partition: The weights' partition; None for the last growth's, else the newest.
        settings: Of the kind "pictures=16", in place of the profile's of the last growth.
        store: Folder or URL of the artefact store.
        home: The Dagster home.
        tell: Progress.

    Raises:
        InputError: There is no such setting.
        RunFailedError: It failed.
    """
    kept, asset = Store(store), "resolution_atlas"
    values = _values_of(asset, settings, kept)
    partition = _run_beside("atlas", "pruned_weights", partition, {asset: values}, kept, home, tell)
    return kept.get(asset, partition)


def compare_weights(
    resolution: str | None, settings: Sequence[str], *, store: str, home: Path, tell: Tell
) -> Output:
    """Run the job that puts all tuned weights of a resolution beside each other; returns the comparison.

    Args:
        resolution: Which; None for the last growth's, else that of the newest report.
        settings: Of the kind "most_models=3".
        store: Folder or URL of the artefact store.
        home: The Dagster home.
        tell: Progress.

    Raises:
        InputError: There is no such setting.
        ProvenanceError: There is no report.
        RunFailedError: It failed.
    """
    from fungal_assets.defs.running import check_settings

    kept, source, asset = Store(store), "forgetting_report", "weights_comparison"
    values = _values_of(asset, settings, kept)
    check_settings({asset: values})
    if resolution is None:
        resolution = str(kept.get(source, _last_partition(source, kept)).record.partition).split("|")[1]
    _run_job_beside("comparison", resolution, {asset: values}, kept, home, tell)
    return kept.get(asset, resolution)


def _last_profile(store: Store) -> Profile:
    return get_profile((store.read_note(NOTE) or {}).get("profile", "pocket"))


def _last_partition(asset: str, store: Store) -> str | None:
    """The partition of the last growth's output of an asset, else of the newest."""
    outputs = (store.read_note(NOTE) or {}).get("outputs", {})
    return outputs.get(asset) or store.newest_partition(asset)


def _values_of(asset: str, settings: Sequence[str], store: Store) -> dict[str, Any]:
    """Values by field from texts such as "pictures=16"."""
    return parse_settings([f"{asset}.{text}" for text in settings], _last_profile(store)).get(asset, {})


def _run_beside(
    job: str,
    source: str,
    partition: str | None,
    settings: Mapping[str, Mapping[str, Any]],
    store: Store,
    home: Path,
    tell: Tell,
) -> str:
    """Run a job beside the growths, of the assets that `settings` names, which grow from `source`.

    Returns the partition: the one given, else the last growth's, else the newest of `source`.
    """
    from fungal_assets.defs.running import check_settings

    check_settings(settings)
    partition = partition or _last_partition(source, store)
    store.get(source, partition)
    _run_job_beside(job, str(partition), settings, store, home, tell)
    return str(partition)


def _run_job_beside(
    job: str, partition: str, settings: Mapping[str, Mapping[str, Any]], store: Store, home: Path, tell: Tell
) -> None:
    from fungal_assets.defs.running import run_job

    assets, growth = list(settings), Growth(_last_profile(store), store.root, settings=settings)
    prepare_environment(store.root, growth.profile, home)
    tell(f"{', '.join(assets)} of {partition}")
    run_job(job, partition, run_config=growth.run_config(assets), assets=assets, tell=tell)


def _refuse_unknown_species(names: Sequence[str], store: Store) -> None:
    """Find out that a name is misspelt before hours of training, not after."""
    from fungal_assets.forms.planning import find_named, read_species

    if names:
        find_named(read_species(store.get("species").path), names)


def _why_left_out(asset: str, growth: Growth) -> str:
    """Why an asset has no part in a growth."""
    from fungal_assets.defs.jobs import ATLAS_ASSETS, BRANCHES, COMPARISON_ASSETS, PUBLICATION_ASSETS

    for branch in BRANCHES:
        if asset in assets_of(branch):
            return f"it is grown with --with {branch} only"
    if asset in ATLAS_ASSETS:
        return "fungal atlas draws it and takes --set FIELD=VALUE"
    if asset in COMPARISON_ASSETS:
        return "fungal compare makes it and takes --set FIELD=VALUE"
    if asset in PUBLICATION_ASSETS:
        return "fungal publish keeps it"
    if asset == "rehearsal" and not growth.is_rehearsing:
        return "this growth rehearses nothing, by its method or by fine_tuned_weights.rehearsal_share"
    return f"--until {growth.until} comes before"


def select_assets(
    until: str | None, *, is_rehearsing: bool = True, branches: Sequence[str] = ()
) -> dict[str, list[str]]:
    """The assets of each job, in the jobs' order; on the road up to and with `until` where it is given.

    Without rehearsing there is no `rehearsal`, unless it is the very asset that is wanted.

    Raises:
        InputError: There is no such asset.
    """
    import dagster as dg

    from fungal_assets.definitions import defs
    from fungal_assets.defs.jobs import COLLECTION_ASSETS, GROWTH_ASSETS

    wanted = {*COLLECTION_ASSETS, *GROWTH_ASSETS}
    if until is not None:
        if until not in wanted:
            raise InputError(f"asset {until!r} is not known; the assets are {', '.join(sorted(wanted))}.")
        upstream = dg.AssetSelection.assets(until).upstream()
        wanted = {key.to_user_string() for key in upstream.resolve(defs().resolve_asset_graph())}
    if not is_rehearsing and until != "rehearsal":
        wanted -= {"rehearsal"}
    return {
        "collection": [asset for asset in COLLECTION_ASSETS if asset in wanted],
        "growth": [asset for asset in GROWTH_ASSETS if asset in wanted],
        **{branch: assets_of(branch) for branch in branches},
    }


def assets_of(group: str) -> list[str]:
    """The assets of a group, each after those of them that it grows from."""
    import dagster as dg

    from fungal_assets.definitions import defs

    graph = defs().resolve_asset_graph()
    chosen = dg.AssetSelection.groups(group).resolve(graph)
    return [key.to_user_string() for key in graph.toposorted_asset_keys if key in chosen]


def partitions_of(jobs: Mapping[str, Sequence[str]], keys: Sequence[str]) -> dict[str, str | None]:
    """The partition key under which each asset of the jobs is kept; None where it has no partitions.

    Args:
        jobs: Assets by job, as `select_assets` gives them.
        keys: Partition key of each job.
    """
    import dagster as dg

    from fungal_assets.definitions import defs

    graph = defs().resolve_asset_graph()
    return {
        asset: key if graph.get(dg.AssetKey(asset)).is_partitioned else None
        for assets, key in zip(jobs.values(), keys, strict=True)
        for asset in assets
    }
