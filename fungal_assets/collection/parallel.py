"""A map over threads that keeps order and never reads far ahead, and networks that run on the thread that calls.

Pillow and onnxruntime release the interpreter's lock, so threads share the work of decoding and of networks.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import onnxruntime

Item = TypeVar("Item")
Result = TypeVar("Result")
MAX_THREADS = 8


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function(item)` of each item in order, computed on a thread for each core, 8 at most.

    At most two items per thread are held at once, so that a source of any length fits in memory.
    """
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def open_network(path: Path, *, is_quick: bool = True) -> onnxruntime.InferenceSession:
    """A network of an ONNX file on the CPU; each call uses the thread that makes it and no other.

    Args:
        path: The file.
        is_quick: Sums of 8 bits are taken the quick way, which overflows on x86 processors without VNNI.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not is_quick:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
