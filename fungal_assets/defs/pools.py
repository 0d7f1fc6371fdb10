"""Pools: what only one step at a time may use."""

GPU_POOL = "gpu"
