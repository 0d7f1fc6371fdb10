"""Partitions: pictures and weights have a resolution, weights and what grows from them also a method.

Dagster joins the keys of two dimensions sorted by the dimensions' names, so that a key reads `lora|128`.
"""

import dagster as dg

from fungal_assets.profiles import METHODS, RESOLUTIONS

resolution_partitions = dg.StaticPartitionsDefinition(list(RESOLUTIONS))
growth_partitions = dg.MultiPartitionsDefinition(
    {"method": dg.StaticPartitionsDefinition(list(METHODS)), "resolution": resolution_partitions}
)


def growth_key(method: str, resolution: str) -> str:
    """The partition key of one method at one resolution."""
    return str(dg.MultiPartitionKey({"method": method, "resolution": resolution}))


def method_and_resolution(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """The two halves of the running partition's key."""
    method, resolution = context.partition_key.split("|")
    return method, resolution
