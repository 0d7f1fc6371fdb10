"""Grow new species of fungi, as pictures and as solid objects, from a folder of photographs.

The pure stages live in the packages named after them and know nothing of Dagster; `defs` and `definitions` are the
Dagster layer over them; `cli` is the command `fungal` over the Dagster jobs.
"""

__version__ = "0.1.0"
