"""Solid fungi from words: score distillation into a voxel volume, meshes, turntables.

`growing` and `filming` are the stage functions and `checks` their tests; `volume` is the renderer that all share.
"""
