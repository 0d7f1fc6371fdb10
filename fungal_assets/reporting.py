"""The figures of the last growth, read from the records in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fungal_assets.errors import InputError
from fungal_assets.growth import NOTE
from fungal_assets.store import Output, Store, output_name


def read_growth(store: Store) -> Mapping[str, Any]:
    """The note of the last growth.

    Raises:
        InputError: Nothing has been grown in this store.
    """
    note = store.read_note(NOTE)
    if note is None:
        raise InputError(
            f"nothing has been grown in {store.root!r} yet. Type: fungal grow --store {store.root}"
        )
    return note


def outputs_of(store: Store, note: Mapping[str, Any]) -> list[Output]:
    """The newest outputs of the assets of a growth, those that exist and were made from one another.

    What an earlier growth made from other inputs is left out: it is none of this growth's figures.
    """
    names = {output_name(asset, partition) for asset, partition in note["outputs"].items()}
    kept: dict[str, Output] = {}
    for asset, partition in note["outputs"].items():
        output = store.find(asset, partition)
        if output is None:
            continue
        inputs = {name: sha256 for name, sha256 in output.record.inputs.items() if name in names}
        if all(name in kept and kept[name].record.content_hash == inputs[name] for name in inputs):
            kept[output.name] = output
    return list(kept.values())


def collect_figures(store: Store) -> dict[str, Any]:
    """One flat dict of the last growth's figures, keys `asset.figure`, and `total.seconds` if it came to its end."""
    note = read_growth(store)
    figures: dict[str, Any] = {}
    for output in outputs_of(store, note):
        asset = output.record.asset
        figures |= {f"{asset}.{name}": value for name, value in output.record.figures.items()}
        figures[f"{asset}.seconds"] = output.record.seconds
    return figures | ({"total.seconds": note["seconds"]} if "seconds" in note else {})


def table_of(figures: Mapping[str, Any]) -> str:
    """The figures as aligned lines, an asset's together."""
    if not figures:
        return ""
    width = max(len(name) for name in figures)
    return "\n".join(f"{name:<{width}}  {_readable(value)}" for name, value in figures.items())


def _readable(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
