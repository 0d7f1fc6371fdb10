"""Schedules, off until someone switches them on."""

import dagster as dg

from fungal_assets.defs.jobs import collection
from fungal_assets.defs.resources import ProfileResource


@dg.schedule(
    name="weekly_growth",
    job=collection,
    cron_schedule="0 3 * * 1",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday at three: the collection at the profile's resolution. The sensor `collection_grown` "
    "follows with the growth. What hasn't changed is not made again.",
)
def weekly_growth(context: dg.ScheduleEvaluationContext, profile: ProfileResource) -> dg.RunRequest:
    """One run of `collection` on the profile's resolution."""
    day = context.scheduled_execution_time.strftime("%Y-%m-%d")
    return dg.RunRequest(run_key=day, partition_key=profile.row().resolution)


default_schedules = [weekly_growth]
