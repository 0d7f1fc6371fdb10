"""All definitions of the code location, assembled and nothing else."""

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Assets with their checks, jobs, schedules, sensors, resources and the executor."""
    from fungal_assets.defs.building import build_definitions

    return build_definitions()
