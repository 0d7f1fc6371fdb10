"""What is missing on this machine, and the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fungal_assets.pocket import MODEL_DIR, SPECIMENS_DIR

LIBRARIES = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "onnxruntime",
    "sklearn",
    "skimage",
    "av",
    "dagster",
)
MIN_FREE_GB = 2.0
MIN_MEMORY_GB = 4.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        what: The thing.
        is_well: Whether it is as it should be.
        found: What was found.
        remedy: The command or act that mends it; empty where all is well.
    """

    what: str
    is_well: bool
    found: str
    remedy: str = ""


def examine(store: str) -> list[Finding]:
    """Look at the machine, the installation and the store."""
    looks: list[Callable[[], Finding]] = [_python, *(_library(name) for name in LIBRARIES)]
    looks += [_torchvision, _memory, lambda: _disk(store), lambda: _store(store), _model, _specimens, _device]
    return [look() for look in looks]


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), found, "install Python 3.11 or newer")


def _library(name: str) -> Callable[[], Finding]:
    def look() -> Finding:
        is_there = importlib.util.find_spec(name) is not None
        return Finding(
            name, is_there, "installed" if is_there else "missing", "pip install -c constraints.txt -e ."
        )

    return look


def _torchvision() -> Finding:
    is_there = importlib.util.find_spec("torchvision") is not None
    found = "installed, though nothing here needs it" if is_there else "not installed, as it should be"
    return Finding("torchvision", True, found)


def _memory() -> Finding:
    import psutil

    total_gb = psutil.virtual_memory().total / 1e9
    return Finding(
        "memory", total_gb >= MIN_MEMORY_GB, f"{total_gb:.1f} GB", f"a machine with {MIN_MEMORY_GB:.0f} GB"
    )


def _disk(store: str) -> Finding:
    if "://" in store:
        return Finding("disk", True, "the store is remote")
    place = Path(store).absolute()
    while not place.exists():
        place = place.parent
    free_gb = shutil.disk_usage(place).free / 1e9
    return Finding(
        "disk", free_gb >= MIN_FREE_GB, f"{free_gb:.1f} GB free at {place}", f"free {MIN_FREE_GB:.0f} GB"
    )


def _store(store: str) -> Finding:
    if "://" in store:
        return Finding("store", True, store)
    place = Path(store).absolute()
    while not place.exists():
        place = place.parent
    return Finding(
        "store", os.access(place, os.W_OK), store, f"chmod u+w {place}, or choose another with --store"
    )


def _model() -> Finding:
    is_there = (MODEL_DIR / "model_index.json").exists()
    found = str(MODEL_DIR) if is_there else "missing from the package"
    return Finding("pocket model", is_there, found, "python -m fungal_assets.pocket model")


def _specimens() -> Finding:
    count = len(list(SPECIMENS_DIR.glob("*.webp")))
    return Finding("specimens", count > 0, f"{count} pictures", "python -m fungal_assets.pocket specimens")


def _device() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("device", False, "torch is missing", "pip install -c constraints.txt -e .")
    import torch

    found = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"
    return Finding("device", True, found)
