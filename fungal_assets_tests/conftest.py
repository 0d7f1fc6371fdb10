"""What holds for all tests: SIGINT is heeded, and modules that take longest come first.

So no worker ends long after another, and tests that interrupt themselves do so in a background job of a shell too,
which ignores SIGINT.
"""

import signal
import threading

import pytest

LONGEST_FIRST = (
    "test_road.py",
    "diffusion/test_launching.py",
    "diffusion/test_resuming.py",
    "diffusion/test_families.py",
    "defs/test_tuning.py",
    "diffusion/test_lora.py",
    "diffusion/test_looks.py",
    "ancestors/test_breeding_page.py",
    "exhibition/test_viewing.py",
    "diffusion/test_compiling.py",
    "pocket/test_specimens.py",
)


def pytest_configure(config: pytest.Config) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Before or behind others; the sort keeps the order of those in one place."""
    path = item.path.as_posix()
    return next((i for i, name in enumerate(LONGEST_FIRST) if path.endswith(name)), len(LONGEST_FIRST))
