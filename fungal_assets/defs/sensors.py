"""Sensors, off until someone switches them on: new pictures start a collection, a collection starts a growth."""

from pathlib import Path

import dagster as dg

from fungal_assets.defs.jobs import collection, growth
from fungal_assets.defs.partitions import growth_key
from fungal_assets.defs.resources import ProfileResource, StoreResource, source_config, source_in_force


@dg.sensor(
    name="new_raw_images",
    job=collection,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Watches the folder $FUNGAL_SOURCE, else the source of the last growth: when its files change, the "
    "collection is made again from it, and only files that are new are looked at. A search or a dataset of the hub is "
    "asked by the schedule `weekly_growth`.",
)
def new_raw_images(
    context: dg.SensorEvaluationContext, profile: ProfileResource, store: StoreResource
) -> dg.RunRequest | dg.SkipReason:
    """A run of `collection` for each state of the source folder."""
    from fungal_assets.collection.sources import is_elsewhere

    source = source_in_force(profile, store)
    if is_elsewhere(source):
        return dg.SkipReason(
            f"the source {source!r} is asked by the schedule weekly_growth: switch that on, or set FUNGAL_SOURCE to a "
            "folder to watch."
        )
    if not Path(source).exists():
        return dg.SkipReason(
            f"the source {source!r} is no folder or file; set FUNGAL_SOURCE to the folder to watch."
        )
    state = _state_of(Path(source))
    if state == context.cursor:
        return dg.SkipReason(f"nothing has changed in {source!r}.")
    context.update_cursor(state)
    return dg.RunRequest(
        run_key=f"{source}:{state}",
        partition_key=profile.row().resolution,
        run_config=source_config(source),
    )


def _state_of(source: Path) -> str:
    """A cheap hash of the names, sizes and times of all files below a folder, or of one file."""
    import hashlib

    paths = source.rglob("*") if source.is_dir() else [source]
    entries = sorted(
        (path.relative_to(source).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in paths
        if path.is_file()
    )
    return hashlib.sha256(repr(entries).encode()).hexdigest()[:16]


@dg.run_status_sensor(
    name="collection_grown",
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[collection],
    request_job=growth,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="When a collection is complete, grows from it by the profile's method.",
)
def collection_grown(context: dg.RunStatusSensorContext, profile: ProfileResource) -> dg.RunRequest:
    """A run of `growth` on the resolution of the collection that has finished."""
    row = profile.row()
    resolution = context.dagster_run.tags.get("dagster/partition", row.resolution)
    return dg.RunRequest(run_key=context.dagster_run.run_id, partition_key=growth_key(row.method, resolution))


default_sensors = [new_raw_images, collection_grown]
