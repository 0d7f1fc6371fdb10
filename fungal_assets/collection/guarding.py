"""Calls in a process of its own, whose death or standstill is but an error to the one that calls.

Decoders are C code that is given bytes of strangers. Belongs here: running such calls one by one. What is called, and
what is made of an error, does not.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Generic, TypeVar

from fungal_assets.compute import end_with_parent

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE_S = 120.0


class ProcessDiedError(Exception):
    """A guarded call ended its process, or did not come back; says so as the end of a sentence."""


class Guarded(Generic[Item, Result]):
    """A function that is called in another process, which is started with the first call and after each death.

    Several threads may call; one call is done after the other.

    Args:
        function: At the top level of a module, or a `partial` of such.
        patience_s: Seconds after which a call is taken not to come back.
    """

    def __init__(self, function: Callable[[Item], Result], patience_s: float):
        self._function, self._patience_s = function, patience_s
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._lock = threading.Lock()

    def __call__(self, item: Item) -> Result:
        """Call the function.

        Raises:
            ProcessDiedError: Its process was ended by a signal or left, or did not come back in time.
            Exception: Whatever the function raises.
        """
        with self._lock:
            result, error = self._ask(item)
        if error is not None:
            raise error
        assert result is not None
        return result

    def _ask(self, item: Item) -> tuple[Result | None, Exception | None]:
        if self._process is None or self._pipe is None:
            self._start()
        assert self._process and self._pipe
        try:
            self._pipe.send(item)
            if self._pipe.poll(self._patience_s):
                return self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode or 0
            self.close()
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            raise ProcessDiedError(f"ended its process {how}") from None
        self.close()
        raise ProcessDiedError(f"took longer than {self._patience_s:g} s")

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._function, other), daemon=True)
        self._process.start()
        other.close()

    def close(self) -> None:
        """End the process; another call starts a new one."""
        if self._process and self._pipe:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None


def _serve(function: Callable[[Item], Result], pipe: Connection) -> None:
    end_with_parent()
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((function(item), None))
        except Exception as error:
            pipe.send((None, error))


@contextmanager
def guard(
    function: Callable[[Item], Result], *, patience_s: float = PATIENCE_S
) -> Iterator[Guarded[Item, Result]]:
    """A function as `Guarded` calls it, whose process ends with the block."""
    guarded = Guarded(function, patience_s)
    try:
        yield guarded
    finally:
        guarded.close()
