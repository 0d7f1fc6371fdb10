"""Schedules, off until someone switches them on."""

import dagster as dg

from fungal_assets.defs.jobs import collection
from fungal_assets.defs.resources import ProfileResource, StoreResource, source_config, source_in_force


@dg.schedule(
    name="weekly_growth",
    job=collection,
    cron_schedule="0 3 * * 1",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday at three: the collection at the profile's resolution, from $FUNGAL_SOURCE, else from the "
    "source of the last growth; a search or a dataset of the hub is asked anew, and only pictures that are new are "
    "looked at. Switch the sensor `collection_grown` on too: it follows with the growth. What hasn't "
    "changed is not made again.",
)
def weekly_growth(
    context: dg.ScheduleEvaluationContext, profile: ProfileResource, store: StoreResource
) -> dg.RunRequest:
    """One run of `collection` on the profile's resolution."""
    day = context.scheduled_execution_time.strftime("%Y-%m-%d")
    config = source_config(source_in_force(profile, store))
    return dg.RunRequest(run_key=day, partition_key=profile.row().resolution, run_config=config)


default_schedules = [weekly_growth]
